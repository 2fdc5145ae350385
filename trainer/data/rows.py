"""Rows of tables to examples; what lacks a text or a target is counted by its row number."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stream.bundle import Task
from stream.errors import UsageError
from trainer.data.columns import Columns
from trainer.data.examples import Example
from trainer.data.sources import Source
from trainer.data.targets import LabelRules, as_list, as_text, target_reader


@dataclass(frozen=True, slots=True)
class ReadRows:
    """Usable rows, the numbers of the others, and what is to be told of them."""

    examples: list[Example]
    no_text: list[int]
    no_label: list[int]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class _Words:
    text: str
    places: tuple[tuple[int, int], ...]
    kept: list[int]
    """Numbers of the words that are not empty."""
    given: int


def read_rows(sources: Sequence[Source], task: Task, columns: Columns, rules: LabelRules) -> ReadRows:
    """Read all sources; rows are numbered from 1 on through all of them.

    Raises:
        UsageError: a cell is not of the kind that the task wants.
    """
    target_of = target_reader(task, rules)
    examples: list[Example] = []
    no_text: list[int] = []
    no_label: list[int] = []
    empty_words = 0
    rows = ((source, row) for source in sources for row in source.table.rows)
    for number, (source, row) in enumerate(rows, 1):
        words = _words(row.get(columns.text), columns.text, number) if task == "token" else None
        text = words.text if words else as_text(row.get(columns.text), columns.text, number)
        pair = as_text(row.get(columns.text_pair), columns.text_pair, number) if columns.text_pair else None
        if text is None or not text.strip() or (columns.text_pair and pair is None):
            no_text.append(number)
            continue
        target = target_of(row, number)
        if target is None:
            no_label.append(number)
            continue
        if words is not None and isinstance(target, tuple):
            target = _fitting(target, words, number)
            empty_words += words.given - len(words.kept)
        key, time, group = (
            as_text(row.get(name), name, number) if name else None
            for name in (columns.id, columns.time, columns.group)
        )
        examples.append(
            Example(
                number,
                text,
                target,
                text_pair=pair,
                metadata={name: row.get(name) for name in columns.metadata} if columns.metadata else None,
                words=words.places if words else (),
                id=key,
                time=time,
                group=group,
                split=source.split,
                extra=source.extra,
            )
        )
    notes = [f"{empty_words} empty words were left out"] if empty_words else []
    return ReadRows(examples, no_text, no_label, notes)


def _words(cell: Any, column: str, number: int) -> _Words | None:
    """Words and their places: of a list, joined by spaces; of a text, what stands between white space."""
    found = as_list(cell, column, number)
    if found is None:
        text = as_text(cell, column, number)
        if text is None:
            return None
        places = tuple(match.span() for match in re.finditer(r"\S+", text))
        return _Words(text, places, list(range(len(places))), len(places))
    words = ["" if word is None else str(word) for word in found]
    kept = [at for at, word in enumerate(words) if word]
    spans: list[tuple[int, int]] = []
    start = 0
    for at in kept:
        spans.append((start, start + len(words[at])))
        start += len(words[at]) + 1
    return _Words(" ".join(words[at] for at in kept), tuple(spans), kept, len(words))


def _fitting(tags: tuple[str, ...], words: _Words, number: int) -> tuple[str, ...]:
    if len(tags) != words.given:
        raise UsageError(
            f"row {number} has {words.given} words and {len(tags)} tags",
            cause="each word has one tag",
            fix="mend the row, or check --text-column and --label-column",
        )
    return tuple(tags[at] for at in words.kept)
