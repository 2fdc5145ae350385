"""Read labelled data: load the sources, choose the columns, parse the rows and check the labels."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import orjson

from stream.bundle import Task
from stream.bundle.store import digest
from stream.errors import UsageError
from trainer.data.columns import Columns, RequestedColumns, choose_columns
from trainer.data.examples import Data
from trainer.data.files import ParseOptions, Quoting
from trainer.data.labels import check_labels, label_order, normalise_tags, read_label_names
from trainer.data.rows import LabelFormat, guess_separator, parse_rows
from trainer.data.sources import DataSource, load_sources


def read_data(
    path: Path | str,
    *,
    task: Task = "single-label",
    text_column: str | None = None,
    label_column: str | None = None,
    text_pair_column: str | None = None,
    metadata_columns: Sequence[str] = (),
    group_column: str | None = None,
    label_columns: Sequence[str] = (),
    label_separator: str | None = None,
    validation_file: Path | None = None,
    test_file: Path | None = None,
    extra_train: Path | None = None,
    ordinal: bool = False,
    label_names: Path | None = None,
    no_header: bool = False,
    quoting: Quoting = "minimal",
) -> Data:
    """Read labelled texts; texts and label names are not modified.

    Args:
        path: a file, a folder with one file per split, a folder of `Dataset.save_to_disk`, or
            OWNER/NAME[:CONFIG] on the Hub.
        task: the task that the model learns; every task but token accepts a second text.
        text_column: the column of the text, or of the words; None to guess it.
        label_column: the column of the label, labels, tags or number; None to guess it.
        text_pair_column: the column of the second text; guessed for the task pair.
        metadata_columns: the columns that the model reads beside the text.
        group_column: the column whose equal values stay in one split.
        label_columns: for multi-label, one column of 0 and 1 per label, in place of `label_column`.
        label_separator: for multi-label, the separator of labels in one cell; None to guess , | or ;.
        validation_file: the file of the validation split.
        test_file: the file of the test split.
        extra_train: a file of rows for training only, such as synthetic ones.
        ordinal: whether the labels are numbers whose order counts.
        label_names: a text file whose line n (from 0) is the name of label n.
        no_header: whether CSV and TSV files lack a header; their columns are then named "1", "2", ….
        quoting: `none` if quotes in CSV and TSV files are text.

    Raises:
        UsageError: a file cannot be read, a column is missing or ambiguous, or the labels cannot be learned.
    """
    requested = RequestedColumns(
        text=text_column,
        label=label_column,
        text_pair=text_pair_column,
        metadata=tuple(metadata_columns),
        group=group_column,
        labels=tuple(label_columns),
    )
    _check_flags(task, requested, ordinal)
    options = ParseOptions(header=not no_header, quoting=quoting, prefer_conll=task == "token")
    loaded = load_sources(path, options, validation_file, test_file, extra_train)
    first = loaded.sources[0].table
    columns = choose_columns(first.columns, requested, task, first.default_columns)
    _check_same_columns(loaded.sources, columns, requested)
    separator = label_separator or _guess_separator(task, loaded.sources, columns)
    class_names = read_label_names(label_names) if label_names else first.class_names.get(columns.label)
    label_format = LabelFormat(columns.label, requested.labels, separator, class_names)
    rows = parse_rows(loaded.sources, task, columns, label_format)
    notes = [
        *_row_ranges(loaded.sources),
        *_guessed_columns(requested, columns),
        *loaded.notes,
        *rows.notes,
    ]
    if task == "multi-label" and separator and not label_separator:
        notes.append(f"guessed label separator: {separator!r}")
    examples = rows.examples
    if task == "token":
        normalised = normalise_tags(examples)
        examples = normalised.examples
        notes += normalised.notes
    data = Data(
        Path(path),
        task,
        columns,
        examples,
        label_order(task, examples, label_format, ordinal=ordinal),
        rows.no_text,
        rows.no_label,
        files=tuple(source.file for source in loaded.sources if source.file),
        notes=tuple(notes),
    )
    check_labels(data)
    return data


def data_digest(data: Data) -> str:
    """Return `sha256:<hex>` of the file, of the digests of several files, or of the examples themselves."""
    if len(data.files) == 1:
        return digest(data.files[0])
    combined = hashlib.sha256()
    for file in data.files:
        combined.update(digest(file).encode())
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


def _check_flags(task: Task, requested: RequestedColumns, ordinal: bool) -> None:
    if task not in get_args(Task):
        raise UsageError(
            f"unknown task: --task {task}", cause=f"tasks: {', '.join(get_args(Task))}", fix="name one of them"
        )
    conflicts = [
        (
            bool(requested.labels) and task != "multi-label",
            "--label-columns",
            "the task reads its target from one column",
        ),
        (
            bool(requested.labels and requested.label),
            "--label-columns",
            "--label-column names the labels as well",
        ),
        (ordinal and task not in ("single-label", "pair"), "--ordinal", "only classes can be ordinal"),
        (
            task == "token" and bool(requested.text_pair),
            "--text-pair-column",
            "token classification reads one text",
        ),
    ]
    for conflict, flag, why in conflicts:
        if conflict:
            raise UsageError(f"{flag} conflicts with --task {task}", cause=cause, fix=f"leave {flag} out")


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
