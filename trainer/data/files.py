"""Read a data file (CSV, TSV, JSON, Parquet or CoNLL, compressed or not) into a table of rows."""

import bz2
import csv
import gzip
import json
import lzma
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from stream.errors import UsageError
from trainer.config import Quoting

OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
CONLL_SUFFIXES = (".conll", ".iob", ".iob2", ".bio")
DOCUMENT_START = "-DOCSTART-"


@dataclass(frozen=True, slots=True)
class ParseOptions:
    """The format options that the suffix of a file does not determine.

    Attributes:
        header: whether the first line of a CSV or TSV file names the columns; if not, the columns are named
            "1", "2", ….
        quoting: `minimal`: a quoted field may contain delimiters and line breaks; `none`: quotes are text.
        prefer_conll: whether .tsv, .txt and unknown suffixes are read as CoNLL, one word and its tags per
            line.
    """

    header: bool = True
    quoting: Quoting = "minimal"
    prefer_conll: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a data file.

    Attributes:
        columns: the column names in file order.
        rows: the cells of each row by column name.
        class_names: for each column of integer labels whose names the file stores, these names.
        default_columns: the text and label columns, if the file format determines them.
    """

    columns: list[str]
    rows: list[dict[str, Any]]
    class_names: dict[str, list[str]] = field(default_factory=dict)
    default_columns: tuple[str, str] | None = None


def data_suffix(path: Path) -> str:
    """Return the suffix in lower case, without the suffix of a compression."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix in OPENERS else suffix


def data_stem(path: Path) -> str:
    """Return the file name without its suffix and the suffix of a compression."""
    uncompressed = Path(path.stem) if path.suffix.lower() in OPENERS else path
    return uncompressed.stem


def open_text(path: Path) -> TextIO:
    """Open a file as UTF-8 text without translating line ends.

    A byte-order mark, as Excel writes it, is removed: it would become part of the first column's name.
    """
    opener = OPENERS.get(path.suffix.lower(), open)
    file: TextIO = opener(path, "rt", encoding="utf-8-sig", newline="")
    return file


def read_table(path: Path, options: ParseOptions = ParseOptions()) -> Table:
    """Read a data file; the suffix determines the format, and .gz, .bz2 or .xz may follow it.

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
    except UnicodeDecodeError as exc:
        raise UsageError(
            f"{path} is not UTF-8",
            cause=str(exc),
            fix=f"iconv -f WINDOWS-1252 -t UTF-8 {path} > utf8{path.suffix}",
        ) from None
    except (ValueError, EOFError, csv.Error, lzma.LZMAError, zlib.error) as exc:
        raise UsageError(
            f"{path} cannot be parsed",
            cause=str(exc),
            fix="check quotes and brackets in the file; --quoting none reads quotes as text",
        ) from None
    if not table.rows:
        raise UsageError(
            f"{path} holds no rows", cause="there is nothing to train on", fix="name another file"
        )
    return table


def _reader(path: Path, options: ParseOptions) -> Callable[[Path, ParseOptions], Table]:
    suffix = data_suffix(path)
    if suffix in CONLL_SUFFIXES or (options.prefer_conll and suffix not in SENTENCE_ROW_SUFFIXES):
        return _read_conll
    reader = READERS.get(suffix)
    if reader is None:
        known = ", ".join([*filter(None, READERS), *CONLL_SUFFIXES])
        raise UsageError(
            f"{path} is not a supported data file",
            cause=f"its suffix is {suffix!r}; supported: {known}",
            fix="convert it to CSV or JSON lines, or name another file",
        )
    return reader


def _read_delimited(path: Path, options: ParseOptions) -> Table:
    csv.field_size_limit(sys.maxsize)
    with open_text(path) as file:
        first = file.readline()
        file.seek(0)
        tab = data_suffix(path) != ".csv" and "\t" in first
        lines = csv.reader(
            file,
            delimiter="\t" if tab else max(",;\t", key=first.count),
            quoting=csv.QUOTE_NONE if options.quoting == "none" else csv.QUOTE_MINIMAL,
            strict=True,
        )
        if options.header:
            columns = next(lines, [])
            rows = list(_fields(lines, len(columns), "the header"))
        else:
            rows = list(_fields(lines, None, "the first line"))
            columns = [str(number) for number in range(1, len(rows[0]) + 1)] if rows else []
        if len(set(columns)) < len(columns):
            raise ValueError(f"two columns have the same name: {', '.join(columns)}")
        return Table(columns, [dict(zip(columns, fields, strict=True)) for fields in rows])


def _fields(lines: Any, width: int | None, reference: str) -> Iterator[list[str]]:
    """Yield the fields of each line; all lines must be as wide as the reference, the header or first line."""
    for fields in lines:
        if not fields:
            continue
        width = len(fields) if width is None else width
        if len(fields) != width:
            raise ValueError(
                f"line {lines.line_num} has {len(fields)} fields, {reference} has {width}; "
                "texts that contain commas or line breaks must be quoted"
            )
        yield fields


def _read_json(path: Path, _options: ParseOptions) -> Table:
    with open_text(path) as file:
        start = file.read(1)
        file.seek(0)
        # A .json file is often one array that spans the whole file instead of one object per line.
        rows = json.load(file) if start == "[" and data_suffix(path) == ".json" else list(_json_lines(file))
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise ValueError(f"element {number} is not a JSON object")  # noqa: TRY004 - one handler for bad files
    return Table(list(dict.fromkeys(name for row in rows for name in row)), rows)


def _json_lines(file: Any) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as exc:
            raise ValueError(f"line {number} is not JSON: {exc}") from None
        if not isinstance(row, dict):
            raise ValueError(f"line {number} is not a JSON object")  # noqa: TRY004 - one handler for bad files
        yield row


def _read_parquet(path: Path, _options: ParseOptions) -> Table:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    return Table(table.column_names, table.to_pylist(), _class_names(table.schema.metadata or {}))


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """Return the class names of ClassLabel columns, which `datasets` writes into the Parquet schema."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    class_names = {}
    for column, feature in features.items():
        inner = feature.get("feature", feature) if isinstance(feature, dict) else {}
        if isinstance(inner, dict) and inner.get("_type") == "ClassLabel":
            class_names[column] = list(inner["names"])
    return class_names


def _read_conll(path: Path, _options: ParseOptions) -> Table:
    """Read sentences: a row holds one list per column, named "1", "2", …; words are first, tags last.

    Fields are separated by tabs or, in a line without tabs, by spaces. `-DOCSTART-` lines are skipped, as are
    comments between sentences (`# …`), unless they have as many fields as a line of words.

    Raises:
        ValueError: a line has only one field, or another number of fields than the first.
    """
    with open_text(path) as file:
        sentences = list(_sentences(file))
    width = len(sentences[0]) if sentences else 0
    columns = [str(number) for number in range(1, width + 1)]
    rows = [dict(zip(columns, sentence, strict=True)) for sentence in sentences]
    return Table(columns, rows, default_columns=(columns[0], columns[-1]) if columns else None)


def _sentences(lines: Iterable[str]) -> Iterator[list[list[str]]]:
    """Yield each sentence as one list of fields per column."""
    width = 0
    words: list[list[str]] = []
    for number, line_with_end in enumerate(lines, 1):
        line = line_with_end.rstrip("\r\n")
        if not line.strip() or line.startswith(DOCUMENT_START):
            if words:
                yield [list(column) for column in zip(*words, strict=True)]
            words = []
            continue
        fields = line.split("\t") if "\t" in line else line.split()
        if not words and line.startswith("# ") and len(fields) != width:
            continue
        width = width or len(fields)
        if len(fields) != width or width < 2:
            raise ValueError(
                f"line {number} has {len(fields)} fields, the first line has {width}; "
                "each line is blank, or a word and its tag separated by a tab or a space"
            )
        words.append(fields)
    if words:
        yield [list(column) for column in zip(*words, strict=True)]


SENTENCE_ROW_SUFFIXES = (".csv", ".jsonl", ".ndjson", ".json", ".parquet")
"""Suffixes that are never CoNLL: for token classification each row holds the words and tags of a sentence."""

READERS: dict[str, Callable[[Path, ParseOptions], Table]] = {
    ".csv": _read_delimited,
    ".tsv": _read_delimited,
    ".jsonl": _read_json,
    ".ndjson": _read_json,
    ".json": _read_json,
    ".parquet": _read_parquet,
    ".txt": _read_delimited,
    "": _read_delimited,
}
