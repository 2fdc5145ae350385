"""Metadata columns: which are numbers and which are names, and what an encoder has to know of them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from stream.bundle import CategoricalColumn, MetadataColumn, NumericColumn
from stream.classify import as_category, as_number
from trainer.data.examples import Example

NUMERIC_SHARE = 0.95
"""Of the values that are there, so many must be numbers for a column to count as numeric."""
NUMERIC_DISTINCT = 20
"""Whole numbers with this many different values or fewer are names, such as 1 to 5 stars."""
LEAST_ROWS = 2
"""A name that occurs in fewer rows is taught as unseen, so that unseen names meet trained weights."""
MOST_NAMES = 1000


def fit_metadata(examples: Sequence[Example], names: Sequence[str]) -> list[MetadataColumn]:
    """What `stream.classify.metadata.MetadataEncoder` needs, in the order of `names`.

    A column is numeric when 95% of its values are numbers and they have fractions or more than 20 different
    values; else its values are names. Mean and standard deviation are of the numbers that are there; a
    constant column gets a standard deviation of 1. Names of one row only, and those beyond the thousand most
    frequent, are left to "unseen".

    Args:
        examples: training rows; the others must not tell anything.
        names: columns of `Example.metadata`.
    """
    return [_fit(name, [(example.metadata or {}).get(name) for example in examples]) for name in names]


def missing_shares(examples: Sequence[Example], columns: Sequence[MetadataColumn]) -> list[float]:
    """For each column the share of rows without a value, or without a number in a column of numbers."""
    read = [as_number if isinstance(column, NumericColumn) else as_category for column in columns]
    return [
        sum(of((example.metadata or {}).get(column.name)) is None for example in examples)
        / max(1, len(examples))
        for column, of in zip(columns, read, strict=True)
    ]


def _fit(name: str, values: Sequence[Any]) -> MetadataColumn:
    present = [found for value in values if (found := as_category(value)) is not None]
    numbers = [number for value in present if (number := as_number(value)) is not None]
    if _numeric(present, numbers):
        mean, std = float(np.mean(numbers)), float(np.std(numbers))
        return NumericColumn(name=name, mean=mean, std=std if std > 0 else 1.0)
    counts = Counter(present)
    often = sorted(counts, key=lambda value: (-counts[value], value))[:MOST_NAMES]
    return CategoricalColumn(name=name, values=sorted(v for v in often if counts[v] >= LEAST_ROWS))


def _numeric(present: Sequence[str], numbers: Sequence[float]) -> bool:
    if not numbers or len(numbers) < NUMERIC_SHARE * len(present):
        return False
    return len(set(numbers)) > NUMERIC_DISTINCT or not all(number.is_integer() for number in numbers)
