"""Guess which columns of a CoNLL file hold the words and the tags."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from trainer.data.columns import ID_NAMES, TIME_NAMES
from trainer.data.tag_spelling import BIO, OUTSIDE, SPELLINGS

WORD_NUMBER = re.compile(r"\d+(-\d+|\.\d+)?")
EMPTY_FIELDS = ("", "_", "-", "-X-", "*")
WORD_HEADERS = ("word", "words", "token", "tokens", "form", "text")
TAG_HEADERS = ("tag", "tags", "label", "labels", "ner", "ner_tag", "ner_tags", "pos", "upos", "iob", "bio")
CONLLU_COLUMNS = 10
UPOS = 3
MIN_TAG_SHARE = 0.9
"""The share of a column's fields that must be tags of spans: one misspelt tag must not hide the column."""

MIN_WORDS_TO_JUDGE = 10
MAX_UNNUMBERED_SHARE = 0.25

Table = Sequence[Sequence[Sequence[str]]]
"""The fields of each line of each sentence."""


class ColumnGuess(NamedTuple):
    """The indices of the columns of words and tags; None for a column that cannot be guessed.

    Attributes:
        words: the column of the words.
        tags: the column of the tags.
        candidates: all columns whose fields are tags of spans.
    """

    words: int | None
    tags: int | None
    candidates: list[int]

    def named(self, names: Sequence[str]) -> tuple[str, str] | None:
        """Return the names of both columns, or None if one of them cannot be guessed."""
        return None if self.words is None or self.tags is None else (names[self.words], names[self.tags])


def guess_columns(table: Table, names: Sequence[str]) -> ColumnGuess:
    """Guess the columns of words and tags from their fields, and that of the words also from the names.

    Numbers of words are never words. Words are in the first column, or in the last one if the first holds
    tags. If several columns hold tags of spans, the last one counts, as in CoNLL-2003; after numbers of words
    it is the first one, as in GermEval, whose last column holds inner spans.

    Args:
        table: the fields of all sentences.
        names: the names of the columns.
    """
    lines = list(chain.from_iterable(table))
    if not lines:
        return ColumnGuess(None, None, [])
    width = len(lines[0])
    numbers = holds_numbers(lines)
    counts = [Counter(line[at] for line in lines) for at in range(width)]
    tags = [at for at in range(int(numbers), width) if _holds_span_tags(counts[at])]
    named = [at for at, name in enumerate(names) if name.lower() in WORD_HEADERS]
    words = named[0] if named else _word_column(numbers, tags, counts)
    candidates = [at for at in tags if len(counts[at]) > 1 or OUTSIDE not in counts[at]] or tags
    if candidates:
        return ColumnGuess(words, candidates[0] if numbers else candidates[-1], candidates)
    if numbers and width == CONLLU_COLUMNS:
        return ColumnGuess(words, UPOS, [])
    filled = [at for at in range(width) if at != words and not set(counts[at]) <= set(EMPTY_FIELDS)]
    last = filled[-1] if filled and filled[-1] != 0 else None
    return ColumnGuess(words, last, [])


def holds_numbers(lines: Sequence[Sequence[str]]) -> bool:
    """Return True if the first of three or more columns numbers the words."""
    return bool(lines) and len(lines[0]) > 2 and all(WORD_NUMBER.fullmatch(line[0]) for line in lines)


def unnumbered(lines: Sequence[Sequence[str]]) -> int | None:
    """Return the index of the first line without a number, if most of the lines begin with one."""
    if not lines or len(lines[0]) < 3:
        return None
    odd = [at for at, line in enumerate(lines) if not WORD_NUMBER.fullmatch(line[0])]
    return odd[0] if 0 < len(odd) <= MAX_UNNUMBERED_SHARE * len(lines) else None


def is_header(fields: Sequence[str]) -> bool:
    """Return True if the fields of the first line are common names of a column of words and one of tags."""
    names = [field.lower() for field in fields]
    return any(name in WORD_HEADERS for name in names) and any(name in TAG_HEADERS for name in names)


def column_names(named: Sequence[str] | None, table: Table) -> list[str]:
    """Return the given names if they are distinct and name every column, else "1", "2", …."""
    numbers = [str(number) for number in range(1, len(table[0][0]) + 1)] if table else []
    if named is None or len(set(named)) != len(numbers) or len(named) != len(numbers) or not all(named):
        return numbers
    # A column named ID numbers words; under its own name it would be taken for the ids of the rows.
    return [
        number if name.lower() in (*ID_NAMES, *TIME_NAMES) else name
        for number, name in zip(numbers, named, strict=True)
    ]


def looks_like_tag(field: str) -> bool:
    """Return True if a field is O or a tag such as B-X."""
    return field == OUTSIDE or BIO.split(field) is not None


def _holds_span_tags(counts: Counter[str]) -> bool:
    """Return True if fields are nearly all O or tags of spans, or mostly O."""
    total = sum(counts.values())
    if 2 * counts[OUTSIDE] >= total:
        return True
    for spelling in SPELLINGS:
        span_tags = spelling.span_tags(counts)
        if spelling.typeless:
            # Other columns hold single letters, too; one with B, I and O marks spans.
            outside = any(tag in counts for tag in spelling.outside)
            span_tags = [tag for tag in span_tags if outside and tag in "BIbi"]
        tagged = sum(counts[tag] for tag in {*span_tags, *spelling.outside})
        if span_tags and tagged >= MIN_TAG_SHARE * total:
            return True
    return False


def _word_column(numbers: bool, tags: Sequence[int], counts: Sequence[Counter[str]]) -> int | None:
    width = len(counts)
    free = [at for at in (range(1, width) if numbers else (0, width - 1)) if at not in tags]
    if not free:
        return None
    words = free[0]
    constant = len(counts[words]) == 1 and counts[words].total() >= MIN_WORDS_TO_JUDGE
    # A constant column, such as the name of the document in CoNLL-2012, holds no words.
    return None if constant and width > 2 else words
