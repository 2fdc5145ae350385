"""The tables of the report, as the template draws them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from trainer.evaluation.findings import Neighbour
from trainer.evaluation.page.marked_text import Part

MAX_CHOICES = 40
MIN_FILTER_ROWS = 6
SHORT_CHARS = 12

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: the text; empty if `parts` or `neighbours` is the content.
        number: the number by which the column is sorted; None for a column of texts.
        bar: the low end, the value and the high end of an interval, from 0 to 1, drawn as a bar.
        parts: the parts of a text with marked words.
        neighbours: the nearest training rows.
    """

    text: str = ""
    number: float | None = None
    bar: tuple[float, float, float] | None = None
    parts: Sequence[Part] = ()
    neighbours: Sequence[Neighbour] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        title: the heading.
        numeric: whether the cells are numbers.
        choices: whether a list of the values filters the rows.
        wide: whether the cells are long texts.
    """

    title: str
    numeric: bool = False
    choices: bool = False
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        name: the identifier in the page.
        caption: what the rows are, and how many were left out.
        columns: the columns.
        rows: the cells of the shown rows.
        empty: the sentence that replaces a table without rows.
    """

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]] = ()
    empty: str = ""

    @property
    def filtered(self) -> bool:
        """Whether the table has enough rows for a filter."""
        return len(self.rows) >= MIN_FILTER_ROWS

    @property
    def widths(self) -> list[str]:
        """The CSS class of each column: number, wide, name for other texts that are not short, or none."""
        return [
            "number" if column.numeric else "wide" if column.wide else "name" if self._is_long(at) else ""
            for at, column in enumerate(self.columns)
        ]

    def _is_long(self, at: int) -> bool:
        return any(len(row[at].text) > SHORT_CHARS for row in self.rows)

    @property
    def choices(self) -> list[tuple[int, str, list[str]]]:
        """The position, the title and the values of each column that a list filters."""
        found = []
        for at, column in enumerate(self.columns):
            values = sorted({row[at].text for row in self.rows}) if column.choices else []
            if 1 < len(values) <= MAX_CHOICES:
                found.append((at, column.title, values))
        return found


def number_cell(value: float | None, digits: int = 3) -> Cell:
    """Return the cell of a number with a fixed number of digits."""
    if value is None or value != value:
        return Cell("–", float("-inf"))
    return Cell(f"{value:.{digits}f}", value)


def count_cell(value: int) -> Cell:
    """Return the cell of a count."""
    return Cell(f"{value:,}", float(value))


def interval_cell(value: float, ends: Sequence[float | None] | None) -> Cell:
    """Return the cell of a value with its 95% interval, if known, and a bar where all are from 0 to 1."""
    if not ends or ends[0] is None or ends[1] is None:
        return number_cell(value)
    low, high = ends[0], ends[1]
    bar = (low, value, high) if 0 <= low <= high <= 1 and 0 <= value <= 1 else None
    return Cell(f"{value:.3f} ({low:.3f} to {high:.3f})", value, bar)


def fill(
    table: Table, found: Sequence[T], cells: Callable[[T], Sequence[Cell]], limit: int, rows: str, file: str
) -> Table:
    """Return a table with the cells of the first findings, and with the sentence on the rest.

    Args:
        table: the table without rows.
        found: all findings.
        cells: returns the cells of a finding.
        limit: the most rows.
        rows: the plural name of the findings.
        file: the file that has all of them.
    """
    shown = [cells(one) for one in found[:limit]]
    return replace(table, rows=shown, caption=table.caption + shown_of(len(shown), len(found), rows, file))


def shown_of(shown: int, total: int, rows: str, file: str) -> str:
    """Return the sentence on the rows that a table leaves out; empty if it has them all."""
    if shown >= total:
        return ""
    return f" Shown: the first {shown:,} of {total:,} {rows}; {file} has all of them."
