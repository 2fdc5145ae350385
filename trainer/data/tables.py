"""Files to rows: CSV, TSV, JSON, Parquet and CoNLL, with row numbers that a reader can find again."""

import csv
import json
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stream.errors import UsageError
from trainer.data.conll import ENDINGS, read_conll
from trainer.data.files import Layout, Table, open_text, suffix_of


def read_table(path: Path, layout: Layout = Layout()) -> Table:
    """Read a data file; its ending says what it is, behind it may stand .gz, .bz2 or .xz.

    Raises:
        UsageError: it is missing, of an unknown kind, or cannot be read; a bad line is named.
    """
    reader = _reader(path, layout)
    try:
        table = reader(path, layout)
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
            f"{path} cannot be read",
            cause=str(exc),
            fix="mend the file; quotes or brackets are usual, and --quoting none reads quotes as text",
        ) from None
    if not table.rows:
        raise UsageError(
            f"{path} holds no rows", cause="there is nothing to learn from", fix="name another file"
        )
    return table


def _reader(path: Path, layout: Layout) -> Callable[[Path, Layout], Table]:
    suffix = suffix_of(path)
    if suffix in ENDINGS or (layout.tokens and suffix not in ROWS_OF_LISTS):
        return read_conll
    reader = READERS.get(suffix)
    if reader is None:
        known = ", ".join([*filter(None, READERS), *ENDINGS])
        raise UsageError(
            f"{path} is not a data file that can be read",
            cause=f"its ending is {suffix!r}; known: {known}",
            fix="convert it to CSV or JSON lines, or name the right file",
        )
    return reader


def _read_delimited(path: Path, layout: Layout) -> Table:
    csv.field_size_limit(sys.maxsize)
    with open_text(path) as file:
        first = file.readline()
        file.seek(0)
        tab = suffix_of(path) != ".csv" and "\t" in first
        lines = csv.reader(
            file,
            delimiter="\t" if tab else max(",;\t", key=first.count),
            quoting=csv.QUOTE_NONE if layout.quoting == "none" else csv.QUOTE_MINIMAL,
            strict=True,
        )
        if layout.header:
            columns = next(lines, [])
            rows = list(_fields(lines, len(columns), "the header"))
        else:
            rows = list(_fields(lines, None, "the first line"))
            columns = [str(number) for number in range(1, len(rows[0]) + 1)] if rows else []
        if len(set(columns)) < len(columns):
            raise ValueError(f"two columns have the same name: {', '.join(columns)}")
        return Table(columns, [dict(zip(columns, fields, strict=True)) for fields in rows])


def _fields(lines: Any, width: int | None, where: str) -> Iterator[list[str]]:
    for fields in lines:
        if not fields:
            continue
        width = len(fields) if width is None else width
        if len(fields) != width:
            raise ValueError(
                f"line {lines.line_num} has {len(fields)} fields, {where} has {width}; "
                "texts with commas or line breaks must stand in quotes"
            )
        yield fields


def _read_json(path: Path, _layout: Layout) -> Table:
    with open_text(path) as file:
        start = file.read(1)
        file.seek(0)
        # Data exports often write .json as one array over the whole file.
        rows = json.load(file) if start == "[" and suffix_of(path) == ".json" else list(_json_lines(file))
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


def _read_parquet(path: Path, _layout: Layout) -> Table:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    return Table(table.column_names, table.to_pylist(), _label_names(table.schema.metadata or {}))


def _label_names(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """The names of ClassLabel columns, which `datasets` writes into the schema of its Parquet files."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    found = {}
    for column, feature in features.items():
        inner = feature.get("feature", feature) if isinstance(feature, dict) else {}
        if isinstance(inner, dict) and inner.get("_type") == "ClassLabel":
            found[column] = list(inner["names"])
    return found


ROWS_OF_LISTS = (".csv", ".jsonl", ".ndjson", ".json", ".parquet")
"""Endings that are never CoNLL: there a row is a sentence, its words and tags are lists."""

READERS: dict[str, Callable[[Path, Layout], Table]] = {
    ".csv": _read_delimited,
    ".tsv": _read_delimited,
    ".jsonl": _read_json,
    ".ndjson": _read_json,
    ".json": _read_json,
    ".parquet": _read_parquet,
    ".txt": _read_delimited,
    "": _read_delimited,
}
