"""The replies of Redis (RESP2), read with a bound on everything that a server can announce.

The C parser hiredis allocates what a reply announces, so 13 bytes can stop the event loop for a minute. This
reader allocates only for bytes that have arrived, and never puts the content of a reply into an error.
"""

import re
from asyncio import StreamReader
from typing import Any

from redis.asyncio.connection import DefaultParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError, ResponseError

MAX_VALUE_BYTES = 2**20
MAX_REPLY_BYTES = 2**25
MAX_ELEMENTS = 2**18
MAX_DEPTH = 8
MAX_LINE_BYTES = 2**14
MAX_HEADER_BYTES = 12
READ_BYTES = 2**16

SIMPLE, ERROR, INTEGER, BULK, ARRAY = b"+-:$*"
END = b"\r\n"
NULL = b"$-1\r\n"
NUMBER = re.compile(rb"-?[0-9]{1,19}")
CODE = re.compile(rb"[A-Z]{2,24}(?= |$)")


class _Signal:
    """The type of the results of `ReplyReader` that are no values."""


INCOMPLETE = _Signal()
"""The result of `ReplyReader.read` while a reply has not arrived completely."""
_OPENED = _Signal()


class ReplyReader:
    """Parses replies from bytes as they arrive.

    A value of more than `MAX_VALUE_BYTES` is skipped and read as empty bytes, so that it does not cost the
    other values of its reply. Everything else beyond a bound raises `InvalidResponse`.
    """

    def __init__(self) -> None:
        self._bytes = b""
        self._at = 0
        self._arrived = 0
        self._skip = 0
        self._elements = 0
        self._open: list[tuple[list[Any], int]] = []

    @property
    def buffered(self) -> bool:
        """True if bytes have arrived that belong to no reply that was read."""
        return self._at < len(self._bytes) or bool(self._open) or self._skip > 0

    def feed(self, data: bytes) -> None:
        """Add bytes that have arrived.

        Raises:
            InvalidResponse: the bytes that were not read yet exceed `MAX_REPLY_BYTES`.
        """
        self._arrived += len(data)
        if self._arrived > MAX_REPLY_BYTES:
            raise InvalidResponse("a reply is too large")
        self._bytes = self._bytes[self._at :] + data
        self._at = 0

    def read(self) -> Any:
        """Return the next reply, or `INCOMPLETE`; the errors in a reply are returned, not raised.

        Raises:
            InvalidResponse: the bytes are no reply, or exceed a bound.
        """
        while True:
            if self._open:
                self._take_values(*self._open[-1])
            value = self._read_element()
            if value is INCOMPLETE:
                return INCOMPLETE
            if value is _OPENED:
                continue
            while self._open:
                values, size = self._open[-1]
                values.append(value)
                if len(values) < size:
                    break
                self._open.pop()
                value = values
            else:
                self._elements = 0
                self._arrived = len(self._bytes) - self._at
                return value

    def _take_values(self, values: list[Any], size: int) -> None:
        """Take the ordinary values that have arrived, except the last one of the array: the fast path."""
        data, at, append = self._bytes, self._at, values.append
        starts_with = data.startswith
        header, length = NULL, 0
        for _ in range(size - 1 - len(values)):
            if starts_with(NULL, at):
                append(None)
                at += len(NULL)
                continue
            # Most values of a reply have the length of the one before.
            if not starts_with(header, at):
                end = data.find(END, at, at + MAX_HEADER_BYTES)
                digits = data[at + 1 : end]
                if end < 0 or data[at] != BULK or not digits.isdigit() or int(digits) > MAX_VALUE_BYTES:
                    break
                header, length = data[at : end + 2], int(digits)
            stop = at + len(header) + length
            if not starts_with(END, stop):
                break
            append(data[at + len(header) : stop])
            at = stop + 2
        self._at = at

    def _read_element(self) -> Any:
        if self._skip:
            return self._skip_value()
        end = self._bytes.find(END, self._at, self._at + MAX_LINE_BYTES)
        if end < 0:
            if len(self._bytes) - self._at >= MAX_LINE_BYTES:
                raise InvalidResponse("a line is too long")
            return INCOMPLETE
        kind, line = self._bytes[self._at], self._bytes[self._at + 1 : end]
        if kind == BULK:
            return self._read_bulk(_number(line), end + 2)
        self._at = end + 2
        match kind:
            case 0x2A:  # *
                return self._open_array(_number(line))
            case 0x3A:  # :
                return _number(line)
            case 0x2D:  # -
                return reply_error(line)
            case 0x2B:  # +
                return line
        raise InvalidResponse("an element has an unknown type")

    def _read_bulk(self, size: int, start: int) -> Any:
        if size == -1:
            self._at = start
            return None
        if size < 0 or size > MAX_REPLY_BYTES:
            raise InvalidResponse("a value has an impossible length")
        if size > MAX_VALUE_BYTES:
            self._at = start
            self._skip = size + 2
            return self._skip_value()
        stop = start + size
        if len(self._bytes) < stop + 2:
            return INCOMPLETE
        if self._bytes[stop : stop + 2] != END:
            raise InvalidResponse("a value does not end where it should")
        self._at = stop + 2
        return self._bytes[start:stop]

    def _skip_value(self) -> Any:
        skipped = min(self._skip, len(self._bytes) - self._at)
        self._at += skipped
        self._skip -= skipped
        return INCOMPLETE if self._skip else b""

    def _open_array(self, size: int) -> Any:
        if size == -1:
            return None
        self._elements += size
        if size < 0 or self._elements > MAX_ELEMENTS or len(self._open) >= MAX_DEPTH:
            raise InvalidResponse("an array has an impossible size")
        if size == 0:
            return []
        self._open.append(([], size))
        return _OPENED


class BoundedParser:
    """The parser of a connection of redis-py, which takes it as `parser_class`."""

    def __init__(self, socket_read_size: int = READ_BYTES) -> None:
        """
        Args:
            socket_read_size: the largest number of bytes that one read returns.
        """
        self._read_size = socket_read_size
        self._stream: StreamReader | None = None
        self._replies = ReplyReader()

    def on_connect(self, connection: Any) -> None:
        """Read from a new connection."""
        # redis-py hands its stream to a parser in no other way.
        self._stream = connection._reader
        self._replies = ReplyReader()

    def on_disconnect(self) -> None:
        """Forget the connection."""
        self._stream = None

    async def can_read(self) -> bool:
        """Return True if bytes have arrived that no command asked for, or the connection has ended.

        Such a connection is not used again: its next reply could answer an earlier command.
        """
        stream = self._stream
        # asyncio has no public way to ask a stream for waiting bytes.
        return stream is None or self._replies.buffered or bool(stream._buffer) or stream.at_eof()  # type: ignore[attr-defined]

    async def read_response(
        self,
        disable_decoding: bool = False,  # noqa: ARG002
        push_request: bool = False,  # noqa: ARG002
    ) -> Any:
        """Return the next reply; an error of Redis is returned, unless redis-py expects it to be raised.

        Raises:
            RedisError: the connection has ended, or the reply is invalid or refuses the connection.
        """
        while (reply := self._replies.read()) is INCOMPLETE:
            data = await self._stream.read(self._read_size) if self._stream is not None else b""
            if not data:
                raise RedisConnectionError("Redis closed the connection")
            self._replies.feed(data)
        if isinstance(reply, RedisConnectionError):
            raise reply
        return reply


def reply_error(line: bytes) -> RedisError:
    """Return the exception of redis-py for an error reply.

    Its `status_code` is the code of the reply. The text is left out, because it is the server's word and
    exceptions are logged.
    """
    matched = CODE.match(line)
    code = matched.group().decode() if matched else "ERR"
    error: RedisError
    try:
        error = DefaultParser.parse_error(line.decode("ascii", "replace"))  # type: ignore[no-untyped-call]
    except Exception:  # noqa: BLE001 - a redirection without an address raises errors of any class
        error = ResponseError()
    error.args = (code,)
    error.status_code = code
    return error


def _number(digits: bytes) -> int:
    if NUMBER.fullmatch(digits) is None:
        raise InvalidResponse("a length is not a number")
    return int(digits)
