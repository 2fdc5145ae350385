"""Headers of what is published: the input's own, in order, ours in place of namesakes."""

import secrets
from collections.abc import Iterable
from re import compile as pattern

from aiokafka.record.util import encode_varint

from stream.records.events import Headers, Record, header

TRACEPARENT = "traceparent"
_TRACEPARENT = pattern(rb"00-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})")


def with_ours(record: Record, ours: Iterable[tuple[str, bytes]]) -> Headers:
    """The record's headers without namesakes of ours, repeated ones included, then ours."""
    added = [*ours, *_continued_trace(record)]
    names = {name for name, _ in added}
    return [(name, value) for name, value in record.headers if name not in names] + added


def _continued_trace(record: Record) -> list[tuple[str, bytes]]:
    """A W3C traceparent of the same trace with a span id of our own, when the input carries one."""
    found = _TRACEPARENT.fullmatch(header(record, TRACEPARENT) or b"") if record.headers else None
    if found is None:
        return []
    trace, flags = found.groups()
    return [(TRACEPARENT, b"00-%b-%b-%b" % (trace, secrets.token_hex(8).encode(), flags))]


def packed_name(name: str) -> bytes:
    """A header's name as Kafka writes it, its length before it."""
    return _sized(name.encode())


def packed_header(name: str, value: bytes) -> bytes:
    """A header as Kafka writes it."""
    return packed_name(name) + _sized(value)


def _sized(data: bytes) -> bytes:
    length = bytearray()
    encode_varint(len(data), length.append)
    return bytes(length) + data
