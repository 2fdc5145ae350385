"""Records read as bytes, without the codec of the worker and without the checks of client libraries."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from aiokafka.codec import gzip_decode, lz4_decode, snappy_decode, zstd_decode
from aiokafka.conn import create_conn
from aiokafka.errors import for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.util import decode_varint

HEADER = Struct(">qiibIhiqqqhii")
COUNTED_FROM, LENGTH_AT = 12, 8
MAX_FETCH = 2**26
DECOMPRESS = (bytes, gzip_decode, snappy_decode, lz4_decode, zstd_decode)


@dataclass(frozen=True)
class RawRecord:
    """A record with its bytes as they are in the log."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[bytes, bytes | None], ...]

    def header(self, name: bytes) -> bytes | None:
        """Return the value of the last header with this name."""
        return next((value for found, value in reversed(self.headers) if found == name), None)


def read_raw(address: str, topic: str, partition: int = 0) -> list[RawRecord]:
    """Return all records of a partition, whatever their bytes are; transactions are not considered."""
    return asyncio.run(_read(address, topic, partition))


async def _read(address: str, topic: str, partition: int) -> list[RawRecord]:
    host, _, port = address.partition(":")
    connection = await create_conn(host, int(port), client_id="raw")
    try:
        found: list[RawRecord] = []
        offset = 0
        while True:
            request = FetchRequest(100, 1, MAX_FETCH, 0, [(topic, [(partition, offset, MAX_FETCH)])])
            answer = await connection.send(request)
            ((_, ((_, code, high_watermark, *_, data),)),) = answer.topics
            if code:
                raise for_code(code)
            found += [record for record in _records(bytes(data or b"")) if record.offset >= offset]
            offset = found[-1].offset + 1 if found else 0
            if offset >= high_watermark or not data:
                return found
    finally:
        connection.close()


def _records(data: bytes) -> Iterator[RawRecord]:
    at = 0
    while at + COUNTED_FROM <= len(data):
        (length,) = Struct(">i").unpack_from(data, at + LENGTH_AT)
        end = at + COUNTED_FROM + length
        if end > len(data):
            return
        yield from _of_batch(data[at:end])
        at = end


def _of_batch(batch: bytes) -> Iterator[RawRecord]:
    base_offset, _, _, _, _, attributes, _, first, _, _, _, _, count = HEADER.unpack_from(batch)
    if attributes & 0x20:
        return
    records = DECOMPRESS[attributes & 7](batch[HEADER.size :])
    at = 0
    for _ in range(count):
        length, at = decode_varint(records, at)
        yield _record(records[at : at + length], base_offset, first)
        at += length


def _record(record: bytes, base_offset: int, base_timestamp: int) -> RawRecord:
    timestamp, at = decode_varint(record, 1)
    offset, at = decode_varint(record, at)
    key, at = _nullable(record, at)
    value, at = _nullable(record, at)
    count, at = decode_varint(record, at)
    headers = []
    for _ in range(count):
        name, at = _nullable(record, at)
        data, at = _nullable(record, at)
        headers.append((name or b"", data))
    return RawRecord(base_offset + offset, base_timestamp + timestamp, key, value, tuple(headers))


def _nullable(record: bytes, at: int) -> tuple[bytes | None, int]:
    length, at = decode_varint(record, at)
    return (None, at) if length < 0 else (bytes(record[at : at + length]), at + length)
