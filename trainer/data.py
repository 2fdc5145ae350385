"""Rows to labelled examples; nothing is dropped without being counted."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream.errors import UsageError
from trainer.columns import Columns, choose_columns
from trainer.tables import read_table

MIN_ROWS_PER_LABEL = 3


@dataclass(frozen=True, slots=True)
class Example:
    """A labelled text; `row` is its number in the file, from 1, a header not counted."""

    row: int
    text: str
    label: str
    id: str | None = None
    time: str | None = None
    group: str | None = None

    @property
    def folded(self) -> str:
        """The text without what most tokenizers ignore: case and the amount of white space."""
        return " ".join(self.text.split()).casefold()


@dataclass(frozen=True, slots=True)
class Data:
    """What a file holds.

    Attributes:
        path: the file.
        columns: which column is which.
        examples: the usable rows, in the file's order.
        labels: the label names, sorted; their order is the model's order of logits.
        no_text: numbers of the rows whose text is missing or blank.
        no_label: numbers of the rows that have a text, but no label.
    """

    path: Path
    columns: Columns
    examples: list[Example]
    labels: list[str]
    no_text: list[int]
    no_label: list[int]

    @property
    def class_counts(self) -> dict[str, int]:
        """Usable rows per label, in the labels' order."""
        counts = Counter(example.label for example in self.examples)
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
            rest = (
                _cell(row, name, number) if name else None
                for name in (columns.id, columns.time, columns.group)
            )
            examples.append(Example(number, text, label, *rest))
    labels = sorted({example.label for example in examples})
    data = Data(path, columns, examples, labels, no_text, no_label)
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
    labels: dict[str, set[str]] = defaultdict(set)
    for example in examples:
        labels[example.folded].add(example.label)
    return len(examples) - len(labels), sum(len(found) > 1 for found in labels.values())
