"""Training targets: the numbers that a model learns to output, per row and per token."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.bundle import HeadKind, TargetScale
from stream.classify import Piece
from trainer.data.examples import Example
from trainer.model.losses import IGNORED

Word = tuple[int, int]
"""The start and the end of a word, in characters."""


def row_targets(examples: Sequence[Example], labels: Sequence[str], head: HeadKind) -> npt.NDArray[Any]:
    """Return the target of each row.

    Returns:
        Label numbers, int64 [rows]; for multi-label 0 and 1, int64 [rows, labels]; for a regression float64
        [rows].

    Raises:
        ValueError: the head is token classification, whose targets depend on the tokens; see
            `trainer.model.tags`.
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
