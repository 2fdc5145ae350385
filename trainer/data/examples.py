"""Labelled examples, the data set and the splits that they form, and the fitted columns of their metadata."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from stream.bundle import CategoricalColumn, MetadataColumn, NumericColumn, Task
from stream.classify import TextInput, as_category, as_number
from trainer.config import TagScheme
from trainer.data.columns import Columns
from trainer.data.input_rows import InputRows
from trainer.data.tag_spelling import tag_scheme

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}
"""The share of the rows of each split, in the order of the splits."""

MIN_NUMERIC_SHARE = 0.95
"""The share of a column's present values that must be numbers for the column to be numeric."""
MAX_INTEGER_CATEGORIES = 20
"""A column of integers with at most this many distinct values is categorical, such as 1 to 5 stars."""
MIN_CATEGORY_ROWS = 2
"""A category with fewer rows is trained as "unseen", so that unseen categories meet trained weights."""
MAX_CATEGORIES = 1000

Target = str | tuple[str, ...] | float
"""A label (single-label), labels (multi-label), the tag of each word (token), or a number (regression)."""


@dataclass(frozen=True, slots=True)
class Example:
    """A labelled text.

    Attributes:
        row: the row number, from 1, not counting a header; numbering continues over all files.
        text: the unmodified text; if the row holds a list of words, the words joined by spaces.
        target: the label, labels, tags or number that the model learns to predict.
        text_pair: the second text of a pair.
        metadata: the raw metadata values by column name.
        word_spans: for the task token, the start and end of each word in `text`, in characters.
        id: the value of the id column.
        time: the value of the time column.
        group: the value of the group column; all rows of a group belong to the same split.
        split: "train", "validation" or "test" if the data come with splits.
        extra: whether the row comes from `--extra-train` and is used for training only.
    """

    row: int
    text: str
    target: Target
    text_pair: str | None = None
    metadata: Mapping[str, Any] | None = None
    word_spans: tuple[tuple[int, int], ...] = ()
    id: str | None = None
    time: str | None = None
    group: str | None = None
    split: str | None = None
    extra: bool = False

    @property
    def input(self) -> TextInput:
        """The model input of the example."""
        return TextInput(self.text, self.text_pair, self.metadata)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the example, or the tags of its words; empty for a regression."""
        if isinstance(self.target, str):
            return (self.target,)
        return self.target if isinstance(self.target, tuple) else ()

    @property
    def normalised_text(self) -> str:
        """The case-folded texts with white space collapsed; equal for duplicates."""
        return "\x1f".join(" ".join(text.split()).casefold() for text in (self.text, self.text_pair) if text)


@dataclass(frozen=True, slots=True)
class Data:
    """A labelled data set.

    Attributes:
        path: the file, folder or Hub id that was read.
        task: the task that the model learns.
        columns: the column names by role.
        examples: the usable rows, in file order.
        labels: the label names in the order of the logits; for a regression the name of the label column; for
            the task token the tags, "O" first.
        no_text: the numbers of the rows whose text is missing or blank.
        no_label: the numbers of the rows that have a text but no usable label.
        files: the files that were read; empty if the `datasets` library read them.
        notes: one line for each guess, correction and skipped file.
        no_number: for a regression, those rows of `no_label` whose cell is neither empty nor a number.
        scheme: for the task token, how tags are read; None if the labels show it.
        rows: the cells of every row as they were read, in file order, with the names of their columns.
    """

    path: Path
    task: Task
    columns: Columns
    examples: list[Example]
    labels: list[str]
    no_text: list[int]
    no_label: list[int]
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    no_number: list[int] = field(default_factory=list)
    scheme: TagScheme | None = None
    rows: InputRows = field(default_factory=InputRows)

    @property
    def empty_labels(self) -> list[int]:
        """The numbers of the rows that have a text and an empty label cell."""
        return sorted(set(self.no_label) - set(self.no_number))

    @property
    def marks_spans(self) -> bool:
        """Whether the tags mark spans, as BIO; if not, each word has a tag of its own."""
        return (self.scheme or tag_scheme(self.labels)) == "bio"

    @property
    def class_counts(self) -> dict[str, int]:
        """The number of examples per label, or of words per tag; empty for a regression."""
        if self.task == "regression":
            return {}
        counts = Counter(label for example in self.examples for label in example.labels)
        return {label: counts[label] for label in self.labels}


@dataclass(frozen=True, slots=True)
class Splits:
    """Three disjoint splits, each in the order of the data.

    Attributes:
        train: the examples that the model is trained on.
        validation: the examples that select the checkpoint.
        test: the examples that the final metrics are computed on.
        dropped: extra training rows whose text occurs in validation or test.
    """

    train: list[Example]
    validation: list[Example]
    test: list[Example]
    dropped: list[Example] = field(default_factory=list)

    @property
    def sizes(self) -> dict[str, int]:
        """The number of examples of each split."""
        return {name: len(getattr(self, name)) for name in SHARES}


def fit_metadata(examples: Sequence[Example], names: Sequence[str]) -> list[MetadataColumn]:
    """Return the column descriptions for `stream.classify.MetadataEncoder`, in the order of `names`.

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
