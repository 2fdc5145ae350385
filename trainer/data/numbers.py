"""Numbers in cells: decimal marks, thousands separators, and an account of the cells that are no numbers."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from stream.errors import UsageError
from trainer.config import DecimalMark
from trainer.data.cells import as_text, is_number_null, shorten, trim

MAX_UNREADABLE_SHARE = 0.01
MAX_UNREADABLE_CELLS = 1
"""Cells that may be no numbers whatever their share: a single typing error does not refuse a small file."""

_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
MARKS: tuple[DecimalMark, ...] = (",", ".")

_POINTS = re.compile(r"[+-]?\d{1,3}(?:\.\d{3}){2,}(?:,\d+)?")
_SPACES = " \u00a0\u2009\u202f'’"


@dataclass(frozen=True, slots=True)
class NumberCell:
    """A cell that is neither empty nor a number.

    Attributes:
        row: the row number over all files.
        text: the cell.
    """

    row: int
    text: str


def parse_number(value: Any, column: str, mark: DecimalMark | None = None) -> float | None:
    """Return the finite number in a cell; None if the cell is empty or holds no number.

    Args:
        value: the cell.
        column: the name of the column, for the error.
        mark: the decimal mark of texts; the other mark, spaces and apostrophes may separate thousands.
            Without a mark, only plain numbers such as 1234.5 are read, since "1,234" has two meanings.

    Raises:
        CellError: the cell holds a list, an object or bytes.
    """
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return _finite(value)
    text = as_text(value, column)
    if text is None or isinstance(value, bool):
        return None
    if mark is None and _PLAIN.fullmatch(text):
        return _finite(text)
    plain = _plain(trim(text).replace("\u2212", "-"), mark)
    return _finite(plain) if plain is not None else None


def unreadable_cells(cells: Sequence[tuple[int, Any]], column: str) -> list[NumberCell]:
    """Return the cells that are not empty; they come from the rows without a number."""
    texts = ((row, as_text(cell, column)) for row, cell in cells)
    return [NumberCell(row, text) for row, text in texts if text is not None and not is_number_null(text)]


def check_unreadable(
    unreadable: Sequence[NumberCell], cells: Sequence[Any], column: str, position: str
) -> None:
    """Refuse a column in which many cells are no numbers.

    Args:
        unreadable: the cells that are neither empty nor a number.
        cells: the cells of all rows.
        column: the name of the column.
        position: the file and the row of the first unreadable cell.

    Raises:
        UsageError: more than 1% of the cells, and more than one cell, are no numbers; or all of them are.
    """
    present = [cell for cell in cells if (text := as_text(cell, column)) and not is_number_null(text)]
    allowed = max(MAX_UNREADABLE_CELLS, MAX_UNREADABLE_SHARE * len(present))
    few = len(unreadable) <= allowed and len(unreadable) < len(present)
    # One 1.234.567 shows that each 1.234 is a whole number, unless another cell is 1.5.
    grouped = any(_POINTS.fullmatch(trim(cell.text)) for cell in unreadable)
    if not unreadable or (few and not (grouped and _reads_most(present, column, ","))):
        return
    example = trim(unreadable[0].text)
    possible: list[DecimalMark] = [mark for mark in MARKS if _reads_most(present, column, mark)]
    marks: list[DecimalMark] = [
        mark for mark in possible if parse_number(example, "", mark) is not None
    ] or possible
    raise UsageError(
        f"{len(unreadable)} of {len(present)} cells in column {column!r} are not numbers, "
        f"such as {shorten(example)} ({position})",
        cause=_cause(example, marks, commas=any("," in str(cell) for cell in present)),
        fix=_fix(example, marks),
    )


def _reads_most(cells: Sequence[Any], column: str, mark: DecimalMark) -> bool:
    failures = sum(parse_number(cell, column, mark) is None for cell in cells)
    return failures <= MAX_UNREADABLE_SHARE * len(cells)


def _cause(example: str, marks: Sequence[str], *, commas: bool) -> str:
    if parse_number(example, "") is not None:
        return "with --decimal , a point only separates thousands"
    if marks == [","] and not commas:
        return "the points in the cells separate thousands"
    if marks == [","]:
        return "the cells have decimal commas"
    if marks == ["."]:
        return "the cells have thousands separators"
    if marks:
        return "a comma in the cells is either a decimal mark or separates thousands"
    if "%" in example:
        return "the cells have percent signs"
    if parse_number(example, "", ",") is not None:
        return "some cells have decimal commas and some have decimal points"
    return "a number is finite and plain, such as 1234.5; nothing else may be in the cell"


def _fix(example: str, marks: Sequence[str]) -> str:
    if len(marks) == 1:
        return f"--decimal {marks[0]}"
    if marks:
        commas, points = (parse_number(example, "", mark) for mark in MARKS)
        if commas is None or points is None:
            return "name the decimal mark: --decimal , or --decimal ."
        return f"--decimal , if {example!r} is {commas:g}; --decimal . if it is {points:g}"
    return "write plain numbers such as 1234.5, or leave the cells empty; or name another --label-column"


def _plain(text: str, mark: DecimalMark | None) -> str | None:
    """Return the number in the notation of Python; None if the text is no number."""
    if _PLAIN.fullmatch(text) and (mark != "," or "." not in text):
        return text
    if mark is None:
        return None
    other = "." if mark == "," else ","
    found = re.fullmatch(
        rf"(?P<whole>[+-]?(?:\d+|\d{{1,3}}(?:(?P<group>[{re.escape(other)}{_SPACES}])\d{{3}}(?:(?P=group)\d{{3}})*)?)?)"
        rf"(?:{re.escape(mark)}(?P<fraction>\d*))?(?P<exponent>[eE][+-]?\d+)?",
        text,
    )
    if found is None or not re.search(r"\d", text):
        return None
    whole = re.sub(rf"[{re.escape(other)}{_SPACES}]", "", found["whole"])
    return f"{whole}.{found['fraction'] or '0'}{found['exponent'] or ''}"


def _finite(value: Any) -> float | None:
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
