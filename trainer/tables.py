"""Files to rows: CSV, TSV, JSON lines and Parquet, with row numbers that a reader can find again."""

import csv
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream.errors import UsageError


@dataclass(frozen=True, slots=True)
class Table:
    """Rows by column name; row numbers start at 1 and do not count a header."""

    columns: list[str]
    rows: list[dict[str, Any]]


def read_table(path: Path) -> Table:
    """Read a data file; its ending says what it is.

    Raises:
        UsageError: it is missing, of an unknown kind, or cannot be read; a bad line is named.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(
            f"{path} is not a data file that can be read",
            why=f"its ending is {path.suffix or 'missing'!r}; known: {', '.join(READERS)}",
            mend="convert it to CSV or JSON lines, or name the right file",
        )
    try:
        table = reader(path)
    except OSError as exc:
        raise UsageError(
            f"cannot read {path}",
            why=str(exc.strerror or exc),
            mend="name an existing file, or the word sample",
        ) from None
    except UnicodeDecodeError as exc:
        raise UsageError(
            f"{path} is not UTF-8",
            why=str(exc),
            mend=f"iconv -f WINDOWS-1252 -t UTF-8 {path} > utf8{path.suffix}",
        ) from None
    except (ValueError, csv.Error) as exc:
        raise UsageError(
            f"{path} cannot be read", why=str(exc), mend="mend the file; quotes or brackets are usual"
        ) from None
    if not table.rows:
        raise UsageError(
            f"{path} holds no rows", why="there is nothing to learn from", mend="name another file"
        )
    return table


def _read_csv(path: Path) -> Table:
    csv.field_size_limit(sys.maxsize)
    # utf-8-sig: Excel writes a byte-order mark, which would become part of the first column's name.
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = file.readline()
        file.seek(0)
        lines = csv.reader(file, delimiter=max(",;\t", key=header.count), strict=True)
        columns = next(lines, [])
        if len(set(columns)) < len(columns):
            raise ValueError(f"two columns have the same name: {', '.join(columns)}")
        return Table(columns, list(_csv_rows(lines, columns)))


def _csv_rows(lines: Any, columns: list[str]) -> Iterator[dict[str, Any]]:
    for fields in lines:
        if not fields:
            continue
        if len(fields) != len(columns):
            raise ValueError(
                f"line {lines.line_num} has {len(fields)} fields, the header has {len(columns)}; "
                "texts with commas or line breaks must stand in quotes"
            )
        yield dict(zip(columns, fields, strict=True))


def _read_json_lines(path: Path) -> Table:
    rows: list[dict[str, Any]] = []
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as exc:
                raise ValueError(f"line {number} is not JSON: {exc}") from None
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is not a JSON object")  # noqa: TRY004 - one handler for bad files
            rows.append(row)
    return Table(list(dict.fromkeys(name for row in rows for name in row)), rows)


def _read_parquet(path: Path) -> Table:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    return Table(table.column_names, table.to_pylist())


READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".json": _read_json_lines,
    ".parquet": _read_parquet,
}
