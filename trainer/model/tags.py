"""Token classification: the tagged words of the data, aligned with the pieces that the worker tags."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.bundle import SpanRules
from stream.classify import Piece, RowTokens, Span, TextTokens, bio_spans, split_pieces, word_spans
from stream.runtime import Logits
from trainer.data.examples import Example
from trainer.data.labels import OUTSIDE
from trainer.model.batches import WindowDataset
from trainer.model.encoding import Preprocessing, encode, tokens_of_rows
from trainer.model.inference import probabilities
from trainer.model.losses import IGNORED
from trainer.model.targets import continuation_labels, first_pieces, piece_targets, token_targets

JOIN = {"bio": bio_spans, "word": word_spans}


class TaggedExamples:
    """Labelled rows for token classification that token logits are evaluated against."""

    def __init__(
        self,
        tokenizer: Any,
        examples: Sequence[Example],
        tags: Sequence[str],
        rules: SpanRules,
        preprocessing: Preprocessing,
    ) -> None:
        """
        Args:
            tokenizer: the fast tokenizer of the model.
            examples: rows with `word_spans` and one tag per word.
            tags: the tags in the order of the logits.
            rules: how tags become spans.
            preprocessing: maximum length and windows.
        """
        self._examples = examples
        self._tags = tags
        self._join = JOIN[rules.scheme]
        number = {tag: at for at, tag in enumerate(tags)}
        continuation = continuation_labels(tags)
        texts = [example.text for example in examples]
        encoded = encode(tokenizer, [example.input for example in examples], preprocessing)
        self._pieces = [
            [piece._replace(at=positions[piece.at]) for piece in tagged_pieces(tokens, rules)]
            for tokens, positions in tokens_of_rows(encoded, texts, preprocessing.windows)
        ]
        self._targets = [
            piece_targets(found, example.word_spans, [number[tag] for tag in example.labels], continuation)
            for example, found in zip(examples, self._pieces, strict=True)
        ]

    def true_spans(self) -> list[list[Span]]:
        """Return the spans of the word tags of the data, per row."""
        return [
            self._join(
                (Piece(at, start, end), tag, 1.0)
                for at, ((start, end), tag) in enumerate(zip(example.word_spans, example.labels, strict=True))
            )
            for example in self._examples
        ]

    def predicted_spans(
        self, output: Sequence[Logits], temperature: float = 1.0, min_score: float = 0.0
    ) -> list[list[Span]]:
        """Return the predicted spans, per row.

        Args:
            output: float32 [tokens, labels] of each row.
            temperature: the divisor of the logits.
            min_score: the lowest score of a returned span.
        """
        found = []
        for row_pieces, logits in zip(self._pieces, output, strict=True):
            scores = probabilities(_select(logits, row_pieces), "token", temperature)
            best = scores.argmax(axis=1).tolist()
            tagged = zip(
                row_pieces, [self._tags[at] for at in best], scores.max(axis=1).tolist(), strict=True
            )
            found.append([span for span in self._join(tagged) if span.score >= min_score])
        return found

    def piece_logits(self, output: Sequence[Logits]) -> tuple[Logits, npt.NDArray[np.int64]]:
        """Return the logits [pieces, labels] and label numbers [pieces] of all pieces that belong to words.

        Args:
            output: float32 [tokens, labels] of each row.
        """
        logits = np.concatenate(
            [_select(row, found) for row, found in zip(output, self._pieces, strict=True)]
        )
        targets = np.array([target for row in self._targets for target in row], dtype=np.int64)
        labelled = targets != IGNORED
        return logits[labelled], targets[labelled]

    def word_accuracy(self, output: Sequence[Logits]) -> float:
        """Return the share of words whose first piece has their tag; truncated words count as predicted O.

        Args:
            output: float32 [tokens, labels] of each row.
        """
        right = words = 0
        for example, row_pieces, logits in zip(self._examples, self._pieces, output, strict=True):
            best = _select(logits, row_pieces).argmax(axis=1)
            first = first_pieces(row_pieces, example.word_spans)
            for word, tag in enumerate(example.labels):
                right += tag == (self._tags[best[first[word]]] if word in first else OUTSIDE)
            words += len(example.labels)
        return right / max(1, words)


def tagged_pieces(tokens: TextTokens, rules: SpanRules) -> list[Piece]:
    """Return the pieces of a text that the worker tags."""
    return split_pieces(
        tokens.text, tokens.offsets, tokens.word_ids, tokens.special_tokens_mask, rules.subwords
    )


def token_dataset(
    tokenizer: Any,
    examples: Sequence[Example],
    tags: Sequence[str],
    rules: SpanRules,
    preprocessing: Preprocessing,
) -> WindowDataset:
    """Return a training dataset for token classification; each window has the targets of its own tokens.

    The arguments are those of `TaggedExamples`; metadata of `preprocessing` becomes part of the items.
    """
    number = {tag: at for at, tag in enumerate(tags)}
    continuation = continuation_labels(tags)
    inputs = [example.input for example in examples]
    encoded = encode(tokenizer, inputs, preprocessing)
    labels = []
    for owner, tokens in zip(encoded.owners, encoded.encodings, strict=True):
        example = examples[owner]
        found = tagged_pieces(RowTokens(tokens, example.text, None), rules)
        targets = piece_targets(
            found, example.word_spans, [number[tag] for tag in example.labels], continuation
        )
        labels.append(token_targets(found, targets, len(tokens)))
    return WindowDataset(encoded, labels, preprocessing.encode_metadata(inputs))


def _select(logits: Logits, row_pieces: Sequence[Piece]) -> Logits:
    """Return the logits of the first token of each piece."""
    return logits[[piece.at for piece in row_pieces]]
