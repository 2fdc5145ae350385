"""Rows to labelled examples; nothing is dropped without being counted."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from stream.bundle import Task
from stream.bundle.store import digest
from stream.errors import UsageError
from trainer.config import DataConfig
from trainer.data.columns import Columns, Wanted, choose_columns
from trainer.data.examples import Data, Example, Target
from trainer.data.files import Layout
from trainer.data.labels import check_labels, label_order, read_names, with_checked_tags
from trainer.data.rows import ReadRows, read_rows
from trainer.data.sources import Source, find_sources
from trainer.data.targets import LabelRules, guess_separator, ordinal_values

__all__ = ["Data", "Example", "Target", "data_digest", "ordinal_values", "read_data"]


def read_data(source: Path | str, config: DataConfig = DataConfig()) -> Data:
    """Read labelled texts; texts and label names are kept unchanged.

    Args:
        source: a file, a folder with one file per split, a folder that `datasets` saved, or
            OWNER/NAME[:CONFIG] of the Hub.
        config: the task, the columns and the format of the data.

    Raises:
        UsageError: a file, a column or the labels are not fit for training.
    """
    task = config.task
    wanted = Wanted(
        text=config.text_column,
        label=config.label_column,
        text_pair=config.text_pair_column,
        metadata=config.metadata_columns,
        group=config.group_column,
        labels=config.label_columns,
    )
    layout = Layout(header=not config.no_header, quoting=config.quoting, tokens=task == "token")
    found = find_sources(source, layout, config.validation_file, config.test_file, config.extra_train)
    first = found.sources[0].table
    columns = choose_columns(first.columns, wanted, task, first.usual)
    _check_same_columns(found.sources, columns, wanted)
    separator = config.label_separator or _separator(task, found.sources, columns)
    names = read_names(config.label_names) if config.label_names else first.names.get(columns.label)
    rules = LabelRules(columns.label, wanted.labels, separator, names)
    rows = read_rows(found.sources, task, columns, rules)
    notes = [*_told(found.sources), *_guessed(wanted, columns), *found.notes, *rows.notes]
    if task == "multi-label" and separator and not config.label_separator:
        notes.append(f"guessed: labels in one cell stand between {separator!r}")
    if task == "token":
        checked = with_checked_tags(rows.examples)
        rows = ReadRows(checked.examples, rows.no_text, rows.no_label, [])
        notes += checked.notes
    labels = label_order(task, rows.examples, columns, rules, ordinal=config.ordinal)
    data = Data(
        Path(source),
        task,
        columns,
        rows.examples,
        labels,
        rows.no_text,
        rows.no_label,
        files=tuple(each.file for each in found.sources if each.file),
        notes=tuple(notes),
    )
    check_labels(data)
    return data


def data_digest(data: Data) -> str:
    """`sha256:<hex>` of what was read: a file's bytes, several files' digests, or the examples themselves."""
    if len(data.files) == 1:
        return digest(data.files[0])
    whole = hashlib.sha256()
    for file in data.files:
        whole.update(digest(file).encode())
    if not data.files:
        for example in data.examples:
            row: list[Any] = [
                example.text,
                example.text_pair,
                example.metadata,
                example.target,
                example.split,
            ]
            whole.update(orjson.dumps(row, default=str, option=orjson.OPT_NON_STR_KEYS))
    return f"sha256:{whole.hexdigest()}"


def _check_same_columns(sources: Sequence[Source], columns: Columns, wanted: Wanted) -> None:
    needed = [columns.text, columns.text_pair, *(wanted.labels or [columns.label]), *columns.metadata]
    for source in sources[1:]:
        missing = [name for name in needed if name is not None and name not in source.table.columns]
        if missing:
            raise UsageError(
                f"{source.name} has no column {missing[0]!r}",
                cause=f"its columns are: {', '.join(source.table.columns)}",
                fix=f"give all files the columns of {sources[0].name}",
            )


def _separator(task: Task, sources: Sequence[Source], columns: Columns) -> str | None:
    if task != "multi-label":
        return None
    return guess_separator([row.get(columns.label) for source in sources for row in source.table.rows])


def _told(sources: Sequence[Source]) -> list[str]:
    """Which rows are whose, since their numbers count on."""
    lines, last = [], 0
    for source in sources:
        first, last = last + 1, last + len(source.table.rows)
        what = "extra, for training only" if source.extra else source.split
        lines.append(f"{source.name}: rows {first} to {last}" + (f" ({what})" if what else ""))
    return lines if len(lines) > 1 else []


def _guessed(wanted: Wanted, columns: Columns) -> list[str]:
    pairs = [
        ("text", wanted.text, columns.text),
        ("second text", wanted.text_pair, columns.text_pair),
        ("label", wanted.label or (wanted.labels and columns.label), columns.label),
        ("id", None, columns.id),
        ("time", None, columns.time),
    ]
    guessed = [f"{role} = {found}" for role, named, found in pairs if found and not named]
    return [f"guessed: {', '.join(guessed)}"] if guessed else []
