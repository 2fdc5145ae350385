"""Parse table rows into examples; rows without a text or a target are reported by row number."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stream.bundle import Task
from stream.errors import UsageError
from trainer.data.annotated_text import AnnotatedText
from trainer.data.cells import CellError, as_text, may_be_missing, shorten
from trainer.data.columns import Columns
from trainer.data.examples import Example
from trainer.data.lists import as_words
from trainer.data.locate import locate_row
from trainer.data.separators import Cells
from trainer.data.sources import DataSource
from trainer.data.target_cells import LabelFormat, TargetParser, target_parser

MAX_SPELLINGS = 5


@dataclass(frozen=True, slots=True)
class ParsedRows:
    """The examples of the usable rows, the numbers of the other rows, and notes for the data report."""

    examples: list[Example]
    no_text: list[int]
    no_label: list[int]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class _WordCell:
    """The words of a row.

    Attributes:
        text: the words joined by spaces, or the unmodified cell if it is a text.
        spans: the start and end of each non-empty word in `text`, in characters.
        kept: the indices of the non-empty words.
        count: the number of words, including empty ones.
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    kept: list[int]
    count: int

    @property
    def empty(self) -> int:
        """The number of empty words."""
        return self.count - len(self.kept)


def parse_rows(
    sources: Sequence[DataSource], task: Task, columns: Columns, formats: Sequence[LabelFormat]
) -> ParsedRows:
    """Parse the rows of all sources; row numbers start at 1 and continue over all sources.

    Args:
        sources: the tables.
        task: the task.
        columns: the columns by role.
        formats: how each source encodes the target.

    Raises:
        UsageError: a cell does not have the format that the task requires; the message names file and row.
    """
    examples: list[Example] = []
    no_text: list[int] = []
    no_label: list[int] = []
    empty_words = 0
    for number, source, row, parse_target in _rows(sources, task, formats):
        try:
            words = _parse_words(row.get(columns.text), columns.text) if task == "token" else None
            text = words.text if words else as_text(row.get(columns.text), columns.text)
            pair = as_text(row.get(columns.text_pair), columns.text_pair) if columns.text_pair else None
            if text is None or not text.strip() or (columns.text_pair and pair is None):
                no_text.append(number)
                continue
            target = parse_target(row)
            if target is None:
                no_label.append(number)
                continue
            row_id, time, group = (
                as_text(row.get(name), name) if name else None
                for name in (columns.id, columns.time, columns.group)
            )
        except CellError as exc:
            raise UsageError(
                f"{locate_row(sources, number)}: {exc.message}", cause=exc.cause, fix=exc.fix
            ) from None
        if words is not None and isinstance(target, tuple):
            if len(target) != words.count:
                raise _word_mismatch(locate_row(sources, number), words.count, len(target))
            target = tuple(target[index] for index in words.kept)
            empty_words += words.empty
        examples.append(
            Example(
                number,
                text,
                target,
                text_pair=pair,
                metadata={name: row.get(name) for name in columns.metadata} if columns.metadata else None,
                word_spans=words.spans if words else (),
                id=row_id,
                time=time,
                group=group,
                split=source.split,
                extra=source.extra,
            )
        )
    notes = [f"{empty_words} empty words were skipped"] if empty_words else []
    return ParsedRows(examples, no_text, no_label, notes)


def cells_of_rows(
    sources: Sequence[DataSource], column: str, numbers: Sequence[int]
) -> list[tuple[int, Any]]:
    """Return the number and the cell of rows; the numbers are ascending and count over all sources."""
    if not numbers:
        return []
    wanted = set(numbers)
    rows = enumerate((row for source in sources for row in source.table.rows), 1)
    return [(number, row.get(column)) for number, row in rows if number in wanted]


def missing_text_note(examples: Sequence[Example]) -> list[str]:
    """Return a note on the texts that may stand for a missing value, such as NA; they are learnt as texts."""
    texts = (text for example in examples for text in (example.text, example.text_pair) if text is not None)
    return _spellings_note(
        "texts that may be missing values, and are learnt as texts", filter(may_be_missing, texts)
    )


def missing_label_note(sources: Sequence[DataSource], column: str, no_label: Sequence[int]) -> list[str]:
    """Return a note on the cells that are not empty but count as a missing label, such as NaN and null."""
    cells = (cell for _, cell in cells_of_rows(sources, column, no_label))
    texts = (str(cell) for cell in cells if cell is not None and cell == cell)
    return _spellings_note("cells that count as a missing label", texts)


def empty_flags_note(sources: Sequence[DataSource], names: Sequence[str]) -> list[str]:
    """Return a note on the rows in which some label columns are filled and others are empty."""
    cells = [[row.get(name) for name in names] for source in sources for row in source.table.rows]
    empty = [[cell is None or cell != cell or not str(cell).strip() for cell in row] for row in cells]
    rows = [number for number, of_row in enumerate(empty, 1) if any(of_row) and not all(of_row)]
    if not rows:
        return []
    return [
        f"{len(rows)} rows have empty cells in some label columns, which are read as 0 "
        f"(first in {locate_row(sources, rows[0])})"
    ]


def _spellings_note(finding: str, texts: Iterable[str]) -> list[str]:
    spellings = Counter(text.strip() for text in texts if text.strip())
    if not spellings:
        return []
    listed = ", ".join(f"{shorten(text)} ({count})" for text, count in spellings.most_common(MAX_SPELLINGS))
    return [f"{finding}: {listed}"]


def _rows(
    sources: Sequence[DataSource], task: Task, formats: Sequence[LabelFormat]
) -> Iterator[tuple[int, DataSource, Cells, TargetParser]]:
    number = 0
    for source, label_format in zip(sources, formats, strict=True):
        parse_target = target_parser(task, label_format, source.table.rows)
        for row in source.table.rows:
            number += 1
            yield number, source, row, parse_target


def _parse_words(cell: Any, column: str) -> _WordCell | None:
    """Parse a list of words, which are joined by spaces, or split a text at white space."""
    if isinstance(cell, AnnotatedText):
        return _WordCell(cell.text, cell.words, list(range(len(cell.words))), len(cell.words))
    items = as_words(cell, column)
    if items is None:
        text = as_text(cell, column)
        if text is None:
            return None
        text_spans = tuple(match.span() for match in re.finditer(r"\S+", text))
        return _WordCell(text, text_spans, list(range(len(text_spans))), len(text_spans))
    words = ["" if item is None else str(item).strip() for item in items]
    kept = [index for index, word in enumerate(words) if word]
    spans: list[tuple[int, int]] = []
    start = 0
    for index in kept:
        spans.append((start, start + len(words[index])))
        start += len(words[index]) + 1
    return _WordCell(" ".join(words[index] for index in kept), tuple(spans), kept, len(words))


def _word_mismatch(position: str, words: int, tags: int) -> UsageError:
    return UsageError(
        f"{position} has {words} words and {tags} tags",
        cause="each word has one tag",
        fix="correct the row, or check --text-column and --label-column",
    )
