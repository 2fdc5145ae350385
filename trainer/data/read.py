"""Rows to labelled examples; nothing is dropped without being counted."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import orjson

from stream.bundle import Task
from stream.bundle.store import digest
from stream.errors import UsageError
from trainer.data.columns import Columns, Wanted, choose_columns
from trainer.data.examples import Data, Example, Target
from trainer.data.files import Layout, Quoting
from trainer.data.labels import check_labels, label_order, read_names, with_checked_tags
from trainer.data.rows import ReadRows, read_rows
from trainer.data.sources import Source, find_sources
from trainer.data.targets import LabelRules, guess_separator, ordinal_values

__all__ = ["Data", "Example", "Target", "data_digest", "ordinal_values", "read_data"]


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
    """Read labelled texts; texts and label names are kept as they stand.

    Args:
        path: a file, a folder with one file per split, a folder that `datasets` saved, or OWNER/NAME[:CONFIG]
            of the Hub.
        task: what is learnt; a second text goes with each but token.
        text_column: of the text, or of the words; None to guess it.
        label_column: of the label, the labels, the tags or the number; None to guess it.
        text_pair_column: of the second text; guessed for the task pair.
        metadata_columns: what the model reads beside the text.
        group_column: rows with the same value stay in one part.
        label_columns: for multi-label, columns of 0 and 1, one for each label, in place of `label_column`.
        label_separator: for multi-label, what stands between labels in one cell; None to guess , | or ;.
        validation_file: rows that choose the checkpoint.
        test_file: rows that judge.
        extra_train: rows for training only, such as synthetic ones.
        ordinal: the labels are numbers and are ordered so.
        label_names: a text file whose line n (from 0) is the name of the label n.
        no_header: CSV and TSV files have no header; columns are then called "1", "2", ….
        quoting: `none` where quotes in CSV and TSV files are text.

    Raises:
        UsageError: a file, a column or the labels are not fit to learn from.
    """
    wanted = Wanted(
        text=text_column,
        label=label_column,
        text_pair=text_pair_column,
        metadata=tuple(metadata_columns),
        group=group_column,
        labels=tuple(label_columns),
    )
    _check_flags(task, wanted, ordinal)
    layout = Layout(header=not no_header, quoting=quoting, tokens=task == "token")
    found = find_sources(path, layout, validation_file, test_file, extra_train)
    first = found.sources[0].table
    columns = choose_columns(first.columns, wanted, task, first.usual)
    _check_same_columns(found.sources, columns, wanted)
    separator = label_separator or _separator(task, found.sources, columns)
    names = read_names(label_names) if label_names else first.names.get(columns.label)
    rules = LabelRules(columns.label, wanted.labels, separator, names)
    rows = read_rows(found.sources, task, columns, rules)
    notes = [*_told(found.sources), *_guessed(wanted, columns), *found.notes, *rows.notes]
    if task == "multi-label" and separator and not label_separator:
        notes.append(f"guessed: labels in one cell stand between {separator!r}")
    if task == "token":
        checked = with_checked_tags(rows.examples)
        rows = ReadRows(checked.examples, rows.no_text, rows.no_label, [])
        notes += checked.notes
    labels = label_order(task, rows.examples, columns, rules, ordinal=ordinal)
    data = Data(
        Path(path),
        task,
        columns,
        rows.examples,
        labels,
        rows.no_text,
        rows.no_label,
        files=tuple(source.file for source in found.sources if source.file),
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


def _check_flags(task: Task, wanted: Wanted, ordinal: bool) -> None:
    if task not in get_args(Task):
        raise UsageError(
            f"--task {task} is not known", cause=f"tasks: {', '.join(get_args(Task))}", fix="give one of them"
        )
    clashes = [
        (bool(wanted.labels) and task != "multi-label", "--label-columns", "one column holds the target"),
        (bool(wanted.labels and wanted.label), "--label-columns", "--label-column names the labels as well"),
        (ordinal and task not in ("single-label", "pair"), "--ordinal", "only classes can be ordered"),
        (task == "token" and bool(wanted.text_pair), "--text-pair-column", "words of one text are tagged"),
    ]
    for clash, flag, cause in clashes:
        if clash:
            raise UsageError(f"{flag} does not go with --task {task}", cause=cause, fix=f"leave {flag} out")


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
