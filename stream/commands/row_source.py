"""Rows of a file to be predicted: CSV, TSV, JSON lines or text lines, each turned into an event's value."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

import orjson

from stream.errors import UsageError

KINDS: dict[str, Literal["csv", "json", "text"]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "json",
    ".ndjson": "json",
    ".txt": "text",
}
LONGEST_FIELD = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a row's parts stand: CSV columns or JSON fields."""

    text: str = "text"
    text_pair: str = "text_pair"
    id: str = "id"
    metadata: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A row, which a decoder reads like a record of a topic.

    Attributes:
        offset: the row's number, from 1, without a header line.
        value: an event's JSON; a line that is not JSON stays as it is.
        own_id: the row's id, if it has one.
    """

    offset: int
    value: bytes | None
    own_id: Any = None
    timestamp: int = 0
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = field(default=())


class RowSource:
    """A file of rows.

    Attributes:
        size: bytes in all.
        position: bytes read so far.
        lacks: metadata columns that the bundle reads and a CSV file does not have.
    """

    def __init__(self, path: Path, columns: Columns) -> None:
        """
        Args:
            path: the file; its ending says what it is.
            columns: where its parts stand.

        Raises:
            UsageError: it has another ending, or is not there.
        """
        kind = KINDS.get(path.suffix.lower())
        if kind is None:
            raise UsageError(
                f"{path} cannot be read",
                cause=f"its ending is none of {', '.join(KINDS)}",
                fix="save it as CSV or JSON lines, or give --text",
            )
        try:
            self.size = path.stat().st_size
            self._file: BinaryIO = path.open("rb")
        except OSError as exc:
            raise UsageError(
                f"cannot read {path}", cause=exc.strerror or str(exc), fix="name an existing file in --input"
            ) from None
        self._path = path
        self._kind = kind
        self._columns = columns
        self.position = 0
        self.lacks: list[str] = []

    def rows(self) -> Iterator[Row]:
        """All rows in order; a blank line is a row of a text file only. The file is closed behind the last.

        Raises:
            UsageError: it is not UTF-8, not CSV, or lacks a column.
        """
        with self._file:
            if self._kind == "csv":
                yield from self._csv_rows()
                return
            for number, line in enumerate(self._lines(), 1):
                if self._kind == "text":
                    yield Row(number, _event(line.decode("utf-8", "replace")))
                elif line.strip():
                    yield self._json_row(number, line)

    def _lines(self) -> Iterator[bytes]:
        for line in self._file:
            self.position += len(line)
            yield line.rstrip(b"\r\n")

    def _json_row(self, number: int, line: bytes) -> Row:
        try:
            found = orjson.loads(line)
        except orjson.JSONDecodeError:
            return Row(number, line)
        if not isinstance(found, dict):
            return Row(number, line)
        columns, within = self._columns, found.get("metadata")
        metadata = {
            name: found.get(name) if not isinstance(within, Mapping) or name not in within else within[name]
            for name in columns.metadata
        }
        event = _event(found.get(columns.text), found.get(columns.text_pair), metadata)
        return Row(number, event, found.get(columns.id))

    def _csv_rows(self) -> Iterator[Row]:
        csv.field_size_limit(LONGEST_FIELD)
        rows = csv.reader(
            (line.decode("utf-8-sig" if at == 0 else "utf-8") for at, line in enumerate(self._kept_lines())),
            delimiter="\t" if self._path.suffix.lower() == ".tsv" else ",",
        )
        try:
            header = next(rows, [])
            self._check_columns(header)
            for number, cells in enumerate((row for row in rows if row), 1):
                yield self._csv_row(number, dict(zip(header, cells, strict=False)))
        except (UnicodeDecodeError, csv.Error) as exc:
            raise UsageError(
                f"{self._path} cannot be read as {self._path.suffix.lower()[1:].upper()}",
                cause=f"after line {rows.line_num}: {exc}",
                fix="save it as UTF-8, quoted where a field holds a separator",
            ) from None

    def _kept_lines(self) -> Iterator[bytes]:
        for line in self._file:
            self.position += len(line)
            yield line

    def _check_columns(self, header: list[str]) -> None:
        if self._columns.text not in header:
            raise UsageError(
                f"{self._path} has no column {self._columns.text!r}",
                cause=f"its first line names: {', '.join(header) or 'nothing'}",
                fix="name the column of the texts with --text-column",
            )
        self.lacks = [name for name in self._columns.metadata if name not in header]

    def _csv_row(self, number: int, cells: Mapping[str, str]) -> Row:
        columns = self._columns
        metadata = {name: cells.get(name) for name in columns.metadata}
        event = _event(cells.get(columns.text), cells.get(columns.text_pair), metadata)
        return Row(number, event, cells.get(columns.id) or None)


def text_rows(texts: Sequence[str], pairs: Sequence[str] = ()) -> Iterator[Row]:
    """Rows of texts that were given on the command line, with the second texts of pairs, if any."""
    for at, text in enumerate(texts):
        yield Row(at + 1, _event(text, pairs[at] if pairs else None))


def _event(text: Any, text_pair: Any = None, metadata: Mapping[str, Any] | None = None) -> bytes:
    found = {"text": text, "text_pair": text_pair, "metadata": metadata or None}
    return orjson.dumps({name: value for name, value in found.items() if value is not None})
