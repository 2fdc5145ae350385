"""Reading of Kafka's record format 2 (KIP-98), for the codec in Python.

As in Kafka's clients, a negative length means null, and a varint of 32 bits has at most five bytes.
"""

from typing import Any, NamedTuple

from stream.codec.base import MAX_HEADERS, Headers, ReadRecord, Record
from stream.codec.wire import NAME_ERRORS

_INT32, _INT64 = (32, 5), (64, 10)
_WRAP_64 = 1 << 63


class FramingError(ValueError):
    """A part of a record does not end within the record."""


class _Prefix(NamedTuple):
    """The numbers that precede the key of a record, and the position of the key."""

    timestamp_delta: int
    offset_delta: int
    key_at: int


def check(data: bytes, start: int, stop: int, count: int, last_offset_delta: int) -> bool:
    """Check that records fill a batch, and that their offsets are in order.

    Returns:
        True if every offset of the batch has a record, so that the number of a record is its offset delta.
        The delta in the record itself is not read in this case, because nothing has checked it.

    Raises:
        ValueError: the records do not fill the batch, or their offsets are out of order.
    """
    if not 0 <= start <= stop <= len(data):
        raise ValueError("the records lie outside their batch")
    if count < 0 or last_offset_delta < 0:
        raise ValueError("the number of records is negative")
    dense, previous, at = count == last_offset_delta + 1, -1, start
    for _ in range(count):
        at, end = _span(data, at, stop)
        if not dense:
            prefix = _prefix(data, at, end)
            delta = prefix.offset_delta if prefix else previous + 1
            if not previous < delta <= last_offset_delta:
                raise ValueError("the offsets of the records are out of order")
            previous = delta
        at = end
    if at != stop:
        raise ValueError("bytes follow the last record")
    return dense


def unpack(
    data: bytes,
    start: int,
    stop: int,
    count: int,
    base_offset: int,
    base_timestamp: int,
    log_append_time: bool,
    from_offset: int,
    delta: int,
    dense: bool,
) -> tuple[list[Record], int, int]:
    """Return consecutive records of a batch, the position after them, and the next offset delta.

    Args:
        data: bytes that hold the records.
        start: the position of the first record.
        stop: the position after the last record of the batch.
        count: the number of records to read.
        base_offset: see `EncodedRecords`.
        base_timestamp: see `EncodedRecords`.
        log_append_time: see `EncodedRecords`.
        from_offset: the first offset to return.
        delta: the offset delta of the first record if the batch is dense, or if the record has none.
        dense: the result of `check`.

    Raises:
        ValueError: a record extends past the batch.
    """
    records: list[Record] = []
    at = start
    for _ in range(count):
        at, end = _span(data, at, stop)
        prefix = _prefix(data, at, end)
        timestamp = base_timestamp
        if prefix is not None:
            delta = delta if dense else prefix.offset_delta
            timestamp += 0 if log_append_time else prefix.timestamp_delta
        offset, timestamp = _wrapped(base_offset + delta), _wrapped(timestamp)
        if offset >= from_offset:
            records.append(_record(data, at, end, prefix, offset, timestamp))
        at, delta = end, delta + 1
    return records, at, delta


def _span(data: bytes, at: int, stop: int) -> tuple[int, int]:
    """Return the start and the end of the record whose length is at `at`."""
    try:
        length, at = _varint(data, at, stop)
    except FramingError:
        length = -1
    if not 0 <= length <= stop - at:
        raise ValueError("a record extends past its batch")
    return at, at + length


def _prefix(data: bytes, at: int, end: int) -> _Prefix | None:
    if at == end:
        return None
    try:
        # The first byte holds the attributes, which Kafka does not use yet.
        timestamp_delta, at = _varint(data, at + 1, end, _INT64)
        offset_delta, at = _varint(data, at, end)
    except FramingError:
        return None
    return _Prefix(timestamp_delta, offset_delta, at)


def _record(
    data: bytes, start: int, end: int, prefix: _Prefix | None, offset: int, timestamp: int
) -> ReadRecord:
    parts = _parts(data, prefix.key_at, end) if prefix is not None else None
    if parts is None:
        return ReadRecord(None, data[start:end], [], offset, timestamp, damaged=True)
    return ReadRecord(*parts, offset, timestamp)


def _parts(data: bytes, at: int, end: int) -> tuple[bytes | None, bytes | None, Headers] | None:
    """Return key, value and headers, None if they do not fill the record."""
    try:
        key, at = _nullable(data, at, end)
        value, at = _nullable(data, at, end)
        headers, at = _headers(data, at, end)
    except FramingError:
        return None
    return (key, value, headers) if at == end else None


def _headers(data: bytes, at: int, end: int) -> tuple[Headers, int]:
    count, at = _varint(data, at, end)
    if not 0 <= count <= MAX_HEADERS:
        raise FramingError
    headers: list[tuple[str, Any]] = []
    for _ in range(count):
        name, at = _nullable(data, at, end)
        if name is None:
            raise FramingError
        value, at = _nullable(data, at, end)
        headers.append((name.decode("utf-8", NAME_ERRORS), value))
    return headers, at


def _nullable(data: bytes, at: int, end: int) -> tuple[bytes | None, int]:
    length, at = _varint(data, at, end)
    if length < 0:
        return None, at
    if length > end - at:
        raise FramingError
    return data[at : at + length], at + length


def _varint(data: bytes, at: int, end: int, size: tuple[int, int] = _INT32) -> tuple[int, int]:
    bits, max_bytes = size
    raw = shift = 0
    for position in range(at, min(end, at + max_bytes)):
        byte = data[position]
        raw |= (byte & 0x7F) << shift
        if byte < 0x80:
            raw &= (1 << bits) - 1
            return (raw >> 1) ^ -(raw & 1), position + 1
        shift += 7
    raise FramingError


def _wrapped(number: int) -> int:
    """Return the signed number of 64 bits that the codec in C computes."""
    return (number + _WRAP_64) % (1 << 64) - _WRAP_64
