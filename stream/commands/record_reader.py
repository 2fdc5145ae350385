"""Reads the records to produce from a file or a pipe: JSON lines, text lines, or CSV rows."""

import asyncio
import csv
import errno
import io
import itertools
import os
import stat
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, Literal, Self

import orjson

from stream.errors import UsageError

CHUNK_BYTES = 2**18
CHUNK_ROWS = 500
MAX_FIELD_CHARS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class ProducerRecord:
    """One record to produce."""

    value: bytes
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class FileFormat:
    """The format of the input.

    Attributes:
        kind: "json" and "text" send the bytes of each line unchanged; "csv" makes a JSON event of each row.
        text_column: the CSV column with the text.
        id_column: the CSV column with the id; None leaves it to the worker to assign ids.
        key_field: the JSON field or CSV column whose value becomes the record's key; None for no key.
    """

    kind: Literal["json", "text", "csv"]
    text_column: str = "text"
    id_column: str | None = None
    key_field: str | None = None


class RecordReader:
    """Reads records from a file or a pipe without blocking the event loop on an idle pipe.

    Attributes:
        size: the size of a file in bytes; None for a pipe.
        position: the number of bytes read so far.
        not_json: the number of lines so far that are not JSON; these lines become records too.
    """

    def __init__(self, path: str, file_format: FileFormat) -> None:
        """Open the input.

        Args:
            path: a file name, or `-` for standard input.
            file_format: the format of the input.

        Raises:
            UsageError: the file cannot be opened.
        """
        self._name = "standard input" if path == "-" else path
        self._format = file_format
        try:
            self._fd = os.dup(sys.stdin.fileno()) if path == "-" else os.open(path, os.O_RDONLY)
            mode = os.fstat(self._fd).st_mode
            if stat.S_ISDIR(mode):
                os.close(self._fd)
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        except OSError as exc:
            cause = exc.strerror or str(exc)
            fix = "name an existing file, or - for standard input"
            raise UsageError(f"cannot read {self._name}", cause=cause, fix=fix) from None
        self.size = os.fstat(self._fd).st_size if stat.S_ISREG(mode) else None
        self._can_block = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(self._fd)
        self.position = 0
        self.not_json = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    async def batches(self) -> AsyncIterator[list[ProducerRecord]]:
        """Yield the records in order, in lists of those that are available together; blank lines are skipped.

        Raises:
            UsageError: a CSV file lacks a column, is not UTF-8, or has a row that is wider than the header.
        """
        if self._format.kind == "csv":
            async for rows in self._csv_batches():
                yield rows
            return
        rest = b""
        async for chunk in self._chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            yield [self._line_record(line) for line in lines if line.strip()]
        if rest.strip():
            yield [self._line_record(rest)]

    async def _chunks(self) -> AsyncIterator[bytes]:
        while True:
            if self._can_block:
                await _readable(self._fd)
            chunk = os.read(self._fd, CHUNK_BYTES)
            if not chunk:
                return
            self.position += len(chunk)
            yield chunk

    def _line_record(self, line: bytes) -> ProducerRecord:
        line = line.removesuffix(b"\r")
        if self._format.kind == "text":
            return ProducerRecord(line)
        try:
            parsed = orjson.loads(line)
        except orjson.JSONDecodeError:
            self.not_json += 1
            return ProducerRecord(line)
        field = self._format.key_field
        return ProducerRecord(line, _key(parsed.get(field)) if field and isinstance(parsed, dict) else None)

    async def _csv_batches(self) -> AsyncIterator[list[ProducerRecord]]:
        if self.size is not None:
            raw: BinaryIO = os.fdopen(os.dup(self._fd), "rb")
        else:
            raw = io.BytesIO(b"".join([chunk async for chunk in self._chunks()]))
        csv.field_size_limit(MAX_FIELD_CHARS)
        with io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text:
            rows = csv.DictReader(text, strict=True)
            try:
                self._check_columns(list(rows.fieldnames or ()))
                while chunk := list(itertools.islice(_narrow_rows(rows), CHUNK_ROWS)):
                    self.position = raw.tell()
                    yield [self._row_record(row) for row in chunk]
            except (UnicodeDecodeError, csv.Error) as exc:
                raise UsageError(
                    f"{self._name} cannot be read as CSV",
                    cause=f"at or after line {rows.line_num}: {exc}",
                    fix="save it as UTF-8, comma-separated, with quotes around fields that contain a comma",
                ) from None

    def _check_columns(self, present: list[str]) -> None:
        repeated = next((name for at, name in enumerate(present) if name and name in present[:at]), None)
        if repeated is not None:
            raise UsageError(
                f"{self._name} has two columns {repeated!r}",
                cause=f"the columns in its first line: {', '.join(present)}",
                fix="give each column its own name in the first line",
            )
        wanted = (self._format.text_column, self._format.id_column, self._format.key_field)
        for name in filter(None, wanted):
            if name not in present:
                raise UsageError(
                    f"{self._name} has no column {name!r}",
                    cause=f"the columns in its first line: {', '.join(present) or 'none'}",
                    fix="name its columns with --text-column, --id-column and --key-field",
                )

    def _row_record(self, row: dict[str, str | None]) -> ProducerRecord:
        id_column, key_field = self._format.id_column, self._format.key_field
        event = {"text": row[self._format.text_column] or ""}
        if id_column and row[id_column]:
            event = {"id": row[id_column] or "", **event}
        return ProducerRecord(orjson.dumps(event), _key(row[key_field]) if key_field else None)


def _narrow_rows(rows: "csv.DictReader[str]") -> Iterator[dict[str, str | None]]:
    """Yield the rows; a wider one has a text with an unquoted delimiter, which would be cut.

    Raises:
        csv.Error: a row has more fields than the header.
    """
    for row in rows:
        if rows.restkey in row:
            raise csv.Error("the row has more fields than the header")
        yield row


def _key(value: object) -> bytes | None:
    if value is None:
        return None
    return value.encode() if isinstance(value, str) else orjson.dumps(value)


async def _readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(fd)
