"""The targets of rows and of tokens: the numbers that a model learns to output.

In token classification the data tag words and the worker tags pieces of words, so the functions align both.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.bundle import HeadKind, SpanRules, TargetScale
from stream.classify import Piece, RowTokens, Span, TextTokens, bio_spans, split_pieces, word_spans
from stream.runtime import Logits
from trainer.data.examples import Example
from trainer.data.tag_spelling import OUTSIDE
from trainer.model.encoding import IGNORED, Preprocessing, WindowDataset, encode, tokens_of_rows
from trainer.model.inference import probabilities

JOIN = {"bio": bio_spans, "word": word_spans}
"""The function that joins tagged pieces to spans, by tagging scheme."""

Word = tuple[int, int]
"""The start and the end of a word, in characters."""


def row_targets(examples: Sequence[Example], labels: Sequence[str], head: HeadKind) -> npt.NDArray[Any]:
    """Return the target of each row.

    Returns:
        Label numbers, int64 [rows]; for multi-label 0 and 1, int64 [rows, labels]; for a regression float64
        [rows].

    Raises:
        ValueError: the head is token classification, whose targets depend on the tokens (`token_dataset`).
    """
    number = {label: at for at, label in enumerate(labels)}
    if head == "token":
        raise ValueError("the targets of token classification depend on the tokens")
    if head == "regression":
        return np.array([example.target for example in examples], dtype=np.float64)
    if head == "single-label":
        return np.array([number[example.labels[0]] for example in examples], dtype=np.int64)
    found = np.zeros((len(examples), len(labels)), dtype=np.int64)
    for row, example in enumerate(examples):
        found[row, [number[name] for name in example.labels]] = 1
    return found


def fit_target_scale(examples: Sequence[Example]) -> TargetScale:
    """Return the mean and standard deviation with which regression targets are standardised."""
    numbers = row_targets(examples, [], "regression")
    std = float(numbers.std())
    return TargetScale(mean=float(numbers.mean()), std=std if std > 0 else 1.0)


def row_dataset(
    tokenizer: Any,
    examples: Sequence[Example],
    labels: Sequence[str],
    head: HeadKind,
    preprocessing: Preprocessing,
    target: TargetScale | None = None,
) -> WindowDataset:
    """Return a training dataset whose windows have the targets of their rows, for any head but token.

    Args:
        tokenizer: the fast tokenizer of the model.
        examples: the training rows.
        labels: the labels in the order of the logits.
        head: the head, which determines the form of the targets.
        preprocessing: maximum length, windows and metadata.
        target: the scale of regression targets.
    """
    inputs = [example.input for example in examples]
    encoded = encode(tokenizer, inputs, preprocessing)
    targets = row_targets(examples, labels, head)
    if target is not None:
        targets = (targets - target.mean) / target.std
    if head != "single-label":
        targets = targets.astype(np.float32)
    of_windows = [targets[owner] for owner in encoded.owners]
    return WindowDataset(encoded, of_windows, preprocessing.encode_metadata(inputs))


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

    def word_logits(self, output: Sequence[Logits]) -> list[list[Logits | None]]:
        """Return the logits [labels] of the first piece of each word, per row; None for a truncated word.

        Args:
            output: float32 [tokens, labels] of each row.
        """
        found: list[list[Logits | None]] = []
        for example, row_pieces, logits in zip(self._examples, self._pieces, output, strict=True):
            first = first_pieces(row_pieces, example.word_spans)
            selected = _select(logits, row_pieces)
            words = range(len(example.word_spans))
            found.append([selected[first[word]] if word in first else None for word in words])
        return found

    def word_accuracy(self, output: Sequence[Logits]) -> float:
        """Return the share of words whose first piece has their tag; truncated words count as predicted O.

        Args:
            output: float32 [tokens, labels] of each row.
        """
        right, words = self.word_hits(output).sum(axis=0).tolist()
        return float(right / max(1, words))

    def word_hits(self, output: Sequence[Logits]) -> npt.NDArray[np.int64]:
        """Return the number of words with the right tag, and of all words, of each row, int64 [rows, 2].

        Args:
            output: float32 [tokens, labels] of each row.
        """
        hits = []
        for example, row_pieces, logits in zip(self._examples, self._pieces, output, strict=True):
            best = _select(logits, row_pieces).argmax(axis=1)
            first = first_pieces(row_pieces, example.word_spans)
            right = sum(
                tag == (self._tags[best[first[word]]] if word in first else OUTSIDE)
                for word, tag in enumerate(example.labels)
            )
            hits.append((right, len(example.labels)))
        return np.array(hits, dtype=np.int64).reshape(len(hits), 2)


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


def words_of_pieces(pieces: Sequence[Piece], words: Sequence[Word]) -> list[int | None]:
    """Return the number of the word that each piece belongs to, or None for a piece between words.

    Args:
        pieces: the pieces in the order of the text.
        words: the words in the order of the text, without overlap.
    """
    found: list[int | None] = []
    at = 0
    for piece in pieces:
        while at < len(words) and words[at][1] <= piece.start:
            at += 1
        found.append(at if at < len(words) and words[at][0] < piece.end else None)
    return found


def first_pieces(pieces: Sequence[Piece], words: Sequence[Word]) -> dict[int, int]:
    """Return the index of the first piece of each word, by word number.

    A word is missing if it is truncated, has no piece, or starts before the window that holds the pieces.
    """
    found: dict[int, int] = {}
    for at, word in enumerate(words_of_pieces(pieces, words)):
        if word is not None and word not in found and (at or pieces[at].start <= words[word][0]):
            found[word] = at
    return found


def piece_targets(
    pieces: Sequence[Piece], words: Sequence[Word], targets: Sequence[int], continuation: Mapping[int, int]
) -> list[int]:
    """Return the label number of each piece, or `IGNORED` for a piece between words.

    The first piece of a word has the label of the word. Further pieces, which exist where the tokenizer
    splits a word of the data (at a hyphen, for example), have the label that continues it.

    Args:
        pieces: the pieces of a text that the worker tags.
        words: the words of the text that the data tags.
        targets: the label number of each word.
        continuation: the result of `continuation_labels`.
    """
    first = first_pieces(pieces, words)
    return [
        IGNORED if word is None else targets[word] if first.get(word) == at else continuation[targets[word]]
        for at, word in enumerate(words_of_pieces(pieces, words))
    ]


def token_targets(pieces: Sequence[Piece], targets: Sequence[int], tokens: int) -> list[int]:
    """Return a target per token: the target of a piece for its first token, `IGNORED` for other tokens."""
    found = [IGNORED] * tokens
    for piece, target in zip(pieces, targets, strict=True):
        found[piece.at] = target
    return found


def continuation_labels(tags: Sequence[str]) -> dict[int, int]:
    """Map each tag number to the tag that continues it: B-X to an existing I-X, other tags to themselves."""
    number = {tag: at for at, tag in enumerate(tags)}
    return {at: number.get(f"I-{tag[2:]}", at) if tag.startswith("B-") else at for at, tag in enumerate(tags)}


def _select(logits: Logits, row_pieces: Sequence[Piece]) -> Logits:
    """Return the logits of the first token of each piece."""
    return logits[[piece.at for piece in row_pieces]]
