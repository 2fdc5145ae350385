"""The columns of the input as properties of rows: columns with few values, and numbers in ranges."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from stream.classify import as_category, as_number
from trainer.data.examples import MAX_INTEGER_CATEGORIES, MIN_NUMERIC_SHARE, Example
from trainer.evaluation.analysis.answers import show_number

MAX_VALUES = 50
"""The number of different values up to which each value of a column is a slice."""

MAX_COLUMNS = 100
QUANTILES = 4
MISSING = "missing"


@dataclass(frozen=True, slots=True)
class ColumnValues:
    """The columns that slices are made of.

    Attributes:
        values: the value of each row, by the name of the column.
        skipped: the columns with too many different values.
        left_out: the columns beyond the limit.
    """

    values: dict[str, list[str]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def column_values(
    columns: Mapping[str, Sequence[str]], examples: Sequence[Example], labels: Sequence[str]
) -> ColumnValues:
    """Return the columns of the input and the metadata that slices are made of.

    The text, the target and the identifiers of rows make no slices. Numbers with fractions or with more than
    20 different values are grouped by quartiles.

    Args:
        columns: the columns of the input by name, a value per row.
        examples: the rows.
        labels: the labels of the model; a column of this name is part of the target.
    """
    found = ColumnValues()
    for name, values in _with_metadata(columns, examples).items():
        if len(set(values)) < 2 or _is_role(name, values, examples, labels):
            continue
        grouped = _grouped(values)
        if grouped is None:
            found.skipped.append(name)
        elif len(found.values) < MAX_COLUMNS:
            found.values[name] = grouped
        else:
            found.left_out.append(name)
    return found


def _with_metadata(columns: Mapping[str, Sequence[str]], examples: Sequence[Example]) -> dict[str, list[str]]:
    names = dict.fromkeys(name for example in examples for name in example.metadata or ())
    metadata = {
        name: [as_category((example.metadata or {}).get(name)) or "" for example in examples]
        for name in names
        if name not in columns
    }
    return {**{name: [*values] for name, values in columns.items()}, **metadata}


def _is_role(name: str, values: Sequence[str], examples: Sequence[Example], labels: Sequence[str]) -> bool:
    """Return whether a column holds texts, targets or identifiers."""
    if name in labels:
        return True
    for role in ("text", "text_pair", "id"):
        if all(value == getattr(example, role) for value, example in zip(values, examples, strict=True)):
            return True
    targets = [example.target for example in examples]
    if all(isinstance(target, float) for target in targets):
        return [as_number(value) for value in values] == targets
    pairs = set(zip(values, targets, strict=True))
    # A column with one value per target, and the reverse, is another spelling of the target.
    if len(pairs) == len(set(values)) == len(set(targets)) < len(values):
        return True
    numbers = [as_number(value) for value in values]
    # Consecutive numbers count the rows.
    return len(values) > 2 and all(
        a is not None and b is not None and b - a == 1 for a, b in pairwise(numbers)
    )


def _grouped(values: Sequence[str]) -> list[str] | None:
    """Return values that slices can be made of; None if there are too many different ones."""
    present = [value.strip() for value in values]
    numbers = [as_number(value) for value in present]
    known = [number for number in numbers if number is not None]
    fractions = not all(number.is_integer() for number in known)
    filled = sum(map(bool, present))
    if len(known) >= MIN_NUMERIC_SHARE * filled and len(set(known)) > (
        QUANTILES if fractions else MAX_INTEGER_CATEGORIES
    ):
        return _quantile_ranges(numbers)
    if len(Counter(present)) > MAX_VALUES:
        return None
    return [value or MISSING for value in present]


def _quantile_ranges(numbers: Sequence[float | None]) -> list[str]:
    """Return the range between two quartiles that each number lies in, such as "1.5 to 3"."""
    known = np.array([number for number in numbers if number is not None])
    ends = np.unique(np.quantile(known, np.linspace(0, 1, QUANTILES + 1)[1:], method="inverted_cdf"))
    bins = np.searchsorted(ends, known)
    names = {}
    for at in np.unique(bins).tolist():
        low, high = (show_number(edge) for edge in (known[bins == at].min(), known[bins == at].max()))
        names[at] = low if low == high else f"{low} to {high}"
    of_known = iter(bins.tolist())
    return [MISSING if number is None else names[next(of_known)] for number in numbers]
