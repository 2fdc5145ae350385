"""Decompression of fetched batches, with a limit on the size of the result.

Each function returns the decompressed bytes, or raises `TooLargeError` before it has stored more than the
limit. As in Kafka's brokers and clients, bytes after the end of a gzip stream or an LZ4 frame are ignored.
"""

import zlib
from collections.abc import Callable
from struct import Struct, unpack_from
from struct import error as StructError  # noqa: N812 - it is an exception
from typing import Any

import cramjam

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4

# Kafka's producers write one member; each further one copies the rest of the data.
MAX_GZIP_MEMBERS = 100
GZIP_MAGIC = b"\x1f\x8b\x08"
XERIAL = b"\x82SNAPPY\0"
XERIAL_HEADER_SIZE = 16
LZ4_MAGIC = 0x184D2204
LZ4_EXPANSION = 255
LZ4_BLOCK_SIZE = Struct("<I")
ZSTD_MAGIC = 0xFD2FB528
ZSTD_BLOCK_BYTES = 128 * 2**10
UNKNOWN_SIZE = 2**63


class TooLargeError(ValueError):
    """The decompressed data exceed the limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"its records exceed {limit} bytes after decompression")


def decompress(compression: int, data: bytes, limit: int) -> bytes:
    """Decompress the records of a batch.

    Args:
        compression: the compression type in the attributes of the batch.
        data: the compressed records.
        limit: the maximum size of the result in bytes.

    Raises:
        TooLargeError: the result exceeds the limit.
        ValueError: the data are damaged, or the compression type is unknown.
    """
    function = _DECOMPRESS.get(compression)
    if function is None:
        raise ValueError(f"its compression type {compression} is unknown")
    try:
        return function(data, limit)
    except (cramjam.DecompressionError, zlib.error) as exc:
        raise ValueError(f"its records cannot be decompressed: {exc}") from None


def _gzip(data: bytes, limit: int) -> bytes:
    members, room = [], limit
    for _ in range(MAX_GZIP_MEMBERS):
        stream = zlib.decompressobj(wbits=31)
        members.append(stream.decompress(data, room + 1))
        room -= len(members[-1])
        if room < 0:
            raise TooLargeError(limit)
        if not stream.eof:
            raise ValueError("its records cannot be decompressed: the gzip stream is truncated")
        data = stream.unused_data
        if not data.startswith(GZIP_MAGIC):
            return members[0] if len(members) == 1 else b"".join(members)
    raise ValueError(f"its gzip stream has more than {MAX_GZIP_MEMBERS} members")


def _snappy(data: bytes, limit: int) -> bytes:
    if not data.startswith(XERIAL):
        _check_snappy_size(data, limit, limit)
        return bytes(cramjam.snappy.decompress_raw(data))
    blocks: list[Any] = []
    at, room = 0, limit
    while len(data) - at >= 4:
        if data.startswith(XERIAL, at):
            at += XERIAL_HEADER_SIZE
            continue
        size = int.from_bytes(data[at : at + 4], "big")
        at += 4
        if size > len(data) - at:
            raise ValueError("its records cannot be decompressed: a snappy block extends past the batch")
        block = data[at : at + size]
        expanded = _check_snappy_size(block, room, limit)
        if not expanded:
            # An empty block ends the stream in Kafka's brokers and clients.
            break
        room -= expanded
        blocks.append(cramjam.snappy.decompress_raw(block))
        at += size
    return b"".join(blocks)


def _check_snappy_size(block: bytes, room: int, limit: int) -> int:
    """Return the size that a block declares; the decompressor allocates it before it reads the block."""
    size = cramjam.snappy.decompress_raw_len(block)
    if size > room:
        raise TooLargeError(limit)
    return size


def _lz4(data: bytes, limit: int) -> bytes:
    bound, end = _lz4_frame(data)
    return _bounded(cramjam.lz4, data[:end], bound, limit)


def _zstd(data: bytes, limit: int) -> bytes:
    return _bounded(cramjam.zstd, data, _zstd_bound(data), limit)


def _bounded(library: Any, data: bytes, bound: int, limit: int) -> bytes:
    """Decompress data whose result is not larger than `bound`.

    The library's memory grows with the result. If the result may exceed the limit, the library writes into a
    buffer of fixed size instead; the operating system provides only the part of it that is written.
    """
    if bound <= limit:
        return bytes(library.decompress(data))
    room = bytearray(limit)
    try:
        size = library.decompress_into(data, room)
    except cramjam.DecompressionError as exc:
        if "whole buffer" in str(exc):
            raise TooLargeError(limit) from None
        raise
    return bytes(memoryview(room)[:size])


def _lz4_frame(data: bytes) -> tuple[int, int]:
    """Return a size that the result of the first frame does not exceed, and the end of the frame.

    Both follow from the sizes of the frame's blocks.
    """
    try:
        magic, flags, block = unpack_from("<IBB", data)
        if magic != LZ4_MAGIC:
            return UNKNOWN_SIZE, len(data)
        block_bytes = 2 ** (8 + 2 * (block >> 4 & 7))
        checksum = 4 if flags & 0x10 else 0
        at = 7 + (8 if flags & 0x08 else 0) + (4 if flags & 0x01 else 0)
        bound = 0
        while True:
            (size,) = LZ4_BLOCK_SIZE.unpack_from(data, at)
            at += 4
            if size == 0:
                break
            stored = size & 0x7FFFFFFF
            bound += stored if stored < size else min(block_bytes, LZ4_EXPANSION * size)
            at += stored + checksum
        at += 4 if flags & 0x04 else 0
    except StructError:
        return UNKNOWN_SIZE, len(data)
    return bound, at


def _zstd_bound(data: bytes) -> int:
    """Return a size that the result of one frame does not exceed, or an unknown size for several frames.

    A compressed block holds at most 128 KiB (RFC 8878).
    """
    try:
        magic, descriptor = unpack_from("<IB", data)
        if magic != ZSTD_MAGIC:
            return UNKNOWN_SIZE
        single_segment = descriptor >> 5 & 1
        at = (
            5 + 1 - single_segment + (0, 1, 2, 4)[descriptor & 3] + (single_segment, 2, 4, 8)[descriptor >> 6]
        )
        bound = last = 0
        while not last:
            low, high = unpack_from("<HB", data, at)
            header = low | high << 16
            last, kind, size = header & 1, header >> 1 & 3, header >> 3
            bound += size if kind < 2 else ZSTD_BLOCK_BYTES
            at += 3 + (1 if kind == 1 else size)
        at += 4 if descriptor & 4 else 0
    except StructError:
        return UNKNOWN_SIZE
    return bound if at == len(data) else UNKNOWN_SIZE


_DECOMPRESS: dict[int, Callable[[bytes, int], bytes]] = {
    GZIP: _gzip,
    SNAPPY: _snappy,
    LZ4: _lz4,
    ZSTD: _zstd,
}
