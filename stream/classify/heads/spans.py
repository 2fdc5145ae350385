"""Spans of a text from the tags of its tokens: pure functions that accept any output of a model."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

OUTSIDE = "O"
WORD_CATEGORIES = ("L", "N", "M")


class Piece(NamedTuple):
    """A word or sub-word that gets one tag.

    Attributes:
        at: the index of its first token.
        start: the index of its first character.
        end: the index after its last character.
    """

    at: int
    start: int
    end: int


class Span(NamedTuple):
    """A typed range of a text, from the character `start` to before the character `end`."""

    type: str
    start: int
    end: int
    score: float


@dataclass(slots=True)
class _OpenSpan:
    """A span that may still grow."""

    type: str
    start: int
    end: int
    scores: list[float]

    def close(self) -> Span:
        return Span(self.type, self.start, self.end, sum(self.scores) / len(self.scores))


def split_pieces(
    text: str,
    offsets: Iterable[tuple[int, int]],
    word_ids: Iterable[int | None],
    special: Iterable[int],
    subwords: Literal["first", "all"],
) -> list[Piece]:
    """Split a text into the pieces that are tagged: its words (`first`) or its sub-words (`all`).

    A word ends where a word of the tokenizer ends, and at every character that is not a letter, mark, digit
    or underscore. Pieces exclude white space at the edges of a token. Tokens that share a character, such as
    the bytes of one character, form one piece.

    Args:
        text: the original text.
        offsets: the character range of each token.
        word_ids: the tokenizer's word number of each token.
        special: 1 for special tokens, which are not part of the text.
        subwords: the sub-words whose tags count.

    Returns:
        Pieces in order; none is empty and none overlaps another.
    """
    pieces: list[Piece] = []
    word: int | None = None
    for at, ((first, last), word_id, is_special) in enumerate(zip(offsets, word_ids, special, strict=True)):
        if is_special:
            continue
        start, end = _strip(text, first, last)
        if start >= end:
            continue
        before = pieces[-1] if pieces else None
        if before is not None and (
            start < before.end
            or (subwords == "first" and start == before.end and word_id == word and _within_word(text, start))
        ):
            pieces[-1] = before._replace(end=max(before.end, end))
        else:
            pieces.append(Piece(at, start, end))
        word = word_id
    return pieces


def bio_spans(tagged: Iterable[tuple[Piece, str, float]]) -> list[Span]:
    """Join BIO tags to spans in the order of the text; the score of a span is the mean of its pieces' scores.

    As in conlleval, `I-X` begins a span if it continues none of type X. A tag without a prefix counts as
    `I-`.
    """
    return _join(((piece, *split_tag(tag), score) for piece, tag, score in tagged), begin=("B",), end=())


def bioes_spans(tagged: Iterable[tuple[Piece, str, float]]) -> list[Span]:
    """Join BIOES tags to spans in the order of the text; a span's score is the mean of its pieces' scores.

    As in conlleval, `I-X` and `E-X` begin a span if they continue none of type X, and nothing continues a
    span after `E-X` or `S-X`. Every tag is O or has a prefix.
    """
    split = ((piece, tag[0], tag[2:] or None, score) for piece, tag, score in tagged)
    return _join(split, begin=("B", "S"), end=("E", "S"))


def word_spans(tagged: Iterable[tuple[Piece, str, float]]) -> list[Span]:
    """Return one span for each piece, with its tag as the type."""
    return [Span(tag, piece.start, piece.end, score) for piece, tag, score in tagged]


def split_tag(tag: str) -> tuple[str, str | None]:
    """Return the prefix and the type of a tag; the type is None outside of any span."""
    if tag == OUTSIDE:
        return OUTSIDE, None
    return (tag[0], tag[2:]) if tag[:2] in ("B-", "I-") else ("I", tag)


def _join(
    tagged: Iterable[tuple[Piece, str, str | None, float]], *, begin: tuple[str, ...], end: tuple[str, ...]
) -> list[Span]:
    """Join tagged pieces to spans.

    Args:
        tagged: each piece with the prefix, the type and the score of its tag; no type is outside of any span.
        begin: the prefixes that always begin a span.
        end: the prefixes after which nothing continues the span.
    """
    spans: list[Span] = []
    open_span: _OpenSpan | None = None
    for piece, prefix, kind, score in tagged:
        if open_span is not None and (kind != open_span.type or prefix in begin):
            spans.append(open_span.close())
            open_span = None
        if kind is None:
            continue
        if open_span is None:
            open_span = _OpenSpan(kind, piece.start, piece.end, [score])
        else:
            open_span.end = piece.end
            open_span.scores.append(score)
        if prefix in end:
            spans.append(open_span.close())
            open_span = None
    if open_span is not None:
        spans.append(open_span.close())
    return spans


def _strip(text: str, start: int, end: int) -> tuple[int, int]:
    start, end = max(0, start), min(len(text), end)
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def _within_word(text: str, index: int) -> bool:
    return _is_word_char(text[index - 1]) and _is_word_char(text[index])


def _is_word_char(char: str) -> bool:
    return char == "_" or unicodedata.category(char)[0] in WORD_CATEGORIES
