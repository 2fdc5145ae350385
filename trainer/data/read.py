"""Read labelled data: load the sources, choose the columns, parse the rows and check the labels."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from stream.bundle import file_digest
from stream.errors import UsageError
from trainer.config import DataConfig
from trainer.data.annotations import convert_annotations
from trainer.data.columns import Columns, RequestedColumns, choose_columns
from trainer.data.examples import Data, Example
from trainer.data.files import ParseOptions, Table
from trainer.data.input_rows import input_rows
from trainer.data.label_checks import check_labels, describe_labels
from trainer.data.label_encoding import check_numbering, check_numbers, check_withheld, encode_labels
from trainer.data.labels import label_order, unused_note
from trainer.data.locate import locate_row
from trainer.data.rows import empty_flags_note, missing_label_note, missing_text_note, parse_rows
from trainer.data.sources import DataSource, LoadedSources, load_from_hub, load_sources
from trainer.data.spellings import unify_spellings
from trainer.data.tags import normalise_tags


def read_data(
    source: Path | str, config: DataConfig = DataConfig(), tables: Mapping[str, Table] | None = None
) -> Data:
    """Read labelled texts for a training; texts are not modified, and each label gets one spelling.

    Args:
        source: a file, a folder with one file per split, a folder of `Dataset.save_to_disk`, or
            OWNER/NAME[:CONFIG] on the Hub.
        config: the task, the columns and the format of the data.
        tables: tables by split that are in memory; `source` is then their name.

    Raises:
        UsageError: a file cannot be read, a column is missing or ambiguous, or the labels cannot be learned.
    """
    parsed = _parse(source, load_data(source, config, tables), config)
    check_labels(parsed.data, parsed.locate)
    notes = (*parsed.data.notes, *describe_labels(parsed.data), *parsed.unreadable)
    return replace(parsed.data, notes=notes)


def load_data(
    source: Path | str,
    config: DataConfig = DataConfig(),
    tables: Mapping[str, Table] | None = None,
    *,
    needs_train: bool = True,
) -> LoadedSources:
    """Load the tables of labelled data, as `read_data` does, without reading their cells.

    Args:
        source: a file, a folder, or the id of a data set on the Hub.
        config: the format of the data.
        tables: tables by split that are in memory; `source` is then their name.
        needs_train: whether a folder or a data set needs a training split.

    Raises:
        UsageError: a file cannot be read.
    """
    options = ParseOptions(
        header=not config.no_header,
        quoting=config.quoting,
        prefer_conll=config.task == "token",
        format=config.format,
        encoding=config.encoding,
        metadata=config.metadata_columns,
    )
    if tables is None and config.dataset_name is not None:
        tables = load_from_hub(":".join(filter(None, (config.dataset_name, config.dataset_config))))
    return load_sources(
        source,
        options,
        config.validation_file,
        config.test_file,
        config.extra_train,
        tables,
        needs_train=needs_train,
    )


def parse_data(
    source: Path | str, loaded: LoadedSources, config: DataConfig
) -> tuple[Data, Callable[[int], str]]:
    """Read the cells of loaded tables for an evaluation, which needs neither all labels nor many rows.

    Args:
        source: the file, folder or Hub id that was loaded.
        loaded: the tables.
        config: the task and the columns of the data.

    Returns:
        The data, and the function that names the file and the row of a row number.

    Raises:
        UsageError: a column is missing or ambiguous, or a cell cannot be read.
    """
    parsed = _parse(source, loaded, config)
    return replace(parsed.data, notes=(*parsed.data.notes, *parsed.unreadable)), parsed.locate


@dataclass(frozen=True, slots=True)
class _Parsed:
    """The data, the function that names a row, and a note on the first cell that is not a number."""

    data: Data
    locate: Callable[[int], str]
    unreadable: list[str]


def _parse(source: Path | str, loaded: LoadedSources, config: DataConfig) -> _Parsed:
    task = config.task
    requested = RequestedColumns(
        text=config.text_column,
        label=config.label_column,
        text_pair=config.text_pair_column,
        metadata=config.metadata_columns,
        group=config.group_column,
        labels=config.label_columns,
    )
    sources = convert_annotations(loaded.sources, task, requested)
    columns = choose_columns(sources[0].table.columns, requested, task, sources[0].table.default_columns)
    _check_same_columns(sources, columns, requested)
    encoding = encode_labels(sources, columns, config)
    rows = parse_rows(sources, task, columns, encoding.formats)
    locate = partial(locate_row, sources)
    check_withheld(sources, rows.examples)
    no_number = check_numbers(sources, columns, rows.no_label) if task == "regression" else []
    notes = [
        *_row_ranges(sources),
        *_guessed_columns(requested, columns),
        *loaded.notes,
        *encoding.notes,
        *(note for source in sources for note in source.table.notes),
        *rows.notes,
        *missing_text_note(rows.examples),
        *empty_flags_note(sources, requested.labels),
        *_unlabelled_splits(sources, rows.examples),
    ]
    examples, scheme = rows.examples, None
    listed = list(requested.labels) or encoding.names
    if task == "token":
        check_numbering(sources, examples, encoding.formats, locate)
        normalised = normalise_tags(examples, config.tag_scheme, locate)
        examples, scheme = normalised.examples, normalised.scheme
        notes += normalised.notes
    elif task != "regression":
        notes += missing_label_note(sources, columns.label, rows.no_label)
        if not requested.labels:
            unified = unify_spellings(examples, encoding.declared, config.similar_labels, locate)
            examples, listed = unified.examples, unified.listed(listed)
            notes += unified.notes
            check_numbering(sources, examples, encoding.formats, locate)
    if not requested.labels and task != "regression":
        notes += unused_note(
            listed,
            {
                label
                for example in (rows.examples if task == "token" else examples)
                for label in example.labels
            },
        )
    data = Data(
        Path(source),
        task,
        columns,
        examples,
        label_order(task, examples, columns.label, listed, ordinal=config.ordinal, scheme=scheme),
        rows.no_text,
        rows.no_label,
        files=tuple(loaded_source.file for loaded_source in sources if loaded_source.file),
        no_number=[cell.row for cell in no_number],
        scheme=scheme,
        notes=tuple(notes),
        rows=input_rows(loaded.sources, sources),
    )
    unreadable = [
        f"first cell that is not a number: {cell.text[:40]!r} ({locate(cell.row)})" for cell in no_number[:1]
    ]
    return _Parsed(data, locate, unreadable)


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


def _row_ranges(sources: Sequence[DataSource]) -> list[str]:
    """Return a note with the row numbers of each source, since the numbering continues over all of them."""
    notes, last = [], 0
    for source in sources:
        first, last = last + 1, last + len(source.table.rows)
        use = "extra, for training only" if source.extra else source.split
        notes.append(f"{source.name}: rows {first} to {last}" + (f" ({use})" if use else ""))
    return notes if len(notes) > 1 else []


def _unlabelled_splits(sources: Sequence[DataSource], examples: Sequence[Example]) -> list[str]:
    """Return a note on each split without a usable row; it is cut from the training rows instead."""
    given = {source.split for source in sources} & {"validation", "test"}
    empty = sorted(str(split) for split in given - {example.split for example in examples})
    return [f"no row of {split} has a label: {split} rows are cut from the training rows" for split in empty]


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
