"""Reads rows from a file of CSV, TSV, JSON lines or text lines, each as the value of an event."""

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
MAX_FIELD_CHARS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of a row's CSV columns or JSON fields."""

    text: str = "text"
    text_pair: str = "text_pair"
    id: str = "id"
    metadata: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InputRow:
    """A row in the shape of a record, so that the decoder of the stream reads it.

    Attributes:
        offset: the row's number, from 1, without a header line.
        value: the row as the JSON of an event; a line that is not JSON stays unchanged.
        own_id: the id from the file; None if the row has none.
    """

    offset: int
    value: bytes | None
    own_id: Any = None
    timestamp: int = 0
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = field(default=())
    damaged: bool = False


class RowReader:
    """Reads the rows of a file.

    Attributes:
        size: the size of the file in bytes.
        position: the number of bytes read so far.
        missing: the metadata columns of the bundle that a CSV file lacks.
    """

    def __init__(self, path: Path, columns: Columns) -> None:
        """Open the file.

        Args:
            path: the file, whose suffix names its format.
            columns: the names of its columns or fields.

        Raises:
            UsageError: the suffix is unknown, or the file cannot be opened.
        """
        kind = KINDS.get(path.suffix.lower())
        if kind is None:
            raise UsageError(
                f"cannot read {path}",
                cause=f"its suffix is none of {', '.join(KINDS)}",
                fix="save it as CSV or JSON lines, or use --text",
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
        self.missing: list[str] = []

    def rows(self) -> Iterator[InputRow]:
        """Yield all rows in order, and close the file; a blank line is a row only in a text file.

        Raises:
            UsageError: a CSV file is not UTF-8, is malformed or lacks the text column.
        """
        with self._file:
            if self._kind == "csv":
                yield from self._csv_rows()
                return
            for number, line in enumerate(self._lines(), 1):
                if self._kind == "text":
                    yield InputRow(number, _event(line.decode("utf-8", "replace")))
                elif line.strip():
                    yield self._json_row(number, line)

    def _lines(self) -> Iterator[bytes]:
        for line in self._raw_lines():
            yield line.rstrip(b"\r\n")

    def _raw_lines(self) -> Iterator[bytes]:
        for line in self._file:
            self.position += len(line)
            yield line

    def _json_row(self, number: int, line: bytes) -> InputRow:
        try:
            fields = orjson.loads(line)
        except orjson.JSONDecodeError:
            return InputRow(number, line)
        if not isinstance(fields, dict):
            return InputRow(number, line)
        columns, nested = self._columns, fields.get("metadata")
        metadata = {
            name: nested[name] if isinstance(nested, Mapping) and name in nested else fields.get(name)
            for name in columns.metadata
        }
        event = _event(fields.get(columns.text), fields.get(columns.text_pair), metadata)
        return InputRow(number, event, fields.get(columns.id))

    def _csv_rows(self) -> Iterator[InputRow]:
        csv.field_size_limit(MAX_FIELD_CHARS)
        rows = csv.reader(
            (line.decode("utf-8-sig" if at == 0 else "utf-8") for at, line in enumerate(self._raw_lines())),
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
                fix="save it as UTF-8, with quotes around fields that contain a separator",
            ) from None

    def _check_columns(self, header: list[str]) -> None:
        if self._columns.text not in header:
            raise UsageError(
                f"{self._path} has no column {self._columns.text!r}",
                cause=f"the columns in its first line: {', '.join(header) or 'none'}",
                fix="name the column with the texts in --text-column",
            )
        self.missing = [name for name in self._columns.metadata if name not in header]

    def _csv_row(self, number: int, cells: Mapping[str, str]) -> InputRow:
        columns = self._columns
        metadata = {name: cells.get(name) for name in columns.metadata}
        event = _event(cells.get(columns.text), cells.get(columns.text_pair), metadata)
        return InputRow(number, event, cells.get(columns.id) or None)


def text_rows(texts: Sequence[str], pairs: Sequence[str] = ()) -> Iterator[InputRow]:
    """Yield a row for each text.

    Args:
        texts: the texts.
        pairs: the second texts, one for each text; empty for none.
    """
    for at, text in enumerate(texts):
        yield InputRow(at + 1, _event(text, pairs[at] if pairs else None))


def _event(text: Any, text_pair: Any = None, metadata: Mapping[str, Any] | None = None) -> bytes:
    fields = {"text": text, "text_pair": text_pair, "metadata": metadata or None}
    return orjson.dumps({name: value for name, value in fields.items() if value is not None})
