"""Labelled examples, and the data set that they form."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream.bundle import Task
from stream.classify import TextInput
from trainer.data.columns import Columns

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
        no_label: the numbers of the rows that have a text but no label.
        files: the files that were read; empty if the `datasets` library read them.
        notes: one line for each guess, correction and skipped file.
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

    @property
    def class_counts(self) -> dict[str, int]:
        """The number of examples per label, or of words per tag; empty for a regression."""
        if self.task == "regression":
            return {}
        counts = Counter(label for example in self.examples for label in example.labels)
        return {label: counts[label] for label in self.labels}
