"""Fit the metadata encoder: which columns are numeric or categorical, their scales and their categories."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from stream.bundle import CategoricalColumn, MetadataColumn, NumericColumn
from stream.classify import as_category, as_number
from trainer.data.examples import Example

MIN_NUMERIC_SHARE = 0.95
"""The share of a column's present values that must be numbers for the column to be numeric."""
MAX_INTEGER_CATEGORIES = 20
"""A column of integers with at most this many distinct values is categorical, such as 1 to 5 stars."""
MIN_CATEGORY_ROWS = 2
"""A category with fewer rows is trained as "unseen", so that unseen categories meet trained weights."""
MAX_CATEGORIES = 1000


def fit_metadata(examples: Sequence[Example], names: Sequence[str]) -> list[MetadataColumn]:
    """Return the column descriptions for `stream.classify.metadata.MetadataEncoder`, in the order of `names`.

    A column is numeric if 95% of its present values are numbers and these have fractions or more than 20
    distinct values; otherwise it is categorical. The mean and the standard deviation are those of the
    numbers; a constant column has a standard deviation of 1. Categories that occur in one row only, and those
    beyond the 1,000 most frequent, are encoded as "unseen".

    Args:
        examples: the training examples; fitting on other splits would leak them.
        names: the metadata columns.
    """
    return [_fit_column(name, [(example.metadata or {}).get(name) for example in examples]) for name in names]


def missing_shares(examples: Sequence[Example], columns: Sequence[MetadataColumn]) -> list[float]:
    """Return for each column the share of rows without a value, or without a number in a numeric column."""
    parsers = [as_number if isinstance(column, NumericColumn) else as_category for column in columns]
    return [
        sum(parse((example.metadata or {}).get(column.name)) is None for example in examples)
        / max(1, len(examples))
        for column, parse in zip(columns, parsers, strict=True)
    ]


def _fit_column(name: str, values: Sequence[Any]) -> MetadataColumn:
    present = [category for value in values if (category := as_category(value)) is not None]
    numbers = [number for value in present if (number := as_number(value)) is not None]
    if _is_numeric(present, numbers):
        mean, std = float(np.mean(numbers)), float(np.std(numbers))
        return NumericColumn(name=name, mean=mean, std=std if std > 0 else 1.0)
    counts = Counter(present)
    most_frequent = sorted(counts, key=lambda value: (-counts[value], value))[:MAX_CATEGORIES]
    categories = sorted(value for value in most_frequent if counts[value] >= MIN_CATEGORY_ROWS)
    return CategoricalColumn(name=name, values=categories)


def _is_numeric(present: Sequence[str], numbers: Sequence[float]) -> bool:
    if not numbers or len(numbers) < MIN_NUMERIC_SHARE * len(present):
        return False
    return len(set(numbers)) > MAX_INTEGER_CATEGORIES or not all(number.is_integer() for number in numbers)
