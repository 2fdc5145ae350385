"""Metadata to the numbers that a graph reads, as the bundle's encoders have it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.bundle.manifest import CategoricalColumn, MetadataColumn, NumericColumn

# So far off, a number says no more, and half precision still holds it.
MOST_DEVIATIONS = 1e4
MISSING = 0.0
UNSEEN = 1.0
FIRST_VALUE = 2


class MetadataEncoder:
    """Turns the metadata of rows into float32 [rows, columns]; never fails, whatever an event carries."""

    def __init__(self, columns: Sequence[MetadataColumn]) -> None:
        self._columns = columns
        self._places = [
            {value: float(at) for at, value in enumerate(column.values, FIRST_VALUE)}
            if isinstance(column, CategoricalColumn)
            else {}
            for column in columns
        ]

    def encode(self, rows: Sequence[Mapping[str, Any] | None]) -> npt.NDArray[np.float32]:
        """Encode rows.

        Args:
            rows: metadata by column name; None, an absent name, null and the empty text are missing values,
                and so is, in a column of numbers, what is not a finite number.

        Returns:
            float32 [rows, columns], a number column taking two of them: deviations from the mean, at most
            10,000 either way, and whether it is missing.
        """
        width = sum(column.width for column in self._columns)
        return np.array([self._row(row or {}) for row in rows], dtype=np.float32).reshape(len(rows), width)

    def _row(self, row: Mapping[str, Any]) -> list[float]:
        found: list[float] = []
        for column, places in zip(self._columns, self._places, strict=True):
            value = row.get(column.name)
            if isinstance(column, NumericColumn):
                number = as_number(value)
                found += [0.0, 1.0] if number is None else [_standardised(number, column), 0.0]
            else:
                name = as_category(value)
                found.append(MISSING if name is None else places.get(name, UNSEEN))
        return found


def _standardised(number: float, column: NumericColumn) -> float:
    deviations = (number - column.mean) / column.std
    return max(-MOST_DEVIATIONS, min(deviations, MOST_DEVIATIONS))


def as_number(value: Any) -> float | None:
    """A finite number, also one that is written as a text; None for everything else."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def as_category(value: Any) -> str | None:
    """A value's name: texts as they stand, true and false as JSON has them, whole numbers without a point."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return None if math.isnan(value) else f"{value:.0f}" if value.is_integer() else str(value)
    return str(value)
