"""Varints, headers and record bodies of Kafka's record format 2 (KIP-98)."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

NULL = b"\1"
"""The length of null, -1."""
_ONE_BYTE = [bytes([2 * number]) for number in range(64)]


def varint(number: int) -> bytes:
    """Encode a number of 64 bits as a zigzag varint."""
    if 0 <= number < 64:
        return _ONE_BYTE[number]
    raw = number << 1 if number >= 0 else (-number << 1) - 1
    encoded = bytearray()
    while raw >= 0x80:
        encoded.append(raw & 0x7F | 0x80)
        raw >>= 7
    encoded.append(raw)
    return bytes(encoded)


def encode_bytes(data: bytes | None) -> bytes:
    """Encode bytes, or null, with the length in front."""
    return NULL if data is None else varint(len(data)) + data


# The records of a topic repeat few header names.
@lru_cache(256)
def encode_name(name: str) -> bytes:
    """Encode a header's name with the length in front."""
    return encode_bytes(name.encode())


def encode_headers(headers: Iterable[tuple[str, bytes | None]]) -> bytes:
    """Encode headers without their number in front."""
    parts: list[bytes] = []
    for name, value in headers:
        parts += (
            (encode_name(name), NULL, b"")
            if value is None
            else (encode_name(name), varint(len(value)), value)
        )
    return b"".join(parts)


def encode_body(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> bytes:
    """Encode the part of a record that does not depend on its batch."""
    return b"".join((encode_bytes(key), encode_bytes(value), varint(len(headers)), encode_headers(headers)))
