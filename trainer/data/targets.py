"""Cells to targets: a label, several labels, a number, or a tag for each word."""

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stream.bundle import Task
from stream.classify.metadata import as_category, as_number
from stream.errors import UsageError

SEPARATORS = (",", "|", ";")
YES, NO = ("1", "true", "yes"), ("0", "false", "no")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LabelRules:
    """How a row's target is read.

    Attributes:
        column: of the label.
        columns: of 0 and 1, one for each label, in place of `column`.
        separator: between labels in one cell; None where a cell is one label or a list.
        names: what integers stand for; None where labels stand in the cells themselves.
    """

    column: str
    columns: tuple[str, ...] = ()
    separator: str | None = None
    names: Sequence[str] | None = None


def as_text(value: Any, column: str, number: int) -> str | None:
    """A cell as text, or None where there is nothing in it.

    Raises:
        UsageError: it holds no single value.
    """
    if isinstance(value, list | tuple | dict | bytes):
        raise UsageError(
            f"row {number}: column {column!r} holds a {type(value).__name__}, not a text",
            cause="one value a row is wanted there",
            fix="name another column or --task (multi-label and token take lists), or flatten that column",
        )
    # Numeric labels come as 1.0, or nan where one is missing, from tools that store columns as floats.
    found = as_category(value)
    return found if found is not None and found.strip() else None


def as_list(value: Any, column: str, number: int) -> list[Any] | None:
    """A cell as a list, also one that is written out as JSON or Python has it; None for anything else.

    Raises:
        UsageError: it looks like a list that is written out, and is none.
    """
    if isinstance(value, list | tuple):
        return list(value)
    text = value.strip() if isinstance(value, str) else ""
    if not (text.startswith("[") and text.endswith("]")):
        return None
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        raise UsageError(
            f"row {number}: column {column!r} holds a list that cannot be read",
            cause=f"it begins {text[:40]!r}",
            fix='write it as ["a", "b"]',
        ) from None
    return list(found)


def target_reader(
    task: Task, rules: LabelRules
) -> Callable[[Row, int], str | tuple[str, ...] | float | None]:
    """What reads a row's target, given the row and its number; None means that it has none.

    It raises UsageError where a cell is not of the kind that the task wants.
    """

    def one(row: Row, number: int) -> str | None:
        return _named(row.get(rules.column), rules, number)

    def value(row: Row, number: int) -> float | None:
        return as_number(as_text(row.get(rules.column), rules.column, number))

    def several(row: Row, number: int) -> tuple[str, ...] | None:
        cell = row.get(rules.column)
        found = as_list(cell, rules.column, number)
        if found is None:
            text = as_text(cell, rules.column, number)
            if text is None:
                return None
            found = text.split(rules.separator) if rules.separator else [text]
        names = (_named(part.strip() if isinstance(part, str) else part, rules, number) for part in found)
        return tuple(dict.fromkeys(name for name in names if name is not None))

    def marked(row: Row, number: int) -> tuple[str, ...] | None:
        marks = {name: _mark(row.get(name), name, number) for name in rules.columns}
        if all(mark is None for mark in marks.values()):
            return None
        return tuple(name for name, mark in marks.items() if mark)

    def tags(row: Row, number: int) -> tuple[str, ...] | None:
        cell = row.get(rules.column)
        found = as_list(cell, rules.column, number)
        if found is None:
            # A text of tags is as usual as one of words; what is missing comes out as None.
            text = as_text(cell, rules.column, number)
            found = text.split() if text is not None else []
        names = [_named(tag, rules, number) for tag in found]
        return tuple(name for name in names if name) if names and all(names) else None

    if task == "regression":
        return value
    if task == "token":
        return tags
    if task == "multi-label":
        return marked if rules.columns else several
    return one


def _named(cell: Any, rules: LabelRules, number: int) -> str | None:
    text = as_text(cell, rules.column, number)
    if text is None or rules.names is None:
        return text
    at = as_number(text)
    # Data sets write -1 where a label is withheld.
    if at == -1:
        return None
    if at is None or not at.is_integer() or not 0 <= at < len(rules.names):
        if text in rules.names:
            return text
        raise UsageError(
            f"row {number}: {text!r} in column {rules.column!r} is no label's number",
            cause=f"there are names for 0 to {len(rules.names) - 1}",
            fix="check the column and the list of label names (line 1 is the name of 0)",
        )
    return rules.names[int(at)]


def _mark(cell: Any, column: str, number: int) -> bool | None:
    text = as_text(cell, column, number)
    if text is None:
        return None
    if text.strip().lower() in (*YES, "1.0"):
        return True
    if text.strip().lower() in (*NO, "0.0"):
        return False
    raise UsageError(
        f"row {number}: column {column!r} holds {text[:40]!r}",
        cause="a label column holds 1 where the label applies, and 0 where not",
        fix="name other --label-columns, or use one --label-column with a --label-separator",
    )


def guess_separator(cells: Sequence[Any]) -> str | None:
    """The one of , | ; that stands in most cells; None if none does, or if the cells are lists."""
    texts = [cell for cell in cells if isinstance(cell, str) and not cell.strip().startswith("[")]
    counts = {separator: sum(separator in text for text in texts) for separator in SEPARATORS}
    best = max(SEPARATORS, key=counts.__getitem__)
    return best if counts[best] else None


def ordinal_values(labels: Sequence[str]) -> list[float]:
    """The numbers that labels such as "1" to "5" stand for, in the labels' order.

    Raises:
        UsageError: a label is no number.
    """
    values = [as_number(label) for label in labels]
    wrong = [label for label, value in zip(labels, values, strict=True) if value is None]
    if wrong:
        raise UsageError(
            f"{len(wrong)} labels are no numbers: {', '.join(map(repr, wrong[:5]))}",
            cause="ordinal labels are numbers, such as 1 to 5 stars",
            fix="leave --ordinal out, or check --label-column",
        )
    return [value for value in values if value is not None]
