"""Convert the choices of an annotation tool to labels: lists with one choice, objects, and scores."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from stream.bundle import Task
from stream.errors import UsageError
from trainer.data.columns import LABELS_NAMES, WORD_NAMES, RequestedColumns
from trainer.data.files import Table

CHOICE_NAMES = (*LABELS_NAMES, "accept", "cats", "choice", "choices")
CHOICES = "choices"


def convert_choices(
    table: Table, requested: RequestedColumns, task: Task, name: str, first_row: int
) -> Table:
    """Return the table with labels in place of choices, if exactly one column holds choices.

    For a single label, a list of one choice becomes the choice.

    Args:
        table: the rows.
        requested: the columns that the user named.
        task: the task.
        name: the name of the source, for messages.
        first_row: the number of the first row.

    Raises:
        UsageError: the task has a single label, and a row has several choices; or an object holds scores or
            counts.
    """
    column = None if requested.labels else _choice_column(table, requested)
    if column is None:
        return table
    rows = []
    for number, row in enumerate(table.rows, first_row):
        _check_scores(row.get(column), f"{name}, row {number}: column {column!r}")
        choices = _choices(row.get(column))
        if task == "multi-label" or not isinstance(choices, list):
            rows.append({**row, column: choices})
            continue
        if len(choices) > 1:
            raise UsageError(
                f"{name}, row {number}: column {column!r} holds a list of {len(choices)} labels",
                cause=f"the task {task} has one label per row, and the row has {str(choices)[:60]}",
                fix="use --task multi-label, or keep one label per row",
            )
        rows.append({**row, column: choices[0] if choices else None})
    text = requested.text or next((c for c in ("text", "data") if c in table.columns), None)
    default = (text, column) if text is not None and task != "pair" else table.default_columns
    return replace(table, rows=rows, default_columns=default)


def _choice_column(table: Table, requested: RequestedColumns) -> str | None:
    """Return the only column that holds choices, or the only one with the name of a label."""
    if requested.label is not None:
        return requested.label if _holds_choices(table, requested.label) else None
    named = [column for column in table.columns if column.lower() in CHOICE_NAMES]
    if any(_holds_labels(table, column) for column in named):
        return None
    others = [column for column in table.columns if column not in named and column.lower() not in WORD_NAMES]
    for columns in (named, others):
        found = [column for column in columns if _holds_choices(table, column)]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _holds_choices(table: Table, column: str) -> bool:
    """Return True if every filled cell holds choices or a single label, and at least one holds choices."""
    cells = [_choices(cell) for row in table.rows if (cell := row.get(column)) is not None]
    choices = [cell for cell in cells if isinstance(cell, list)]
    return (
        any(choices)
        and all(isinstance(cell, list | str) for cell in cells)
        and all(isinstance(choice, str | int | float) for cell in choices for choice in cell)
    )


def _holds_labels(table: Table, column: str) -> bool:
    """Return True if the cells of a column are labels that need no conversion."""
    cells = [cell for row in table.rows if (cell := row.get(column)) is not None]
    return bool(cells) and all(isinstance(cell, str | int | float) for cell in cells)


def _choices(cell: Any) -> Any:
    """Return the choices of a cell as a list; other cells are returned unmodified."""
    if not isinstance(cell, Mapping):
        return cell
    if isinstance(cell.get(CHOICES), list):
        return cell[CHOICES]
    if cell and all(isinstance(score, int | float) for score in cell.values()):
        return [category for category, score in cell.items() if score]
    return cell


def _check_scores(cell: Any, position: str) -> None:
    """Refuse an object of scores or counts, which do not say what labels apply."""
    if not isinstance(cell, Mapping) or isinstance(cell.get(CHOICES), list):
        return
    numbers = {key: value for key, value in cell.items() if isinstance(value, int | float)}
    other = next((key for key, value in numbers.items() if value not in (0, 1)), None)
    if other is not None:
        raise UsageError(
            f"{position} holds scores or counts, not labels: {other!r} has {numbers[other]}",
            cause="in an object, 1 or true marks a label that applies, and 0 or false one that does not",
            fix='write 0 and 1, or the list of the labels that apply: ["a", "b"]',
        )
