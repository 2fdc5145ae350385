"""Tags of tokens to spans of the text: pure, and sound for whatever a model says."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

OUTSIDE = "O"
WORD_CATEGORIES = ("L", "N", "M")


class Piece(NamedTuple):
    """A stretch of text that gets one tag: the place of its first token, and its characters."""

    at: int
    start: int
    end: int


class Span(NamedTuple):
    """A stretch of text of one type; characters count from 0 and `end` is behind the last."""

    type: str
    start: int
    end: int
    score: float


@dataclass(slots=True)
class _Open:
    """A span that may still grow."""

    type: str
    start: int
    end: int
    scores: list[float]

    def closed(self) -> Span:
        return Span(self.type, self.start, self.end, sum(self.scores) / len(self.scores))


def pieces(
    text: str,
    offsets: Iterable[tuple[int, int]],
    word_ids: Iterable[int | None],
    special: Iterable[int],
    subwords: Literal["first", "all"],
) -> list[Piece]:
    """What of a text is tagged: its words (`first`) or its sub-words (`all`).

    A word ends where the tokenizer's own words end and beside every character that is no letter, mark, digit
    or underscore. White space at the rim of a token belongs to no piece; tokens that share a character, as
    the bytes of one do, are one piece.

    Args:
        text: the original.
        offsets: each token's characters in it.
        word_ids: the tokenizer's number of each token's word.
        special: 1 for tokens that are not of the text.
        subwords: whose tag counts.

    Returns:
        Pieces in order, none empty, none overlapping another.
    """
    found: list[Piece] = []
    word: int | None = None
    for at, ((first, last), word_id, of_template) in enumerate(zip(offsets, word_ids, special, strict=True)):
        if of_template:
            continue
        start, end = _without_rim(text, first, last)
        if start >= end:
            continue
        before = found[-1] if found else None
        if before is not None and (
            start < before.end
            or (subwords == "first" and start == before.end and word_id == word and _within_word(text, start))
        ):
            found[-1] = before._replace(end=max(before.end, end))
        else:
            found.append(Piece(at, start, end))
        word = word_id
    return found


def join_tags(tagged: Iterable[tuple[Piece, str, float]]) -> list[Span]:
    """Spans of BIO tags in the text's order; a span's score is the mean of its pieces'.

    `I-X` that continues nothing of type X begins a span, as conlleval has it; a tag without prefix counts as
    `I-`.
    """
    found: list[Span] = []
    growing: _Open | None = None
    for piece, tag, score in tagged:
        prefix, kind = split_tag(tag)
        if growing is not None and (kind != growing.type or prefix == "B"):
            found.append(growing.closed())
            growing = None
        if kind is None:
            continue
        if growing is None:
            growing = _Open(kind, piece.start, piece.end, [score])
        else:
            growing.end = piece.end
            growing.scores.append(score)
    if growing is not None:
        found.append(growing.closed())
    return found


def split_tag(tag: str) -> tuple[str, str | None]:
    """Prefix and type of a tag; type None means that it is outside of any span."""
    if tag == OUTSIDE:
        return OUTSIDE, None
    return (tag[0], tag[2:]) if tag[:2] in ("B-", "I-") else ("I", tag)


def each_piece(tagged: Iterable[tuple[Piece, str, float]]) -> list[Span]:
    """A span for every piece, whose type is its tag."""
    return [Span(tag, piece.start, piece.end, score) for piece, tag, score in tagged]


def _without_rim(text: str, start: int, end: int) -> tuple[int, int]:
    start, end = max(0, start), min(len(text), end)
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def _within_word(text: str, at: int) -> bool:
    return _of_word(text[at - 1]) and _of_word(text[at])


def _of_word(char: str) -> bool:
    return char == "_" or unicodedata.category(char)[0] in WORD_CATEGORIES
