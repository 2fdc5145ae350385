"""Which release a broker is, in its own words.

Kafka has no request for "your version". But its answer to ApiVersions (from version 3 on, KIP-584) lists the
features it supports, and each release that changes its metadata raises the highest `metadata.version`.
"""

import socket
import struct

# Highest metadata.version of a release, from org.apache.kafka.server.common.MetadataVersion.
_RELEASES = {30: "4.3"}


def supported_features(address: str, timeout_s: float = 5) -> dict[str, int]:
    """Feature name to highest supported level; empty for a broker that lists none, as the mock does."""
    host, _, port = address.split(",")[0].rpartition(":")
    name = b"labelstream-tests"
    compact = bytes([len(name) + 1]) + name
    body = struct.pack(">hhih", 18, 3, 1, len(name)) + name + b"\0" + compact + compact + b"\0"
    with socket.create_connection((host, int(port)), timeout_s) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        with connection.makefile("rb") as stream:
            (size,) = struct.unpack(">i", stream.read(4))
            answer = _Reader(stream.read(size))
    answer.number(4)
    error = answer.number(2)
    if error:
        return {}
    for _ in range(answer.varint() - 1):
        answer.take(6)
        answer.tags()
    answer.number(4)
    features = answer.tags().get(0)
    if features is None:
        return {}
    inner, found = _Reader(features), {}
    for _ in range(inner.varint() - 1):
        key = inner.take(inner.varint() - 1).decode()
        inner.number(2)
        found[key] = inner.number(2)
        inner.tags()
    return found


def release(address: str) -> str:
    """The broker's release as far as it can be told, such as "4.3" or "metadata.version 31"."""
    level = supported_features(address).get("metadata.version")
    if level is None:
        return "of unknown version"
    return _RELEASES.get(level, f"metadata.version {level}")


class _Reader:
    """Kafka's flexible encoding, as much of it as this answer needs."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big", signed=True)

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def tags(self) -> dict[int, bytes]:
        return {self.varint(): self.take(self.varint()) for _ in range(self.varint())}
