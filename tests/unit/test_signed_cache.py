"""Signed values: only those of a writer with the secret are read."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stream.classify.signed_cache import SignedCache, read_secret
from stream.errors import UsageError
from tests.unit.test_cache import FakeShared

SECRET = b"sixteen bytes at least"
VALUE = b"\x02crc-scores"


async def stored(secret: bytes = SECRET, key: str = "labelstream:k") -> FakeShared:
    """Return a tier with one value that a worker with this secret has stored."""
    shared = FakeShared()
    await SignedCache(shared, secret).put_many({key: VALUE})
    return shared


async def test_a_worker_with_the_same_secret_reads_the_value() -> None:
    shared = await stored()
    assert await SignedCache(shared, SECRET).get_many(["labelstream:k", "labelstream:other"]) == [VALUE, None]
    assert shared.values["labelstream:k"][:1] == b"\x03"
    assert SECRET not in shared.values["labelstream:k"]


async def test_a_worker_with_another_secret_reads_an_invalid_value() -> None:
    shared = await stored(b"another secret of a worker")
    assert await SignedCache(shared, SECRET).get_many(["labelstream:k"]) == [b""]


async def test_a_value_that_was_copied_from_another_key_is_invalid() -> None:
    shared = await stored()
    shared.values["labelstream:other"] = shared.values["labelstream:k"]
    assert await SignedCache(shared, SECRET).get_many(["labelstream:other"]) == [b""]


@pytest.mark.parametrize(
    "forge",
    [
        lambda signed: VALUE,
        lambda signed: b"",
        lambda signed: signed[:1],
        lambda signed: b"\x02" + signed[1:],
        lambda signed: signed[:-1] + bytes([signed[-1] ^ 1]),
        lambda signed: signed[:5] + bytes([signed[5] ^ 1]) + signed[6:],
        lambda signed: signed[:-1],
        lambda signed: signed + b"\0",
        lambda signed: b"\x03" + bytes(16) + VALUE,
    ],
)
async def test_a_changed_or_unsigned_value_is_invalid(forge: Callable[[bytes], bytes]) -> None:
    shared = await stored()
    shared.values["labelstream:k"] = forge(shared.values["labelstream:k"])
    assert await SignedCache(shared, SECRET).get_many(["labelstream:k"]) == [b""]


def test_the_secret_is_read_without_the_end_of_the_line(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(SECRET + b"\n")
    assert read_secret(file) == SECRET


@pytest.mark.parametrize("content", [None, b"", b"short\n", b" " * 40])
def test_a_missing_or_short_secret_is_a_usage_error(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError) as raised:
        read_secret(file)
    assert "cache_secret_file" in raised.value.message + raised.value.fix
    assert raised.value.cause
