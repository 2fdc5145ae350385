"""Align character spans to the words of a text."""

import bisect
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from trainer.data.annotations.spans import CharSpan
from trainer.data.tag_spelling import OUTSIDE

WORD_CATEGORIES = ("L", "N", "M")
"""The categories of the characters of words; the worker splits words at all others."""

UNSPACED_SCRIPTS = (
    (0x0E00, 0x0EFF),
    (0x0F00, 0x109F),
    (0x1780, 0x17FF),
    (0x3040, 0x30FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
"""The code points of scripts without spaces between words: Thai, Lao, Tibetan, Burmese, Khmer, kana, Han."""

Word = tuple[int, int]
"""The start and the end of a word, in characters."""


class Alignment(NamedTuple):
    """The tags of the words of a text, and the numbers of spans that words do not show exactly.

    Attributes:
        tags: a BIO tag for each word; None if a span lies outside the text or does not match it.
        spans: the number of spans that the tags mark.
        trimmed: spans with white space at an edge, which was removed.
        inside: spans that begin or end inside a word; they were extended to the whole word.
        overlapping: spans that share a word with a longer or an earlier span; they were left out.
        empty: spans without a character; they were left out.
    """

    tags: list[str] | None
    spans: int = 0
    trimmed: int = 0
    inside: int = 0
    overlapping: int = 0
    empty: int = 0


def split_words(text: str) -> list[Word]:
    """Return the words of a text as the worker splits them: at every character that is not part of a word.

    Other characters are words of their own, except white space. So are the characters of scripts without
    spaces, since spans begin and end at any of them.
    """
    words: list[Word] = []
    joins = False
    for at, char in enumerate(text):
        category = unicodedata.category(char)[0]
        in_word = char == "_" or category in WORD_CATEGORIES
        if char.isspace():
            joins = False
            continue
        if words and words[-1][1] == at and (category == "M" or (joins and in_word and not _unspaced(char))):
            words[-1] = (words[-1][0], at + 1)
            continue
        words.append((at, at + 1))
        joins = in_word and not _unspaced(char)
    return words


def align(text: str, words: Sequence[Word], spans: Sequence[CharSpan]) -> Alignment:
    """Return BIO tags of the words for spans whose offsets count characters (code points).

    Of spans that share a word, the longest is kept, and of equally long ones the first.
    """
    if not all(fits(text, span) for span in spans):
        return Alignment(None)
    tags = [OUTSIDE] * len(words)
    ends = [end for _, end in words]
    counts = dict.fromkeys(("spans", "trimmed", "inside", "overlapping", "empty"), 0)
    for span in sorted(spans, key=lambda span: (span.start - span.end, span.start)):
        start, end = _trim(text, span)
        counts["trimmed"] += (start, end) != (span.start, span.end)
        if start >= end:
            counts["empty"] += 1
            continue
        first, last = bisect.bisect_right(ends, start), bisect.bisect_left(ends, end)
        if any(tag != OUTSIDE for tag in tags[first : last + 1]):
            counts["overlapping"] += 1
            continue
        counts["inside"] += words[first][0] < start or words[last][1] > end
        tags[first : last + 1] = [f"B-{span.label}", *[f"I-{span.label}"] * (last - first)]
        counts["spans"] += 1
    return Alignment(tags, **counts)


def fits(text: str, span: CharSpan) -> bool:
    """Return True if a span lies within a text and is equal to its quotation, apart from white space."""
    if not 0 <= span.start <= span.end <= len(text):
        return False
    return span.quoted is None or _squeeze(span.quoted) == _squeeze(text[span.start : span.end])


def misfits(text: str, words: Sequence[Word], spans: Sequence[CharSpan]) -> int:
    """Return the number of spans that do not fit, or do not begin and end with a word."""
    starts, ends = {start for start, _ in words}, {end for _, end in words}
    return sum(not (fits(text, s) and s.start in starts and s.end in ends) for s in spans)


def from_utf16(text: str, spans: Sequence[CharSpan]) -> list[CharSpan]:
    """Return spans in characters for spans in UTF-16 code units; an offset within a character becomes -1."""
    index = {offset: at for at, offset in enumerate(_utf16_offsets(text))}
    return [span._replace(start=index.get(span.start, -1), end=index.get(span.end, -1)) for span in spans]


def _utf16_offsets(text: str) -> Iterator[int]:
    offset = 0
    for char in text:
        yield offset
        offset += 1 + (ord(char) > 0xFFFF)
    yield offset


def _trim(text: str, span: CharSpan) -> tuple[int, int]:
    start, end = span.start, span.end
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def _squeeze(text: str) -> str:
    return " ".join(text.split())


def _unspaced(char: str) -> bool:
    return any(first <= ord(char) <= last for first, last in UNSPACED_SCRIPTS)
