"""Events to be sent, out of a file or a pipe: JSON lines, plain text lines, or CSV rows."""

import asyncio
import csv
import errno
import io
import itertools
import os
import stat
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, Literal, Self

import orjson

from stream.errors import UsageError

CHUNK_BYTES = 2**18
CHUNK_ROWS = 500
LONGEST_FIELD = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Event:
    """One record to be sent."""

    value: bytes
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """How a file is read.

    Attributes:
        kind: json sends each line's bytes unchanged, text likewise; csv makes a JSON event of each row.
        text_column: the CSV column that holds the text.
        id_column: the CSV column that holds the id; without it the worker names the events.
        key_field: JSON field, or CSV column, whose value becomes the record's key.
    """

    kind: Literal["json", "text", "csv"]
    text_column: str = "text"
    id_column: str | None = None
    key_field: str | None = None


class EventSource:
    """A file or pipe that gives events; it never blocks the event loop while a pipe has nothing to say.

    Attributes:
        size: bytes in all, or None where only the end will tell.
        position: bytes read so far.
        not_json: lines so far that are not JSON; they are sent all the same.
    """

    def __init__(self, path: str, form: Form) -> None:
        """Open the file.

        Args:
            path: its name, or `-` for standard input.
            form: how to read it.

        Raises:
            UsageError: it cannot be opened.
        """
        self._name = "standard input" if path == "-" else path
        self._form = form
        try:
            self._fd = os.dup(sys.stdin.fileno()) if path == "-" else os.open(path, os.O_RDONLY)
            mode = os.fstat(self._fd).st_mode
            if stat.S_ISDIR(mode):
                os.close(self._fd)
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        except OSError as exc:
            cause = exc.strerror or str(exc)
            fix = "name an existing file, or - for a pipe"
            raise UsageError(f"cannot read {self._name}", cause=cause, fix=fix) from None
        self.size = os.fstat(self._fd).st_size if stat.S_ISREG(mode) else None
        self._may_wait = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(self._fd)
        self.position = 0
        self.not_json = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    async def events(self) -> AsyncIterator[list[Event]]:
        """The events in order, as many at a time as were there to be read; blank lines are left out.

        Raises:
            UsageError: a CSV file lacks a column or is not UTF-8.
        """
        if self._form.kind == "csv":
            async for rows in self._csv_events():
                yield rows
            return
        rest = b""
        async for chunk in self._chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            yield [self._line_event(line) for line in lines if line.strip()]
        if rest.strip():
            yield [self._line_event(rest)]

    async def _chunks(self) -> AsyncIterator[bytes]:
        while True:
            if self._may_wait:
                await _readable(self._fd)
            chunk = os.read(self._fd, CHUNK_BYTES)
            if not chunk:
                return
            self.position += len(chunk)
            yield chunk

    def _line_event(self, line: bytes) -> Event:
        line = line.removesuffix(b"\r")
        if self._form.kind == "text":
            return Event(line)
        try:
            parsed = orjson.loads(line)
        except orjson.JSONDecodeError:
            self.not_json += 1
            return Event(line)
        field = self._form.key_field
        return Event(line, _key(parsed.get(field)) if field and isinstance(parsed, dict) else None)

    async def _csv_events(self) -> AsyncIterator[list[Event]]:
        if self.size is not None:
            raw: BinaryIO = os.fdopen(os.dup(self._fd), "rb")
        else:
            raw = io.BytesIO(b"".join([chunk async for chunk in self._chunks()]))
        csv.field_size_limit(LONGEST_FIELD)
        with io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text:
            rows = csv.DictReader(text)
            try:
                self._check_columns(list(rows.fieldnames or ()))
                while chunk := list(itertools.islice(rows, CHUNK_ROWS)):
                    self.position = raw.tell()
                    yield [self._row_event(row) for row in chunk]
            except (UnicodeDecodeError, csv.Error) as exc:
                raise UsageError(
                    f"{self._name} cannot be read as CSV",
                    cause=f"after line {rows.line_num}: {exc}",
                    fix="save it as UTF-8, comma separated, quoted where a field holds a comma",
                ) from None

    def _check_columns(self, present: list[str]) -> None:
        form = self._form
        for name in filter(None, (form.text_column, form.id_column, form.key_field)):
            if name not in present:
                raise UsageError(
                    f"{self._name} has no column {name!r}",
                    cause=f"its first line names: {', '.join(present) or 'nothing'}",
                    fix="name its columns with --text-column, --id-column and --key-field",
                )

    def _row_event(self, row: dict[str, str | None]) -> Event:
        form = self._form
        event = {"text": row[form.text_column] or ""}
        if form.id_column and row[form.id_column]:
            event = {"id": row[form.id_column] or "", **event}
        return Event(orjson.dumps(event), _key(row[form.key_field]) if form.key_field else None)


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
