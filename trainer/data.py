"""Rows to labelled examples; nothing is dropped without being counted."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream.bundle import Task
from stream.classify.inputs import TextInput
from stream.errors import UsageError
from trainer.columns import Columns, choose_columns
from trainer.tables import read_table

MIN_ROWS_PER_LABEL = 3


Target = str | tuple[str, ...] | float
"""A label; several labels, or a tag for each word; or a number."""


@dataclass(frozen=True, slots=True)
class Example:
    """A labelled text.

    Attributes:
        row: its number in the file, from 1, a header not counted; of several files, counted on through them.
        text: the text as it stands; of a sentence that came in words, the words with a space between.
        target: the label (single-label), the labels' names (multi-label), a tag for each of `words` (token),
            or a number (regression).
        text_pair: the second text of a pair.
        metadata: raw values by column name.
        words: for the task token, start and end of each word in `text`, in characters.
        id: as in the data.
        time: as in the data.
        group: rows of the same group must stand in one part.
        split: "train", "validation" or "test" where the data came with splits.
        extra: a row that was brought for training only.
    """

    row: int
    text: str
    target: Target
    text_pair: str | None = None
    metadata: Mapping[str, Any] | None = None
    words: tuple[tuple[int, int], ...] = ()
    id: str | None = None
    time: str | None = None
    group: str | None = None
    split: str | None = None
    extra: bool = False

    @property
    def input(self) -> TextInput:
        """What a model is given."""
        return TextInput(self.text, self.text_pair, self.metadata)

    @property
    def names(self) -> tuple[str, ...]:
        """Its label, its labels, or its words' tags; nothing for a number."""
        if isinstance(self.target, str):
            return (self.target,)
        return self.target if isinstance(self.target, tuple) else ()

    @property
    def folded(self) -> str:
        """The text without what most tokenizers ignore: case and the amount of white space."""
        both = self.text if self.text_pair is None else f"{self.text}\x1f{self.text_pair}"
        return " ".join(both.split()).casefold()


@dataclass(frozen=True, slots=True)
class Data:
    """What was read.

    Attributes:
        path: the file, or the folder.
        task: what is learnt.
        columns: which column is which.
        examples: the usable rows, in the file's order.
        labels: names in the model's order of logits; for a regression the label column's name; for the task
            token the tags, "O" first.
        no_text: numbers of the rows whose text is missing or blank.
        no_label: numbers of the rows that have a text, but no label.
    """

    path: Path
    task: Task
    columns: Columns
    examples: list[Example]
    labels: list[str]
    no_text: list[int]
    no_label: list[int]

    @property
    def class_counts(self) -> dict[str, int]:
        """Usable rows per label (words per tag), in the labels' order; empty for a regression."""
        if self.task == "regression":
            return {}
        counts = Counter(name for example in self.examples for name in example.names)
        return {label: counts[label] for label in self.labels}


def read_data(
    path: Path,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
) -> Data:
    """Read labelled texts for single-label classification; texts and label names are kept as they stand.

    Raises:
        UsageError: the file, a column or the labels are not fit to learn from.
    """
    table = read_table(path)
    columns = choose_columns(table.columns, text_column, label_column, group_column)
    examples: list[Example] = []
    no_text: list[int] = []
    no_label: list[int] = []
    for number, row in enumerate(table.rows, 1):
        text = _cell(row, columns.text, number)
        label = _cell(row, columns.label, number)
        if text is None:
            no_text.append(number)
        elif label is None:
            no_label.append(number)
        else:
            key, time, group = (
                _cell(row, name, number) if name else None
                for name in (columns.id, columns.time, columns.group)
            )
            examples.append(Example(number, text, label, id=key, time=time, group=group))
    labels = sorted({name for example in examples for name in example.names})
    data = Data(path, "single-label", columns, examples, labels, no_text, no_label)
    _check_labels(data)
    return data


def _cell(row: dict[str, Any], name: str, number: int) -> str | None:
    """A cell as text, or None where there is nothing in it."""
    value = row.get(name)
    if isinstance(value, list | dict | bytes):
        raise UsageError(
            f"row {number}: column {name!r} holds a {type(value).__name__}, not a text",
            why="single-label classification takes one text and one label a row",
            mend="name other columns, or flatten that column",
        )
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        # Numeric labels come as 1.0, or nan where one is missing, from tools that store columns as floats.
        return None if value != value else f"{value:.0f}" if value.is_integer() else str(value)
    return None if value is None or not str(value).strip() else str(value)


def _check_labels(data: Data) -> None:
    counts = data.class_counts
    if len(counts) < 2:
        raise UsageError(
            f"column {data.columns.label!r} has {len(counts)} label(s) in {len(data.examples)} usable rows",
            why=f"two is the least; {len(data.no_text)} rows have no text, {len(data.no_label)} no label",
            mend="check --label-column, or add rows of another label",
        )
    rare = [f"{label!r} ({count})" for label, count in counts.items() if count < MIN_ROWS_PER_LABEL]
    if rare:
        more = f" and {len(rare) - 5} more" if len(rare) > 5 else ""
        raise UsageError(
            f"too few rows for: {', '.join(rare[:5])}{more}",
            why=f"each label needs {MIN_ROWS_PER_LABEL} rows, one each to train, to validate and to test",
            mend="add rows, merge those labels into others, or check --label-column",
        )


def duplicates(examples: Sequence[Example]) -> tuple[int, int]:
    """Count rows whose text (case and spaces aside) came before, and texts that bear more than one label."""
    labels: dict[str, set[Target]] = defaultdict(set)
    for example in examples:
        labels[example.folded].add(example.target)
    return len(examples) - len(labels), sum(len(found) > 1 for found in labels.values())
