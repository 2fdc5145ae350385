"""Encoding of metadata: the values of the bundle's columns become the numbers that the graph reads."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.bundle import CategoricalColumn, MetadataColumn, NumericColumn

# A larger deviation carries no more information, and this one still fits into half precision.
MAX_DEVIATIONS = 1e4
MISSING_CATEGORY = 0.0
UNSEEN_CATEGORY = 1.0
FIRST_CATEGORY = 2
UNREADABLE = "\0unreadable"


class MetadataEncoder:
    """Encodes the metadata of rows as float32 [rows, columns]; it accepts any value and never raises."""

    def __init__(self, columns: Sequence[MetadataColumn]) -> None:
        self._columns = columns
        self._categories = [
            {value: float(code) for code, value in enumerate(column.values, FIRST_CATEGORY)}
            if isinstance(column, CategoricalColumn)
            else {}
            for column in columns
        ]

    def encode(self, rows: Sequence[Mapping[str, Any] | None]) -> npt.NDArray[np.float32]:
        """Encode rows.

        Args:
            rows: the metadata of each row by column name. A value is missing if the mapping or the name is
                absent, or if the value is null, the empty text or, in a numeric column, not a finite number.

        Returns:
            float32 [rows, graph columns]. A numeric column has two graph columns: the deviations from the
            mean, from -10,000 to 10,000, and 1.0 if the value is missing.
        """
        width = sum(column.width for column in self._columns)
        return np.array([self._encode_row(row or {}) for row in rows], dtype=np.float32).reshape(
            len(rows), width
        )

    def _encode_row(self, row: Mapping[str, Any]) -> list[float]:
        encoded: list[float] = []
        for column, categories in zip(self._columns, self._categories, strict=True):
            value = row.get(column.name)
            if isinstance(column, NumericColumn):
                number = as_number(value)
                encoded += [0.0, 1.0] if number is None else [_standardize(number, column), 0.0]
            else:
                category = as_category(value)
                code = MISSING_CATEGORY if category is None else categories.get(category, UNSEEN_CATEGORY)
                encoded.append(code)
        return encoded


def _standardize(number: float, column: NumericColumn) -> float:
    deviations = (number - column.mean) / column.std
    return max(-MAX_DEVIATIONS, min(deviations, MAX_DEVIATIONS))


def as_number(value: Any) -> float | None:
    """Convert a value to a finite number, also from a text; return None if that is impossible."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def as_category(value: Any) -> str | None:
    """Convert a value to a category; return None if it is missing.

    Texts stay as they are, booleans are written as in JSON, and whole numbers without a decimal point.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return None if math.isnan(value) else f"{value:.0f}" if value.is_integer() else str(value)
    try:
        return str(value)
    except (ValueError, RecursionError):
        # Python writes neither integers of thousands of digits nor deeply nested values. No training data has
        # them, so such a category is unseen.
        return UNREADABLE
