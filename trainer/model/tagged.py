"""Rows of tagged words as the worker will see them: the pieces that it tags, the spans it should find."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.bundle.manifest import MetadataColumn, SpanRules, Windows
from stream.classify.heads.spans import Piece, Span, each_piece, join_tags, pieces
from stream.classify.inputs import TextInput
from stream.classify.tokenise import RowTokens, TextTokens
from stream.runtime.base import Logits
from trainer.data.examples import Example
from trainer.model.activation import probabilities
from trainer.model.alignment import first_pieces, inside_of, piece_targets, token_targets
from trainer.model.batches import Rows, encoded_metadata
from trainer.model.encoding import encode
from trainer.model.losses import IGNORED
from trainer.model.windows import tokens_of_rows

OUTSIDE = "O"
JOIN = {"bio": join_tags, "word": each_piece}


class TaggedRows:
    """Rows for token classification, held against the logits of their tokens."""

    def __init__(
        self,
        tokenizer: Any,
        examples: Sequence[Example],
        tags: Sequence[str],
        rules: SpanRules,
        max_length: int,
        windows: Windows | None = None,
    ) -> None:
        """
        Args:
            tokenizer: the model's fast tokenizer.
            examples: the rows, with `words` and a tag for each.
            tags: in the order of the logits.
            rules: how tags become spans.
            max_length: tokens after which a row is cut, or the length of its windows.
            windows: how longer rows are read.
        """
        self._examples = examples
        self._tags = tags
        self._join = JOIN[rules.scheme]
        number = {tag: at for at, tag in enumerate(tags)}
        inside = inside_of(tags)
        encoded = encode(tokenizer, [TextInput(example.text) for example in examples], max_length, windows)
        self._pieces = [
            [piece._replace(at=places[piece.at]) for piece in tagged_pieces(tokens, rules)]
            for tokens, places in tokens_of_rows(encoded, [example.text for example in examples], windows)
        ]
        self._targets = [
            piece_targets(found, example.word_spans, [number[tag] for tag in example.labels], inside)
            for example, found in zip(examples, self._pieces, strict=True)
        ]

    def true_spans(self) -> list[list[Span]]:
        """The spans that the words' tags say."""
        return [
            self._join(
                (Piece(at, start, end), tag, 1.0)
                for at, ((start, end), tag) in enumerate(zip(example.word_spans, example.labels, strict=True))
            )
            for example in self._examples
        ]

    def spans(
        self, output: Sequence[Logits], temperature: float = 1.0, least: float = 0.0
    ) -> list[list[Span]]:
        """The spans that logits say.

        Args:
            output: float32 [tokens, labels] of each row.
            temperature: they are divided by it.
            least: spans with a lower score are left out.
        """
        found = []
        for of_row, logits in zip(self._pieces, output, strict=True):
            chances = probabilities(_of(logits, of_row), "token", temperature)
            best = chances.argmax(axis=1).tolist()
            tagged = zip(of_row, [self._tags[at] for at in best], chances.max(axis=1).tolist(), strict=True)
            found.append([span for span in self._join(tagged) if span.score >= least])
        return found

    def of_pieces(self, output: Sequence[Logits]) -> tuple[Logits, npt.NDArray[np.int64]]:
        """Logits float32 [pieces, labels] and label numbers [pieces] of all pieces that belong to a word."""
        logits = np.concatenate([_of(row, found) for row, found in zip(output, self._pieces, strict=True)])
        truth = np.array([target for row in self._targets for target in row], dtype=np.int64)
        labelled = truth != IGNORED
        return logits[labelled], truth[labelled]

    def word_accuracy(self, output: Sequence[Logits]) -> float:
        """Share of the words whose first piece has their tag; one that was cut off counts as outside."""
        right = words = 0
        for example, of_row, logits in zip(self._examples, self._pieces, output, strict=True):
            best = _of(logits, of_row).argmax(axis=1)
            first = first_pieces(of_row, example.word_spans)
            for word, tag in enumerate(example.labels):
                right += tag == (self._tags[best[first[word]]] if word in first else OUTSIDE)
            words += len(example.labels)
        return right / max(1, words)


def _of(logits: Logits, of_row: Sequence[Piece]) -> Logits:
    return logits[[piece.at for piece in of_row]]


def tagged_pieces(tokens: TextTokens, rules: SpanRules) -> list[Piece]:
    """What the worker tags of a text."""
    return pieces(tokens.text, tokens.offsets, tokens.word_ids, tokens.special_tokens_mask, rules.subwords)


def tagged_rows(
    tokenizer: Any,
    examples: Sequence[Example],
    tags: Sequence[str],
    rules: SpanRules,
    max_length: int,
    windows: Windows | None = None,
    metadata: Sequence[MetadataColumn] | None = None,
) -> Rows:
    """Training rows for token classification; each window bears its own tokens' targets."""
    number = {tag: at for at, tag in enumerate(tags)}
    inside = inside_of(tags)
    encoded = encode(tokenizer, [TextInput(example.text) for example in examples], max_length, windows)
    labels = []
    for owner, tokens in zip(encoded.owners, encoded.encodings, strict=True):
        example = examples[owner]
        found = tagged_pieces(RowTokens(tokens, example.text, None), rules)
        of_pieces = piece_targets(found, example.word_spans, [number[tag] for tag in example.labels], inside)
        labels.append(token_targets(found, of_pieces, len(tokens)))
    return Rows(encoded, labels, encoded_metadata(examples, metadata))
