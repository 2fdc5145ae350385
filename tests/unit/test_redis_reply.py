"""The reader of Redis's replies: bounds, partial replies, errors without the server's text."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import (
    AuthenticationError,
    InvalidResponse,
    MovedError,
    NoPermissionError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from stream.classify.redis_reply import (
    INCOMPLETE,
    MAX_DEPTH,
    MAX_ELEMENTS,
    MAX_LINE_BYTES,
    MAX_REPLY_BYTES,
    MAX_VALUE_BYTES,
    BoundedParser,
    ReplyReader,
    reply_error,
)
from tests.real.scripted_redis import array, bulk

VALUES = st.recursive(
    st.none() | st.binary(max_size=20) | st.integers(-(10**18), 10**18),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=30,
)


def encoded(value: Any) -> bytes:
    match value:
        case None:
            return b"$-1\r\n"
        case bytes():
            return bulk(value)
        case int():
            return b":%d\r\n" % value
    return array(*map(encoded, value))


def depth(value: Any) -> int:
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def read_all(*parts: bytes) -> list[Any]:
    """Return the replies that a reader returns while these parts arrive."""
    reader, replies = ReplyReader(), []
    for part in parts:
        reader.feed(part)
        while (reply := reader.read()) is not INCOMPLETE:
            replies.append(reply)
    return replies


@given(st.lists(VALUES.filter(lambda value: depth(value) <= MAX_DEPTH), min_size=1, max_size=3), st.data())
def test_replies_do_not_depend_on_the_parts_in_which_they_arrive(
    values: list[Any], data: st.DataObject
) -> None:
    whole = b"".join(map(encoded, values))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    parts = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert read_all(whole) == values
    assert read_all(*parts) == values
    assert read_all(*(bytes([byte]) for byte in whole)) == values


@given(st.binary(max_size=60))
def test_any_bytes_are_replies_incomplete_or_invalid(data: bytes) -> None:
    with suppress(InvalidResponse):
        assert len(read_all(data)) <= len(data)


@pytest.mark.parametrize(
    "reply",
    [
        b"*2000000000\r\n",
        b"*%d\r\n" % (MAX_ELEMENTS + 1),
        b"*9223372036854775807\r\n",
        b"*99999999999999999999\r\n",
        b"*-2\r\n",
        b"*1_0\r\n",
        b"* 1\r\n",
        b"*\r\n",
        b"$2000000000\r\n",
        b"$-2\r\n",
        b"$+3\r\nabc\r\n",
        b"$3\r\nabcd\r\n",
        b"*2\r\n$3\r\nabcd\r\n$1\r\n",
        b":1.5\r\n",
        b"%1\r\n+a\r\n+b\r\n",
        b">1\r\n+a\r\n",
        b"\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"*1\r\n" * (MAX_DEPTH + 1),
        b"x" * MAX_LINE_BYTES,
        b"+" * MAX_LINE_BYTES,
    ],
    ids=lambda reply: repr(reply[:20]),
)
def test_a_reply_beyond_a_bound_is_invalid(reply: bytes) -> None:
    with pytest.raises(InvalidResponse):
        read_all(reply)
    with pytest.raises(InvalidResponse):
        read_all(*(bytes([byte]) for byte in reply))


def test_nested_arrays_share_the_bound_of_elements() -> None:
    half = MAX_ELEMENTS // 2 + 1
    with pytest.raises(InvalidResponse):
        read_all(b"*%d\r\n*%d\r\n" % (half, half))


def test_a_reply_of_more_bytes_than_the_bound_is_invalid() -> None:
    reader = ReplyReader()
    part = bulk(b"x" * MAX_VALUE_BYTES)
    reader.feed(b"*1000\r\n")
    with pytest.raises(InvalidResponse):
        for _ in range(MAX_REPLY_BYTES // MAX_VALUE_BYTES + 1):
            reader.feed(part)
            assert reader.read() is INCOMPLETE


def test_many_replies_may_exceed_the_bound_of_one() -> None:
    reader = ReplyReader()
    part = bulk(b"x" * MAX_VALUE_BYTES)
    for _ in range(MAX_REPLY_BYTES // MAX_VALUE_BYTES + 1):
        reader.feed(part)
        assert len(reader.read()) == MAX_VALUE_BYTES
    assert not reader.buffered


def test_a_value_that_is_too_long_is_skipped_and_the_others_are_read() -> None:
    reply = array(bulk(b"a"), bulk(b"x" * (MAX_VALUE_BYTES + 1)), bulk(b"b"))
    assert read_all(reply) == [[b"a", b"", b"b"]]
    assert read_all(*(reply[at : at + 65_536] for at in range(0, len(reply), 65_536))) == [[b"a", b"", b"b"]]


@pytest.mark.parametrize(
    ("line", "kind", "code"),
    [
        (b"NOPERM this user has no permissions to run the 'get' command", NoPermissionError, "NOPERM"),
        (b"WRONGPASS invalid username-password pair", AuthenticationError, "WRONGPASS"),
        (b"MOVED 3999 127.0.0.1:6381", MovedError, "MOVED"),
        (b"MOVED somewhere", ResponseError, "MOVED"),
        (b"MISCONF Redis is configured to save RDB snapshots", ResponseError, "MISCONF"),
        (b"ERR max number of clients reached", RedisConnectionError, "ERR"),
        (b"\xff\xfe secret", ResponseError, "ERR"),
        (b"", ResponseError, "ERR"),
    ],
)
def test_an_error_reply_keeps_its_code_and_loses_its_text(
    line: bytes, kind: type[Exception], code: str
) -> None:
    error = reply_error(line)
    assert isinstance(error, kind)
    assert (str(error), error.status_code) == (code, code)


def parser_on(*parts: bytes, end: bool = True) -> BoundedParser:
    """Return a parser whose connection has received these bytes."""
    stream = asyncio.StreamReader()
    for part in parts:
        stream.feed_data(part)
    if end:
        stream.feed_eof()
    parser = BoundedParser()
    parser.on_connect(SimpleNamespace(_reader=stream))
    return parser


async def test_the_parser_returns_errors_and_raises_those_that_end_the_connection() -> None:
    parser = parser_on(b"-NOPERM no\r\n", b"-LOADING wait\r\n")
    assert isinstance(await parser.read_response(), NoPermissionError)
    with pytest.raises(RedisConnectionError):
        await parser.read_response()
    with pytest.raises(RedisConnectionError, match="closed"):
        await parser.read_response()


@pytest.mark.parametrize(
    ("received", "end", "used"),
    [((b"+OK\r\n",), False, False), ((b"+OK\r\n",), True, True), ((b"+OK\r\n+OK\r\n",), False, True)],
)
async def test_a_connection_with_unread_bytes_is_not_used_again(
    received: Sequence[bytes], end: bool, used: bool
) -> None:
    parser = parser_on(*received, end=end)
    assert await parser.read_response() == b"OK"
    assert await parser.can_read() is used
    parser.on_disconnect()
    assert await parser.can_read()
