"""Read a data file (CSV, TSV, JSON, Parquet or CoNLL, compressed or not) into a table of rows."""

import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from stream.errors import UsageError
from stream.tables import STANDARD_INPUT, TableOptions, TableReader, read_text, refuse_suffix, unpacked_name
from trainer.config import DataFormat, Quoting
from trainer.data.conll import read_conll
from trainer.data.json_objects import expand_examples

LISTS = re.compile(r'\t"?\[.*\]"?\s*$')
"""The end of a line of a table in which a cell holds the tags of a whole sentence."""

CONLL_SUFFIXES = (".conll", ".conllu", ".conllup", ".iob", ".iob2", ".bio")


@dataclass(frozen=True, slots=True)
class ParseOptions:
    """The format options that the suffix of a file does not determine.

    Attributes:
        header: whether the first line of a CSV or TSV file names the columns; if not, the columns are named
            "1", "2", ….
        quoting: `minimal`: a quoted field may contain delimiters and line breaks; `none`: quotes are text.
        prefer_conll: whether .tsv, .txt and unknown suffixes are read as CoNLL, one word and its tags per
            line.
        format: the format of all files, in place of their suffixes; None for the suffixes.
        encoding: the name of the character encoding; None is UTF-8, or that of a byte-order mark.
        metadata: the columns that may also be members of a JSON row's `metadata`, as in events.
    """

    header: bool = True
    quoting: Quoting = "minimal"
    prefer_conll: bool = False
    format: DataFormat | None = None
    encoding: str | None = None
    metadata: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a data file.

    Attributes:
        columns: the column names in file order.
        rows: the cells of each row by column name.
        class_names: for each column of integer labels whose names the file stores, these names.
        default_columns: the text and label columns, if the file format determines them.
        first_lines: for CoNLL, the number of the first line of each row.
        notes: a note on each guess about the format, and on each kind of line or row that was skipped.
    """

    columns: list[str]
    rows: list[dict[str, Any]]
    class_names: dict[str, list[str]] = field(default_factory=dict)
    default_columns: tuple[str, str] | None = None
    first_lines: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def data_suffix(path: Path) -> str:
    """Return the suffix in lower case, without the suffix of a compression."""
    return unpacked_name(path).suffix.lower()


def data_stem(path: Path) -> str:
    """Return the file name without its suffix and the suffix of a compression."""
    return unpacked_name(path).stem


def open_text(path: Path, options: ParseOptions | None = None) -> TextIO:
    """Open a text file, compressed or not, without translating line ends.

    Args:
        path: the file; `-` is standard input.
        options: the options with the encoding; None for a file that no flag describes.

    Raises:
        UsageError: the file cannot be read, or its encoding is another one.
    """
    text = read_text(path, options.encoding if options else None, has_flag=options is not None)
    # Other separators, such as U+2028, and a carriage return within a line are part of the text.
    return io.StringIO(text, newline="\n" if "\n" in text else "\r")


def read_table(path: Path, options: ParseOptions = ParseOptions()) -> Table:
    """Read a data file; the suffix determines the format, and .gz, .bz2, .xz or .zst may follow it.

    Raises:
        UsageError: the file is missing, empty, of an unknown format, or malformed; the message names the
            line.
    """
    reader = _reader(path, options)
    try:
        table = reader(path, options)
    except OSError as exc:
        raise UsageError(
            f"cannot read {path}",
            cause=str(exc.strerror or exc),
            fix="name an existing file, or the word sample",
        ) from None
    except ValueError as exc:
        raise UsageError(
            f"{path} cannot be parsed", cause=str(exc), fix="correct the file, or name another one"
        ) from None
    if not table.rows:
        raise UsageError(
            f"{path} holds no rows", cause="there is nothing to train on", fix="name another file"
        )
    return table


def _reader(path: Path, options: ParseOptions) -> Callable[[Path, ParseOptions], Table]:
    if options.format is not None:
        return _read_conll if options.format == "conll" else _read_rows
    suffix = data_suffix(path)
    if suffix in CONLL_SUFFIXES or (options.prefer_conll and suffix not in SENTENCE_ROW_SUFFIXES):
        return _read_conll
    reader = READERS.get(suffix)
    if reader is None:
        known = ", ".join([*filter(None, READERS), *CONLL_SUFFIXES])
        refuse_suffix(path, suffix, known)
        raise UsageError(
            f"{path} is not a supported data file",
            cause=f"its suffix is {suffix!r}; supported: {known}",
            fix="name its format with --format, or convert it to CSV or JSON lines",
        )
    return reader


def _read_rows(path: Path, options: ParseOptions) -> Table:
    table_format = None if options.format == "conll" else options.format
    reader = TableReader(
        path,
        TableOptions(
            table_format,
            options.encoding,
            options.quoting,
            options.header,
            metadata=options.metadata,
        ),
    )
    rows = []
    for row in reader.rows():
        if row.cells is None:
            raise UsageError(
                f"{reader.name} cannot be read", cause=row.problem, fix="correct the row, or remove it"
            )
        rows.append(row.cells)
    rows = expand_examples(rows)
    return Table(reader.columns or list(dict.fromkeys(name for row in rows for name in row)), rows)


def _read_parquet(path: Path, _options: ParseOptions) -> Table:
    import pyarrow.parquet

    if path != unpacked_name(path):
        raise ValueError(
            f"Parquet compresses its columns itself: unpack the file, and name {unpacked_name(path)}"
        )
    table = pyarrow.parquet.read_table(path)
    return Table(table.column_names, table.to_pylist(), _class_names(table.schema.metadata or {}))


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """Return the class names of ClassLabel columns, which `datasets` writes into the Parquet schema."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    class_names = {}
    for column, described in features.items():
        # Older versions of the library describe a list as a JSON array with one element.
        feature = described[0] if isinstance(described, list) and described else described
        inner = feature.get("feature", feature) if isinstance(feature, dict) else {}
        if isinstance(inner, dict) and inner.get("_type") == "ClassLabel" and inner.get("names"):
            class_names[column] = list(inner["names"])
    return class_names


def _read_conll(path: Path, options: ParseOptions) -> Table:
    with open_text(path, options) as file:
        lines = file.readlines()
    is_table = options.format is None and len(lines) > 1 and LISTS.search(lines[1]) is not None
    if is_table and path != STANDARD_INPUT:
        return _read_rows(path, options)
    read = read_conll(lines, path.name)
    return Table(
        read.columns,
        read.rows,
        default_columns=read.default_columns,
        first_lines=read.first_lines,
        notes=read.notes,
    )


SENTENCE_ROW_SUFFIXES = (".csv", ".jsonl", ".ndjson", ".json", ".parquet")
"""Suffixes that are never CoNLL: for token classification each row holds the words and tags of a sentence."""

READERS: dict[str, Callable[[Path, ParseOptions], Table]] = {
    ".csv": _read_rows,
    ".tsv": _read_rows,
    ".jsonl": _read_rows,
    ".ndjson": _read_rows,
    ".json": _read_rows,
    ".parquet": _read_parquet,
    ".txt": _read_rows,
    "": _read_rows,
}
