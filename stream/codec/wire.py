"""Writing of Kafka's record format 2 (KIP-98)."""

from collections.abc import Iterable

# Each byte of a header name that is not UTF-8 is a surrogate (PEP 383).
NAME_ERRORS = "surrogateescape"


def varint(number: int) -> bytes:
    """Encode a number as a zigzag varint."""
    raw = number << 1 if number >= 0 else ~(number << 1)
    if raw < 0x80:
        return bytes((raw,))
    encoded = bytearray()
    while raw >= 0x80:
        encoded.append(raw & 0x7F | 0x80)
        raw >>= 7
    encoded.append(raw)
    return bytes(encoded)


def encode_bytes(data: bytes | None) -> bytes:
    """Encode bytes, preceded by their length; the length of None is -1."""
    return b"\x01" if data is None else b"".join((varint(len(data)), data))


def encode_name(name: str) -> bytes:
    """Encode a header's name, preceded by its length."""
    return encode_bytes(str.encode(name, "utf-8", NAME_ERRORS))


def encode_headers(headers: Iterable[tuple[str, bytes | None]]) -> bytes:
    """Encode headers, without their number."""
    return b"".join([encode_name(name) + encode_bytes(value) for name, value in headers])


def encode_body(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> bytes:
    """Encode the part of a record that follows its offset delta."""
    listed = list(headers)
    return b"".join((encode_bytes(key), encode_bytes(value), varint(len(listed)), encode_headers(listed)))


def encode_record(timestamp_delta: int, offset_delta: int, body: bytes) -> bytes:
    """Encode a record with a body of `encode_body`."""
    record = b"".join((b"\0", varint(timestamp_delta), varint(offset_delta), body))
    return varint(len(record)) + record
