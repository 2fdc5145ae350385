"""Parsers of the cells that hold the target: a label, labels, a number, tags, or columns of 0 and 1."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stream.bundle import Task
from stream.classify import as_number
from trainer.config import DecimalMark
from trainer.data.cells import CellError, as_text, is_null, shorten, trim, unwrap_formula
from trainer.data.class_names import ClassNames
from trainer.data.examples import Target
from trainer.data.lists import as_list, is_list_text
from trainer.data.multi_hot import check_items, labels_of_flags
from trainer.data.numbers import parse_number
from trainer.data.printed import check_printed
from trainer.data.separators import Cells, distinct_cells, split_labels

_SPACED_NUMBERS = re.compile(r"\s*\d+(?:\s+\d+)+\s*")
TRUE_CELLS, FALSE_CELLS = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no")

TargetParser = Callable[[Cells], Target | None]
"""Returns the target of a row, or None if the row has none; raises CellError for a cell of another format."""


@dataclass(frozen=True, slots=True)
class LabelFormat:
    """How the cells of a source encode the target.

    Attributes:
        column: the label column.
        columns: for multi-label, one column of 0 and 1 per label, in place of `column`.
        separator: the separator of labels in one cell; None if a cell holds one label or a list.
        decimal: the decimal mark of numbers; None if only plain numbers are read.
        multi_hot: for multi-label, whether a cell holds one 0 or 1 per class name.
        class_names: the names of integer labels; None if the cells hold the names themselves.
        flag_names: for each label column of integers whose names the source stores, these names.
        separator_guessed: whether the separator is a guess, and not that of a flag.
    """

    column: str
    columns: tuple[str, ...] = ()
    separator: str | None = None
    decimal: DecimalMark | None = None
    multi_hot: bool = False
    class_names: ClassNames | None = None
    flag_names: Mapping[str, Sequence[str]] | None = None
    separator_guessed: bool = False


def target_parser(task: Task, label_format: LabelFormat, rows: Sequence[Cells]) -> TargetParser:
    """Return the function that parses the targets of a source.

    Args:
        task: the task.
        label_format: the format of the source.
        rows: all rows of the source, which determine what a number in a cell means.
    """
    if task == "regression":
        return lambda row: _parse_number(row.get(label_format.column), label_format)
    if label_format.columns:
        return lambda row: _parse_indicators(row, label_format)
    column, names = label_format.column, label_format.class_names
    if label_format.multi_hot:
        return lambda row: labels_of_flags(row.get(column), names, column)
    parser = _LabelParser(label_format, distinct_cells(rows, column), _ITEMS[task])
    parse = {"multi-label": parser.parse_labels, "token": parser.parse_tags}.get(task, parser.parse_label)
    return _remembering(parse, column)


def _remembering(parse: Callable[[Any], Target | None], column: str) -> TargetParser:
    """Return the parser of a column that parses each text once, since most labels occur in many rows."""
    known: dict[str, Target | None] = {}

    def parse_row(row: Cells) -> Target | None:
        cell = row.get(column)
        if not isinstance(cell, str):
            return parse(cell)
        if cell not in known:
            known[cell] = parse(cell)
        return known[cell]

    return parse_row


def _single_item(cell: Any, label_format: LabelFormat) -> list[Any]:
    text = as_text(cell, label_format.column)
    if text is None:
        return []
    check_printed(text, label_format.column)
    if isinstance(cell, str) and is_list_text(text):
        raise CellError(
            f"column {label_format.column!r} holds a list, not a text",
            cause=f"it begins {shorten(text)}",
            fix="--task multi-label or --task token, which accept lists; or write one label per row",
        )
    return [cell]


def _label_items(cell: Any, label_format: LabelFormat) -> list[Any] | None:
    items = as_list(cell, label_format.column)
    if items is not None:
        return items
    text = as_text(cell, label_format.column)
    if text is None:
        return None
    if len(text) > 1 and text[0] in "'\"" and text[-1] == text[0]:
        # The quoted labels of a list without its brackets.
        return as_list(f"[{text}]", label_format.column)
    if label_format.separator:
        return list(
            split_labels(
                text, label_format.separator, label_format.column, guessed=label_format.separator_guessed
            )
        )
    if _SPACED_NUMBERS.fullmatch(text):
        raise CellError(
            f"column {label_format.column!r} holds several numbers, {shorten(text)}",
            cause="labels may contain spaces, so spaces separate no labels unless a flag says so",
            fix='--label-separator " "',
        )
    return [cell]


def _tag_items(cell: Any, label_format: LabelFormat) -> list[Any]:
    try:
        items = as_list(cell, label_format.column)
    except CellError as exc:
        raise CellError(
            exc.message,
            cause=exc.cause,
            fix='write the tags of the words as ["B-x", "O"], or spans as [[0, 4, "x"]]: start, end, label',
        ) from None
    if items is None:
        # Tags are often written as one text, like the words; an empty cell has no tags.
        text = as_text(cell, label_format.column)
        items = text.split() if text is not None else []
    return items


_ITEMS: Mapping[str, Callable[[Any, LabelFormat], list[Any] | None]] = {
    "single-label": _single_item,
    "pair": _single_item,
    "multi-label": _label_items,
    "token": _tag_items,
}


class _LabelParser:
    """Parses labels and tags; an integer label is replaced by its class name."""

    def __init__(
        self,
        label_format: LabelFormat,
        cells: Sequence[Any],
        items_of: Callable[[Any, LabelFormat], list[Any] | None],
    ) -> None:
        self._format = label_format
        self._items_of = items_of
        self._cells = cells
        self._numbers_are_names: bool | None = None

    def parse_label(self, cell: Any) -> str | None:
        items = self._items(cell)
        return self._label(items[0]) if items else None

    def parse_labels(self, cell: Any) -> tuple[str, ...] | None:
        items = self._items(cell)
        if items is None:
            return None
        for item in items:
            if isinstance(item, str) and is_list_text(item):
                raise CellError(
                    f"column {self._format.column!r} holds a list in a list",
                    cause=f"an item of the list is the text {shorten(item)}",
                    fix='write it as ["a", "b"]',
                )
        if self._format.class_names is None:
            check_items(items, self._format.column)
        labels = [self._label(trim(item) if isinstance(item, str) else item) for item in items]
        # A list of missing items, such as [null], says nothing about the labels; [] says that none applies.
        if labels and not any(labels) and all(map(_is_missing, items)):
            return None
        return tuple(dict.fromkeys(label for label in labels if label is not None))

    def parse_tags(self, cell: Any) -> tuple[str, ...] | None:
        tags = [self._tag(item) for item in self._items(cell) or ()]
        return tuple(tag for tag in tags if tag) if tags and all(tags) else None

    def _items(self, cell: Any) -> list[Any] | None:
        return self._items_of(unwrap_formula(cell), self._format)

    def _label(self, item: Any) -> str | None:
        return None if _is_missing(item) else self._tag(item)

    def _tag(self, item: Any) -> str | None:
        text = as_text(item, self._format.column)
        names = self._format.class_names
        if text is None or names is None:
            return text
        if self._numbers_are_names is None:
            self._numbers_are_names = names.numbers_are_names(self._texts(), self._format.column)
        return names.name_of(text, self._format.column, numbers_are_names=self._numbers_are_names)

    def _texts(self) -> Iterator[str]:
        """Yield the text of every label of the source; cells that cannot be parsed raise in their own row."""
        for cell in self._cells:
            try:
                for item in self._items(cell) or ():
                    if not _is_missing(item):
                        yield str(as_text(item, self._format.column))
            except CellError:
                continue


def _is_missing(item: Any) -> bool:
    if item is None or isinstance(item, list | tuple | dict | bytes):
        return item is None
    text = as_text(item, "")
    return text is None or not trim(text) or (isinstance(item, str) and is_null(text))


def _parse_number(cell: Any, label_format: LabelFormat) -> float | None:
    number = parse_number(unwrap_formula(cell), label_format.column, label_format.decimal)
    names = label_format.class_names
    if number is None or names is None:
        return number
    name = names.name_of(repr(number), label_format.column)
    return None if name is None else as_number(name)


def _parse_indicators(row: Cells, label_format: LabelFormat) -> tuple[str, ...] | None:
    indicators = {name: _parse_indicator(row.get(name), name, label_format) for name in label_format.columns}
    if all(indicator is None for indicator in indicators.values()):
        return None
    return tuple(name for name, indicator in indicators.items() if indicator)


def _parse_indicator(cell: Any, column: str, label_format: LabelFormat) -> bool | None:
    text = as_text(unwrap_formula(cell), column)
    if text is None or is_null(text):
        return None
    if (names := (label_format.flag_names or {}).get(column)) is not None:
        # The source stores names of its integers, and 0 may be the id of "yes".
        text = ClassNames(tuple(names), column, stored=True).name_of(text, column)
        if text is None:
            return None
    indicator = trim(text).lower()
    if indicator in TRUE_CELLS:
        return True
    if indicator in FALSE_CELLS:
        return False
    raise CellError(
        f"column {column!r} holds {text[:40]!r}",
        cause="a label column holds 1 if the label applies, and 0 if not",
        fix="name other --label-columns, or use one --label-column with a --label-separator",
    )
