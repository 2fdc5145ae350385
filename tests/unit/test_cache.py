"""Two tiers: what is remembered, what is forgotten, and what happens while Redis is away."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from stream.bundle import Bundle, Manifest
from stream.classify.cache import (
    KeyMaker,
    LocalCache,
    PredictionCache,
    RedisCache,
    decode_scores,
    encode_scores,
)
from stream.classify.inputs import Prediction, TextInput

BUNDLE = Bundle(Path("unused"), Manifest.model_construct(name="support", version="3"), "sha256:" + "ab" * 32)
KEYS = KeyMaker(BUNDLE, "fp32")


class FakeShared:
    """A Redis tier in memory that counts its round trips."""

    def __init__(self, values: Mapping[str, bytes] | None = None) -> None:
        self.values = dict(values or {})
        self.trips = 0

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        self.trips += 1
        return [self.values.get(key) for key in keys]

    async def put_many(self, values: Mapping[str, bytes]) -> None:
        self.trips += 1
        self.values.update(values)


class BrokenRedis:
    """A Redis client whose every command fails until it is mended."""

    def __init__(self) -> None:
        self.broken = True
        self.asked = 0

    async def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        self.asked += 1
        if self.broken:
            raise RedisConnectionError("refused")
        return [None for _ in keys]


def cache(local: int = 10, shared: FakeShared | None = None) -> tuple[PredictionCache, dict[str, int]]:
    counted: dict[str, int] = {}

    def count(tier: str, result: str, n: int) -> None:
        if n:
            counted[f"{tier} {result}"] = counted.get(f"{tier} {result}", 0) + n

    return PredictionCache(KEYS, LocalCache(local), shared, 2, count), counted


def test_the_key_names_model_variant_and_input() -> None:
    key = KEYS.key(TextInput("hi"))
    assert key.startswith("labelstream:1:abababababababab:fp32:")
    assert len(key.rsplit(":", 1)[1]) == 32


@pytest.mark.parametrize(
    "other",
    [
        TextInput("hi "),
        TextInput("hi", "there"),
        TextInput("hi", None, {"a": 1}),
        TextInput("é"),
        TextInput("e\u0301"),
    ],
)
def test_inputs_that_the_tokenizer_sees_differently_have_different_keys(other: TextInput) -> None:
    assert len({KEYS.key(row) for row in (TextInput("hi"), TextInput("é"), other)}) >= 2
    assert KEYS.key(TextInput("é")) != KEYS.key(TextInput("e\u0301"))


def test_the_order_of_metadata_does_not_matter() -> None:
    one, two = {"a": 1, "b": 2}, {"b": 2, "a": 1}
    assert KEYS.key(TextInput("hi", None, one)) == KEYS.key(TextInput("hi", None, two))


def test_the_least_recently_used_entry_leaves() -> None:
    local = LocalCache(2)
    local.put("a", (1.0,))
    local.put("b", (2.0,))
    assert local.get("a") == (1.0,)
    local.put("c", (3.0,))
    assert local.get("b") is None
    assert local.get("a") == (1.0,)
    assert len(local) == 2


def test_no_entries_switch_the_local_tier_off() -> None:
    local = LocalCache(0)
    local.put("a", (1.0,))
    assert local.get("a") is None


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"not json",
        b"[]",
        b'{"v":2,"scores":[0.5,0.5]}',
        b'{"v":1,"scores":[1.0]}',
        b'{"v":1,"scores":[0.5,"0.5"]}',
        b'{"v":1,"scores":[0.5,true]}',
        b'{"v":1,"scores":[1.5,-0.5]}',
        b'{"v":1,"scores":[null,0.5]}',
        b'{"v":1}',
    ],
)
async def test_a_value_that_does_not_validate_is_a_miss(value: bytes) -> None:
    assert decode_scores(value, 2) is None
    door, counted = cache(shared=FakeShared({"k": value}))
    assert await door.get_many(["k"]) == {}
    assert counted == {"local miss": 1, "redis invalid": 1}


def test_what_is_stored_is_what_is_read() -> None:
    assert decode_scores(encode_scores((0.981, 0.019)), 2) == (0.981, 0.019)


async def test_one_round_trip_for_reading_and_one_for_writing() -> None:
    shared = FakeShared()
    door, counted = cache(shared=shared)
    assert await door.get_many(["a", "b"]) == {}
    fresh = {"a": Prediction((0.9, 0.1)), "b": Prediction((0.2, 0.8))}
    await door.share(fresh)
    assert shared.trips == 2
    found = await door.get_many(["a", "b"])
    assert found == {"a": Prediction((0.9, 0.1), cached=True), "b": Prediction((0.2, 0.8), cached=True)}
    assert await door.get_many(["a"]) == {"a": Prediction((0.9, 0.1), cached=True)}
    assert shared.trips == 3
    assert counted == {"local miss": 4, "redis miss": 2, "redis hit": 2, "local hit": 1}


async def test_away_redis_is_said_once_left_alone_and_found_again() -> None:
    now = 100.0
    client: Any = BrokenRedis()
    tier = RedisCache(client, 60, lambda: now)
    with capture_logs() as logs:
        for _ in range(3):
            assert await tier.get_many(["k"]) == []
        assert client.asked == 1, "a pause keeps batches from waiting for the timeout again and again"
        now += 1.1
        assert await tier.get_many(["k"]) == []
        assert client.asked == 2
        client.broken = False
        now += 1.1
        assert await tier.get_many(["k"]) == [], "the pause has doubled"
        now += 1.0
        assert await tier.get_many(["k"]) == [None]
    assert [entry["event"] for entry in logs] == ["redis is away, going on without it", "redis is back"]


async def test_without_redis_every_key_is_an_error_of_that_tier() -> None:
    client: Any = BrokenRedis()
    counted: list[tuple[str, str, int]] = []
    tier = RedisCache(client, 60, lambda: 0.0)
    door = PredictionCache(KEYS, LocalCache(9), tier, 2, lambda *seen: counted.append(seen))
    assert await door.get_many(["a", "b"]) == {}
    assert ("redis", "error", 2) in counted
