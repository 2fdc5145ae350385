"""Cells of a table: their text, and whether they hold a value at all."""

import re
from typing import Any

from stream.classify import as_category
from stream.tables import AMBIGUOUS_NULL_TEXTS, NULL_TEXTS, NUMBER_NULL_TEXTS

EXCEL_ERRORS = frozenset(
    {"#name?", "#ref!", "#value!", "#div/0!", "#null!", "#num!", "#n/a", "#spill!", "#calc!", "#getting_data"}
)
"""The errors, in lower case, that Excel shows in place of the value of a formula."""

ZERO_WIDTH = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"


class CellError(Exception):
    """A cell does not have the format that the task requires.

    The message begins with the column; the caller knows the file and the row.

    Args:
        message: the failure, in one line.
        cause: the cause, in one line.
        fix: the action that corrects it, in one line.
    """

    def __init__(self, message: str, *, cause: str, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.fix = fix


def as_text(value: Any, column: str) -> str | None:
    """Return a cell as text, or None if it is empty.

    Raises:
        CellError: the cell holds a list, an object or bytes.
    """
    if isinstance(value, list | tuple | dict | bytes):
        raise CellError(
            f"column {column!r} holds a {type(value).__name__}, not a text",
            cause="the column must hold a single value per row",
            fix="name another column or --task (multi-label and token accept lists), or flatten the column",
        )
    # Tools that store columns as floats write numeric labels as 1.0, and a missing label as nan.
    text = as_category(value)
    return text if text is not None and text.strip() else None


def unwrap_formula(cell: Any) -> Any:
    """Return the text of a formula of Excel that is a constant, such as `="ham"`; other cells unmodified."""
    if not isinstance(cell, str) or not cell.startswith('="'):
        return cell
    found = re.fullmatch(r'="((?:[^"]|"")*)"\s*', cell)
    return found[1].replace('""', '"') if found else cell


def trim(text: str) -> str:
    """Remove white space and invisible characters from both ends of a text."""
    while (stripped := text.strip().strip(ZERO_WIDTH)) != text:
        text = stripped
    return text


def is_null(text: str) -> bool:
    """Return whether a text is a spelling of a missing value that names no class."""
    return trim(text).lower() in NULL_TEXTS


def may_be_missing(text: str) -> bool:
    """Return whether a text may stand for a missing value: a null, an error of Excel, or nothing."""
    trimmed = trim(text).lower()
    return not trimmed or trimmed in NULL_TEXTS | AMBIGUOUS_NULL_TEXTS | EXCEL_ERRORS


def is_number_null(text: str) -> bool:
    """Return whether a text in a column of numbers is a spelling of a missing value."""
    return trim(text).lower() in NUMBER_NULL_TEXTS


def shorten(text: str, length: int = 40) -> str:
    """Return the quoted beginning of a text, for a message."""
    return repr(text if len(text) <= length else text[:length] + "…")
