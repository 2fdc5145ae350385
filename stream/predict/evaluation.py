"""The evaluation of predictions against a column of the input: `labelstream predict --evaluate-with`."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from stream.bundle import Manifest
from stream.classify import as_number
from stream.errors import UsageError
from stream.predict.gold_labels import GoldLabels, shown
from stream.predict.metrics import (
    LabelFigures,
    LabelSetFigures,
    NumberFigures,
    format_figures,
)
from stream.predict.row_reader import check_column
from stream.tables import NUMBER_NULL_TEXTS
from stream.wording import count_of


class Comparison(Protocol):
    """Compares the predictions of one kind of head with cells."""

    def add(self, cell: Any, members: Mapping[str, Any], row: int) -> bool:
        """Add a row, and return False if its cell is empty.

        Args:
            cell: the cell of the column.
            members: the members of the prediction, with the scores of all labels.
            row: the row's number.
        """

    def figures(self) -> tuple[int, dict[str, float]]:
        """Return the number of rows and the figures by name."""

    def notes(self) -> Iterator[str]:
        """Yield notes on cells that the figures count as wrong."""


class Evaluation:
    """Compares the predictions of rows with a column of the input."""

    def __init__(self, manifest: Manifest, column: str, names: Sequence[str] | None = None) -> None:
        """
        Args:
            manifest: the bundle's manifest.
            column: the column with the labels, or with the numbers of a regression.
            names: the names of the labels 0, 1, …, if the column has these numbers.

        Raises:
            UsageError: the bundle predicts spans.
        """
        if manifest.head == "token":
            raise UsageError(
                "--evaluate-with cannot be used with this bundle",
                cause="it predicts spans, which a single column does not describe",
                fix="labelstream evaluate BUNDLE DATA",
            )
        self._column = column
        self._comparison = _comparison(manifest, column, names)
        self._found = False
        self._empty = self._failed = 0

    def check_header(self, header: Sequence[str]) -> None:
        """Check that a CSV file has the column, before the first prediction.

        Raises:
            UsageError: the file lacks the column.
        """
        check_column("--evaluate-with", self._column, header, fix="name the column with the labels")

    def add(self, cells: Mapping[str, Any], members: Mapping[str, Any] | None, row: int) -> None:
        """Add a row.

        Args:
            cells: the cells of the row.
            members: the members of the prediction; None if the row has none.
            row: the row's number.

        Raises:
            UsageError: the cell cannot be compared with the labels of the bundle.
        """
        self._found = self._found or self._column in cells
        if members is None:
            self._failed += 1
        elif not self._comparison.add(cells.get(self._column), members, row):
            self._empty += 1

    def lines(self) -> list[str]:
        """Return the figures, and what they leave out or count as wrong, as lines.

        Raises:
            UsageError: no row can be evaluated.
        """
        rows, figures = self._comparison.figures()
        if not rows:
            raise UsageError(
                "there is nothing to evaluate",
                cause=f"no row {'with a prediction has a value' if self._found else 'has a column'} "
                + (f"in column {self._column!r}" if self._found else repr(self._column)),
                fix="name the column with the labels in --evaluate-with, or leave it out",
            )
        left_out = [
            f"{count_of(count, 'row')} {what}"
            for count, what in ((self._empty, "without a value"), (self._failed, "without a prediction"))
            if count
        ]
        without = f"; not counted: {', '.join(left_out)}" if left_out else ""
        compared = f"{format_figures(figures)} on {count_of(rows, 'row')}"
        line = f"compared with column {self._column!r}: {compared}{without}"
        return [line, *self._comparison.notes()]


def _comparison(manifest: Manifest, column: str, names: Sequence[str] | None) -> Comparison:
    if manifest.head == "regression":
        return _Numbers(column)
    labels = GoldLabels(manifest, column, names)
    if manifest.head == "multi-label":
        return _LabelSets(manifest, labels)
    return _Labels(manifest, labels)


class _Labels:
    def __init__(self, manifest: Manifest, labels: GoldLabels) -> None:
        self._labels = labels
        self._figures = LabelFigures()
        self._unknown = _UnknownLabels(manifest.labels)
        self._values = dict(zip(manifest.labels, manifest.values or (), strict=False))
        self._numbers = NumberFigures()

    def add(self, cell: Any, members: Mapping[str, Any], row: int) -> bool:
        gold = self._labels.one(cell, row)
        if gold is None:
            return False
        self._unknown.add([gold])
        # The scores are ordered, and an abstaining bundle gives scores without a label.
        self._figures.add(gold, next(iter(members["scores"])), answered=members.get("label") is not None)
        if gold in self._values:
            self._numbers.add(self._values[gold], members["value"])
        return True

    def figures(self) -> tuple[int, dict[str, float]]:
        rows = self._figures.rows
        found = self._figures.figures() if rows else {}
        if self._numbers.rows:
            found["MAE"] = self._numbers.mean_error()
        return rows, found

    def notes(self) -> Iterator[str]:
        yield from self._unknown.notes()


class _LabelSets:
    def __init__(self, manifest: Manifest, labels: GoldLabels) -> None:
        self._labels = labels
        self._figures = LabelSetFigures()
        self._unknown = _UnknownLabels(manifest.labels)

    def add(self, cell: Any, members: Mapping[str, Any], row: int) -> bool:
        gold = self._labels.several(cell, row)
        if gold is None:
            return False
        self._unknown.add(sorted(gold))
        self._figures.add(gold, members["labels"])
        return True

    def figures(self) -> tuple[int, dict[str, float]]:
        return self._figures.rows, self._figures.figures() if self._figures.rows else {}

    def notes(self) -> Iterator[str]:
        yield from self._unknown.notes()


class _Numbers:
    def __init__(self, column: str) -> None:
        self._column = column
        self._figures = NumberFigures()

    def add(self, cell: Any, members: Mapping[str, Any], row: int) -> bool:
        number = None if isinstance(cell, bool) else as_number(cell)
        if number is None:
            text = str(cell).strip().lower() if isinstance(cell, str | float) else cell
            if text is None or (isinstance(text, str) and text in NUMBER_NULL_TEXTS):
                return False
            raise UsageError(
                f"row {row}: column {self._column!r} holds {str(cell)[:40]!r}",
                cause="it is not a number such as 3.5, and the bundle predicts numbers",
                fix="write plain numbers, leave the cell empty, or name another column in --evaluate-with",
            )
        self._figures.add(number, members["value"])
        return True

    def figures(self) -> tuple[int, dict[str, float]]:
        return self._figures.rows, self._figures.figures() if self._figures.rows else {}

    def notes(self) -> Iterator[str]:
        yield from ()


class _UnknownLabels:
    """Counts the labels that the bundle cannot predict."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = frozenset(labels)
        self._listed = labels
        self._known = 0
        self._counts: Counter[str] = Counter()

    def add(self, labels: Sequence[str]) -> None:
        unknown = [label for label in labels if label not in self._labels]
        self._known += len(labels) - len(unknown)
        self._counts.update(unknown)

    def notes(self) -> Iterator[str]:
        """Yield a note on the labels that the bundle lacks.

        Raises:
            UsageError: it lacks all of them.
        """
        if not self._counts:
            return
        names = [label for label, _ in self._counts.most_common()]
        if not self._known:
            raise UsageError(
                "no label of the column is a label of the bundle",
                cause=f"the column has {shown(names)}, and the bundle {shown(self._listed)}",
                fix="name the column with the labels in --evaluate-with",
            )
        total = self._counts.total()
        verb = "counts" if total == 1 else "count"
        yield f"{count_of(total, 'label')} that the bundle does not have {verb} as wrong: {shown(names)}"
