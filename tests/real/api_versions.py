"""The release of a broker, from its ApiVersions response.

Kafka has no request for the version of a broker. But the ApiVersions response (from version 3 on, KIP-584)
lists the supported features, and each release that changes the metadata format raises the highest
`metadata.version`.
"""

import socket
import struct

# The highest metadata.version of a release, from org.apache.kafka.server.common.MetadataVersion.
_RELEASES = {30: "4.3"}


def supported_features(address: str, timeout_s: float = 5) -> dict[str, int]:
    """Return the highest supported level of each feature; empty if the broker lists none (the mock)."""
    host, _, port = address.split(",")[0].rpartition(":")
    name = b"labelstream-tests"
    compact = bytes([len(name) + 1]) + name
    body = struct.pack(">hhih", 18, 3, 1, len(name)) + name + b"\0" + compact + compact + b"\0"
    with socket.create_connection((host, int(port)), timeout_s) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        with connection.makefile("rb") as stream:
            (size,) = struct.unpack(">i", stream.read(4))
            response = _Reader(stream.read(size))
    response.read_int(4)
    error = response.read_int(2)
    if error:
        return {}
    for _ in range(response.read_varint() - 1):
        response.read_bytes(6)
        response.read_tags()
    response.read_int(4)
    features = response.read_tags().get(0)
    if features is None:
        return {}
    reader, levels = _Reader(features), {}
    for _ in range(reader.read_varint() - 1):
        key = reader.read_bytes(reader.read_varint() - 1).decode()
        reader.read_int(2)
        levels[key] = reader.read_int(2)
        reader.read_tags()
    return levels


def release(address: str) -> str:
    """Return the release of a broker as far as known, such as "4.3" or "metadata.version 31"."""
    level = supported_features(address).get("metadata.version")
    if level is None:
        return "of unknown version"
    return _RELEASES.get(level, f"metadata.version {level}")


class _Reader:
    """A reader of the parts of Kafka's flexible encoding that this response uses."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def read_bytes(self, count: int) -> bytes:
        self._at += count
        return self._data[self._at - count : self._at]

    def read_int(self, width: int) -> int:
        return int.from_bytes(self.read_bytes(width), "big", signed=True)

    def read_varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.read_bytes(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def read_tags(self) -> dict[int, bytes]:
        return {self.read_varint(): self.read_bytes(self.read_varint()) for _ in range(self.read_varint())}
