"""Read labelled data: load the sources, choose the columns, parse the rows and check the labels."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from stream.bundle import Task, file_digest
from stream.errors import UsageError
from trainer.config import DataConfig
from trainer.data.columns import Columns, RequestedColumns, choose_columns
from trainer.data.examples import Data
from trainer.data.files import ParseOptions
from trainer.data.labels import check_labels, label_order, normalise_tags, read_label_names
from trainer.data.rows import LabelFormat, guess_separator, parse_rows
from trainer.data.sources import DataSource, load_sources


def read_data(source: Path | str, config: DataConfig = DataConfig()) -> Data:
    """Read labelled texts; texts and label names are not modified.

    Args:
        source: a file, a folder with one file per split, a folder of `Dataset.save_to_disk`, or
            OWNER/NAME[:CONFIG] on the Hub.
        config: the task, the columns and the format of the data.

    Raises:
        UsageError: a file cannot be read, a column is missing or ambiguous, or the labels cannot be learned.
    """
    task = config.task
    requested = RequestedColumns(
        text=config.text_column,
        label=config.label_column,
        text_pair=config.text_pair_column,
        metadata=config.metadata_columns,
        group=config.group_column,
        labels=config.label_columns,
    )
    options = ParseOptions(header=not config.no_header, quoting=config.quoting, prefer_conll=task == "token")
    loaded = load_sources(source, options, config.validation_file, config.test_file, config.extra_train)
    first = loaded.sources[0].table
    columns = choose_columns(first.columns, requested, task, first.default_columns)
    _check_same_columns(loaded.sources, columns, requested)
    separator = config.label_separator or _guess_separator(task, loaded.sources, columns)
    class_names = (
        read_label_names(config.label_names) if config.label_names else first.class_names.get(columns.label)
    )
    label_format = LabelFormat(columns.label, requested.labels, separator, class_names)
    rows = parse_rows(loaded.sources, task, columns, label_format)
    notes = [
        *_row_ranges(loaded.sources),
        *_guessed_columns(requested, columns),
        *loaded.notes,
        *rows.notes,
    ]
    if task == "multi-label" and separator and not config.label_separator:
        notes.append(f"guessed label separator: {separator!r}")
    examples = rows.examples
    if task == "token":
        normalised = normalise_tags(examples)
        examples = normalised.examples
        notes += normalised.notes
    data = Data(
        Path(source),
        task,
        columns,
        examples,
        label_order(task, examples, label_format, ordinal=config.ordinal),
        rows.no_text,
        rows.no_label,
        files=tuple(loaded_source.file for loaded_source in loaded.sources if loaded_source.file),
        notes=tuple(notes),
    )
    check_labels(data)
    return data


def data_digest(data: Data) -> str:
    """Return `sha256:<hex>` of the file, of the digests of several files, or of the examples themselves."""
    if len(data.files) == 1:
        return file_digest(data.files[0])
    combined = hashlib.sha256()
    for file in data.files:
        combined.update(file_digest(file).encode())
    if not data.files:
        for example in data.examples:
            row: list[Any] = [
                example.text,
                example.text_pair,
                example.metadata,
                example.target,
                example.split,
            ]
            combined.update(orjson.dumps(row, default=str, option=orjson.OPT_NON_STR_KEYS))
    return f"sha256:{combined.hexdigest()}"


def _check_same_columns(sources: Sequence[DataSource], columns: Columns, requested: RequestedColumns) -> None:
    needed = [columns.text, columns.text_pair, *(requested.labels or [columns.label]), *columns.metadata]
    for source in sources[1:]:
        missing = [name for name in needed if name is not None and name not in source.table.columns]
        if missing:
            raise UsageError(
                f"{source.name} has no column {missing[0]!r}",
                cause=f"its columns are: {', '.join(source.table.columns)}",
                fix=f"give all files the columns of {sources[0].name}",
            )


def _guess_separator(task: Task, sources: Sequence[DataSource], columns: Columns) -> str | None:
    if task != "multi-label":
        return None
    return guess_separator([row.get(columns.label) for source in sources for row in source.table.rows])


def _row_ranges(sources: Sequence[DataSource]) -> list[str]:
    """Return a note with the row numbers of each source, since the numbering continues over all of them."""
    notes, last = [], 0
    for source in sources:
        first, last = last + 1, last + len(source.table.rows)
        use = "extra, for training only" if source.extra else source.split
        notes.append(f"{source.name}: rows {first} to {last}" + (f" ({use})" if use else ""))
    return notes if len(notes) > 1 else []


def _guessed_columns(requested: RequestedColumns, columns: Columns) -> list[str]:
    roles = [
        ("text", requested.text, columns.text),
        ("second text", requested.text_pair, columns.text_pair),
        ("label", requested.label or (requested.labels and columns.label), columns.label),
        ("id", None, columns.id),
        ("time", None, columns.time),
    ]
    guessed = [f"{role} = {column}" for role, named, column in roles if column and not named]
    return [f"guessed columns: {', '.join(guessed)}"] if guessed else []
