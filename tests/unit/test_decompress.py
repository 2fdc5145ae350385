"""Decompression within a limit, by each codec of Kafka."""

import gzip
import struct
import tracemalloc
from collections.abc import Callable
from types import SimpleNamespace

import cramjam
import pytest
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from hypothesis import given
from hypothesis import strategies as st

from stream.kafka.faust.decompress import (
    GZIP,
    LZ4,
    MAX_GZIP_MEMBERS,
    SNAPPY,
    XERIAL,
    ZSTD,
    TooLargeError,
    decompress,
)

LIMIT = 100_000
ENCODE: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "gzip": (GZIP, gzip_encode),
    "snappy": (SNAPPY, lambda data: bytes(snappy_encode(data, xerial_compatible=False))),
    "xerial": (SNAPPY, snappy_encode),
    "lz4": (LZ4, lz4_encode),
    "lz4 fast": (LZ4, lambda data: lz4_encode(data, 1)),
    "zstd": (ZSTD, zstd_encode),
}
XERIAL_HEADER = XERIAL + struct.pack(">ii", 1, 1)


def xerial_block(data: bytes) -> bytes:
    block = bytes(cramjam.snappy.compress_raw(data))
    return struct.pack(">i", len(block)) + block


@pytest.mark.parametrize("name", ENCODE)
@given(data=st.binary(max_size=2_000), repeat=st.integers(1, 50))
def test_compressed_data_are_restored_up_to_the_limit(name: str, data: bytes, repeat: int) -> None:
    kind, encode = ENCODE[name]
    whole = data * repeat
    assert decompress(kind, encode(whole), LIMIT) == whole
    assert decompress(kind, encode(whole), max(1, len(whole))) == whole
    if len(whole) > 1:
        with pytest.raises(TooLargeError, match=f"exceed {len(whole) - 1} bytes"):
            decompress(kind, encode(whole), len(whole) - 1)


@pytest.mark.parametrize("name", ENCODE)
def test_a_bomb_takes_no_more_memory_than_the_limit_allows(name: str) -> None:
    kind, encode = ENCODE[name]
    bomb = encode(bytes(100 * LIMIT))
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError):
            decompress(kind, bomb, LIMIT)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * LIMIT + len(bomb)


@pytest.mark.parametrize("library", ["lz4", "zstd"])
def test_data_that_may_exceed_the_limit_are_not_given_to_a_function_without_a_limit(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, encode = ENCODE[library]
    real = getattr(cramjam, library)
    unlimited: list[int] = []

    def decompress_unlimited(data: bytes) -> bytes:
        unlimited.append(len(data))
        return bytes(real.decompress(data))

    ordinary, frame, empty = encode(b"ab" * 1_000), encode(bytes(LIMIT + 1)), encode(b"")
    watched = SimpleNamespace(decompress=decompress_unlimited, decompress_into=real.decompress_into)
    monkeypatch.setattr(cramjam, library, watched)
    assert decompress(kind, ordinary, LIMIT * 2) == b"ab" * 1_000
    assert len(unlimited) == 1, "an ordinary batch needs no buffer of its own"
    for data in (frame, frame + frame, b"\x50\x2a\x4d\x18\x02\0\0\0ab" + frame):
        with pytest.raises(ValueError, match=r"exceed|decompressed"):
            decompress(kind, data, LIMIT)
    if library == "zstd":
        with pytest.raises(TooLargeError):
            decompress(kind, empty + frame, LIMIT)
    assert len(unlimited) == 1


@pytest.mark.parametrize("name", ENCODE)
@given(data=st.data())
def test_damaged_data_are_refused_or_stay_within_the_limit(name: str, data: st.DataObject) -> None:
    kind, encode = ENCODE[name]
    damaged = bytearray(encode(b"ab" * data.draw(st.integers(0, 3_000))))
    for _ in range(data.draw(st.integers(0, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    del damaged[data.draw(st.integers(0, len(damaged))) :]
    try:
        restored = decompress(kind, bytes(damaged), 1_000)
    except ValueError:
        return
    assert len(restored) <= 1_000


@pytest.mark.parametrize("kind", [GZIP, SNAPPY, LZ4, ZSTD])
@given(data=st.binary(max_size=60))
def test_any_bytes_are_refused_or_stay_within_the_limit(kind: int, data: bytes) -> None:
    try:
        assert len(decompress(kind, data, 100)) <= 100
    except ValueError:
        return


@pytest.mark.parametrize("kind", [5, 6, 7])
def test_an_unknown_compression_type_is_refused(kind: int) -> None:
    with pytest.raises(ValueError, match=f"compression type {kind} is unknown"):
        decompress(kind, b"", LIMIT)


@pytest.mark.parametrize("name", ["gzip", "lz4", "lz4 fast"])
@pytest.mark.parametrize("rest", [b"\0", b"rest", b"\x1f\x8b"])
def test_bytes_after_the_end_are_ignored_as_in_kafkas_clients(name: str, rest: bytes) -> None:
    kind, encode = ENCODE[name]
    assert decompress(kind, encode(b"data") + rest, LIMIT) == b"data"


def test_only_the_first_lz4_frame_is_read_as_in_kafkas_clients() -> None:
    assert decompress(LZ4, lz4_encode(b"one") + lz4_encode(b"two"), LIMIT) == b"one"


def test_gzip_members_are_joined_up_to_a_number() -> None:
    assert decompress(GZIP, gzip.compress(b"one") + gzip.compress(b"two"), LIMIT) == b"onetwo"
    with pytest.raises(ValueError, match="members"):
        decompress(GZIP, gzip.compress(b"a") * (MAX_GZIP_MEMBERS + 1), LIMIT)
    with pytest.raises(TooLargeError):
        decompress(GZIP, gzip.compress(bytes(600)) + gzip.compress(bytes(600)), 1_000)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (XERIAL_HEADER, b""),
        (XERIAL_HEADER + xerial_block(b"one") + xerial_block(b"two"), b"onetwo"),
        (XERIAL_HEADER + xerial_block(b"one") + XERIAL_HEADER + xerial_block(b"two"), b"onetwo"),
        (XERIAL_HEADER + xerial_block(b"one") + b"abc", b"one"),
        (XERIAL_HEADER + xerial_block(b"one") + xerial_block(b"") + xerial_block(b"two"), b"one"),
    ],
)
def test_xerial_streams_are_read_as_in_kafkas_clients(data: bytes, expected: bytes) -> None:
    assert decompress(SNAPPY, data, LIMIT) == expected


@pytest.mark.parametrize("size", [-1, -4, -(2**31), 2**31 - 1, 5])
def test_a_xerial_block_of_a_wrong_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="extends past"):
        decompress(SNAPPY, XERIAL_HEADER + struct.pack(">i", size) + b"abc", LIMIT)


def test_a_declared_size_is_not_allocated() -> None:
    with pytest.raises(TooLargeError):
        decompress(SNAPPY, b"\xff\xff\xff\xff\x0f", LIMIT)
    with pytest.raises(TooLargeError):
        decompress(SNAPPY, XERIAL_HEADER + struct.pack(">i", 5) + b"\xff\xff\xff\xff\x0f", LIMIT)
