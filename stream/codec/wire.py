"""Headers in Kafka's record format 2 (KIP-98)."""

from collections.abc import Iterable


def varint(number: int) -> bytes:
    """Encode a length or a count as a zigzag varint."""
    raw = number << 1
    encoded = bytearray()
    while raw >= 0x80:
        encoded.append(raw & 0x7F | 0x80)
        raw >>= 7
    encoded.append(raw)
    return bytes(encoded)


def encode_name(name: str) -> bytes:
    """Encode a header's name, preceded by its length."""
    data = name.encode()
    return varint(len(data)) + data


def encode_headers(headers: Iterable[tuple[str, bytes]]) -> bytes:
    """Encode headers, without their number."""
    return b"".join([encode_name(name) + varint(len(value)) + value for name, value in headers])
