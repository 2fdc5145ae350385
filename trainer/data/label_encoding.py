"""The encoding of the labels in each source: names, ids with names, multi-hot lists, numbers."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from stream.classify import as_number
from stream.errors import UsageError
from trainer.config import DataConfig
from trainer.data.cells import CellError
from trainer.data.class_names import WITHHELD, ClassNames, all_names, names_by_source
from trainer.data.columns import Columns
from trainer.data.examples import Example
from trainer.data.labels import quoted
from trainer.data.locate import locate_row
from trainer.data.multi_hot import find_multi_hot
from trainer.data.numbers import NumberCell, check_unreadable, unreadable_cells
from trainer.data.rows import cells_of_rows
from trainer.data.separators import distinct_cells, guess_separator
from trainer.data.sources import DataSource
from trainer.data.target_cells import LabelFormat


@dataclass(frozen=True, slots=True)
class LabelEncoding:
    """How the sources encode the labels.

    Attributes:
        formats: the format of each source.
        names: every class name, in the order of the logits.
        declared: each list of class names.
        notes: notes for the data report.
    """

    formats: list[LabelFormat]
    names: list[str]
    declared: list[tuple[str, ...]]
    notes: list[str]


def encode_labels(sources: Sequence[DataSource], columns: Columns, config: DataConfig) -> LabelEncoding:
    """Return the encoding of the labels in each source.

    Raises:
        UsageError: two sources, or a source and `--label-names`, contradict each other.
    """
    column = columns.label
    _check_metadata_names(sources, columns.metadata)
    notes = []
    cells = [distinct_cells(source.table.rows, column) for source in sources]
    separator = config.label_separator
    if config.task == "multi-label" and separator is None:
        separator = _separator([cell for source_cells in cells for cell in source_cells], column)
        notes += [f"guessed label separator: {separator!r}"] if separator else []
    if config.task == "regression":
        names, number_notes = _number_names(names_by_source(sources, column, None))
        notes += number_notes
    else:
        names = names_by_source(sources, column, config.label_names)
    multi_hot = [False] * len(sources)
    if config.task == "multi-label" and not config.label_columns:
        multi_hot = find_multi_hot(cells, names, column)
    formats = [
        LabelFormat(
            column,
            config.label_columns,
            separator,
            config.decimal,
            flags,
            class_names,
            source.table.class_names,
            separator_guessed=config.label_separator is None,
        )
        for source, class_names, flags in zip(sources, names, multi_hot, strict=True)
    ]
    if len({class_names.names for class_names in names if class_names is not None}) > 1:
        notes.append("the files number their labels differently; each is read with the names that it stores")
    declared = [class_names.names for class_names in names if class_names is not None]
    return LabelEncoding(formats, all_names(names), list(dict.fromkeys(declared)), notes)


def check_numbering(
    sources: Sequence[DataSource],
    examples: Sequence[Example],
    formats: Sequence[LabelFormat],
    locate: Callable[[int], str],
) -> None:
    """Refuse a source of ids without names beside a source with names.

    Raises:
        UsageError: the labels of a source are all numbers, and some of them are no labels of the sources with
            names.
    """
    if len(sources) == 1:
        return
    by_source = _examples_by_source(sources, examples)
    labels = [{label for example in found for label in example.labels} for found in by_source]
    numbered = [
        label_format.class_names is None and bool(found) and all(map(_is_id, found))
        for label_format, found in zip(formats, labels, strict=True)
    ]
    named = [at for at, ids in enumerate(numbered) if not ids and labels[at]]
    if not named or not any(numbered):
        return
    known: set[str] = set().union(*(labels[at] for at in named))
    for at, found in enumerate(labels):
        unknown = sorted(found - known) if numbered[at] else []
        if unknown:
            row = next(example.row for example in by_source[at] if set(unknown) & set(example.labels))
            file, other = sources[at].name, sources[named[0]].name
            raise UsageError(
                f"{locate(row)}: the label {unknown[0]!r} is a number, and {other} has names",
                cause=f"{file} stores no names of numbers; the labels of {other} are: "
                + quoted(sorted(labels[named[0]])),
                fix=f"--label-names FILE (line 1 is the name of 0), or write the names in {file}",
            )


def check_withheld(sources: Sequence[DataSource], examples: Sequence[Example]) -> None:
    """Refuse a source in which all labels are -1, which data sets write where the labels are withheld.

    Raises:
        UsageError: a source has no label but -1, and no other source has it.
    """
    by_source = _examples_by_source(sources, examples)
    withheld = [bool(found) and all(map(_is_withheld, found)) for found in by_source]
    for source, found, alone in zip(sources, by_source, withheld, strict=True):
        others = [e for rest in by_source if rest is not found for e in rest]
        if alone and others and not any(map(_is_withheld, others)):
            raise UsageError(
                f"the labels of {source.name} are withheld: all {len(found)} are -1",
                cause="data sets for competitions write -1 where the label is not published",
                fix=f"leave {source.name} out, so that its split is cut from the other rows; or name a "
                "file with labels",
            )


def check_numbers(
    sources: Sequence[DataSource], columns: Columns, no_label: Sequence[int]
) -> list[NumberCell]:
    """Return the cells of a regression that are neither empty nor a number.

    Raises:
        UsageError: they are too many.
    """
    unreadable = unreadable_cells(cells_of_rows(sources, columns.label, no_label), columns.label)
    if unreadable:
        cells = [row.get(columns.label) for source in sources for row in source.table.rows]
        check_unreadable(unreadable, cells, columns.label, locate_row(sources, unreadable[0].row))
    return unreadable


def _separator(cells: Sequence[Any], column: str) -> str | None:
    try:
        return guess_separator(cells)
    except CellError as exc:
        raise UsageError(
            f"cannot guess the label separator of column {column!r}: {exc.message}",
            cause=exc.cause,
            fix=exc.fix,
        ) from None


def _number_names(by_source: list[ClassNames | None]) -> tuple[list[ClassNames | None], list[str]]:
    """Return the names of ids that are numbers; other names are refused where the sources disagree.

    Raises:
        UsageError: the ids of two sources mean different names that are not numbers.
    """
    stored = [names for names in by_source if names is not None]
    if all(as_number(name) is not None for names in stored for name in names.names):
        return by_source, []
    for names in stored:
        if names.names != stored[0].names:
            raise UsageError(
                f"{stored[0].origin} and {names.origin} number their labels differently",
                cause=f"0 is {stored[0].names[0]!r} in one and {names.names[0]!r} in the other",
                fix="write the numbers to learn into a column of their own, and name it in --label-column",
            )
    return [None] * len(by_source), [f"the numbers are ids of labels; 0 is {stored[0].names[0]!r}"]


def _check_metadata_names(sources: Sequence[DataSource], metadata: Sequence[str]) -> None:
    for column in metadata:
        first = sources[0].table.class_names.get(column)
        for source in sources[1:]:
            if source.table.class_names.get(column) != first:
                raise UsageError(
                    f"{sources[0].name} and {source.name} number the values of column {column!r} differently",
                    cause="the files store different names of its numbers",
                    fix=f"write the names instead of the numbers in column {column!r} of both files",
                )


def _examples_by_source(sources: Sequence[DataSource], examples: Sequence[Example]) -> list[list[Example]]:
    found: list[list[Example]] = [[] for _ in sources]
    at, last = 0, len(sources[0].table.rows)
    for example in examples:
        while example.row > last:
            at += 1
            last += len(sources[at].table.rows)
        found[at].append(example)
    return found


def _is_withheld(example: Example) -> bool:
    values = example.labels or (example.target,)
    return all(as_number(value) == WITHHELD for value in values)


def _is_id(label: str) -> bool:
    return re.fullmatch(r"\s*\d+(?:\.0+)?\s*", label) is not None
