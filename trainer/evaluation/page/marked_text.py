"""Texts whose words or spans are marked."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from stream.classify import Span
from trainer.evaluation.findings import WordEffect

LEVELS = 4
MIN_SHARE = 0.1
"""The share of a text's strongest effect below which a word is not marked."""

MIN_EFFECT = 0.005
"""The effect on the score below which a word is not marked: such a score depends on no single word."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a text.

    Attributes:
        text: the characters.
        style: the CSS classes of its mark; empty for plain text.
        note: what the mark means.
    """

    text: str
    style: str = ""
    note: str = ""


def mark_words(text: str, words: Sequence[WordEffect], max_chars: int) -> list[Part]:
    """Return a text in parts, with the words marked that raise or lower the score."""
    strongest = max((abs(word.effect) for word in words), default=0.0)
    marks = []
    for word in words:
        share = abs(word.effect) / strongest if strongest else 0.0
        if share >= MIN_SHARE and abs(word.effect) >= MIN_EFFECT:
            direction = "raises" if word.effect > 0 else "lowers"
            level = min(LEVELS, int(share * LEVELS) + 1)
            marks.append((word.start, word.end, f"{direction} level-{level}", f"{word.effect:+.3f}"))
    return _cut(_join(text, marks), max_chars)


def mark_spans(text: str, actual: Sequence[Span], predicted: Sequence[Span], max_chars: int) -> list[Part]:
    """Return a text in parts, with the spans of the data and the predicted spans marked."""
    edges = sorted(
        {0, len(text), *(edge for span in (*actual, *predicted) for edge in (span.start, span.end))}
    )
    marks = []
    for start, end in itertools.pairwise(edges):
        kinds = {
            style: ", ".join(span.type for span in spans if span.start <= start < span.end)
            for style, spans in (("actual", actual), ("predicted", predicted))
        }
        styles = [style for style, types in kinds.items() if types]
        notes = [f"{style}: {kinds[style]}" for style in styles]
        if styles:
            marks.append((start, end, " ".join(styles), "; ".join(notes)))
    return _cut(_join(text, marks), max_chars)


def _join(text: str, marks: Sequence[tuple[int, int, str, str]]) -> list[Part]:
    """Return the parts of a text; marks that overlap an earlier one or lie outside are left out."""
    parts, at = [], 0
    for start, end, style, note in sorted(marks):
        if start < at or end > len(text) or start >= end:
            continue
        parts += [Part(text[at:start])] if start > at else []
        parts.append(Part(text[start:end], style, note))
        at = end
    return [*parts, Part(text[at:])] if at < len(text) or not parts else parts


def _cut(parts: Sequence[Part], max_chars: int) -> list[Part]:
    """Return the first parts with at most `max_chars` characters in all, and how many more there are."""
    total = sum(len(part.text) for part in parts)
    if total <= max_chars:
        return list(parts)
    kept, room = [], max_chars
    for part in parts:
        if room <= 0:
            break
        kept.append(Part(part.text[:room], part.style, part.note))
        room -= len(part.text)
    return [*kept, Part(f" … ({total - max_chars:,} more characters)", "more")]


def cut_text(text: str, max_chars: int) -> str:
    """Return the beginning of a text, and how many characters were left out."""
    if len(text) <= max_chars:
        return text
    return f"{text[:max_chars]} … ({len(text) - max_chars:,} more characters)"
