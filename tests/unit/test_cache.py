"""The prediction cache: both tiers, the stored form, and an unavailable Redis."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from stream.bundle import Bundle
from stream.classify import KeyMaker, LocalCache, ModelInput, Prediction, PredictionCache, SharedCache
from stream.classify.cache import decode_stored, encode_stored
from stream.classify.heads.single_label import SingleLabelHead
from stream.classify.inputs import canonical_json
from stream.classify.redis_cache import RedisCache
from tests.unit.small_bundle import partial_manifest

BUNDLE = Bundle(Path("unused"), partial_manifest(name="support", version="3"), "sha256:" + "ab" * 32)
KEYS = KeyMaker(BUNDLE, "fp32")
HEAD = SingleLabelHead(partial_manifest(task="single-label", labels=["no", "yes"], temperature=1.0), 2)


def score_check(labels: int) -> Callable[[bytes], bool]:
    """Return a check that accepts stored forms with a score for each of this many labels."""
    return SingleLabelHead(
        partial_manifest(labels=[str(at) for at in range(labels)], temperature=1.0), 1
    ).accepts


class FakeShared:
    """A shared tier in memory that counts its round trips."""

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
    """A Redis client whose commands fail while `broken` is True."""

    def __init__(self) -> None:
        self.broken = True
        self.requests = 0

    async def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        self.requests += 1
        if self.broken:
            raise RedisConnectionError("refused")
        return [None for _ in keys]

    async def ping(self) -> None:
        await self.mget([])


def predictions(count: int = 1) -> list[Prediction]:
    """Return different predictions that are not cached."""
    logits = np.array([[at, 1.0] for at in range(count)], dtype=np.float32)
    return [result for result in HEAD.predict(logits) if isinstance(result, Prediction)]


def as_cached(prediction: Prediction) -> Prediction:
    """Return a prediction as a cache tier returns it."""
    return prediction._replace(cached=True)


def cache(local: int = 10, shared: SharedCache | None = None) -> tuple[PredictionCache, dict[str, int]]:
    counted: dict[str, int] = {}

    def count(tier: str, result: str, n: int) -> None:
        if n:
            counted[f"{tier} {result}"] = counted.get(f"{tier} {result}", 0) + n

    return PredictionCache(KEYS, LocalCache(local), shared, HEAD, count), counted


def test_the_shared_key_names_model_variant_and_input() -> None:
    (key,) = KEYS.keys(["hi"])
    assert len(key) == 16
    assert KEYS.shared_key(key) == f"labelstream:1:abababababababab:fp32:{key.hex()}"
    other = KeyMaker(BUNDLE, "int8")
    assert other.shared_key(key) != KEYS.shared_key(key)


def test_inputs_that_the_tokenizer_sees_differently_have_different_keys() -> None:
    rows: list[ModelInput] = [
        "hi",
        "hi ",
        ("hi", "there"),
        ("hi", ""),
        '["hi","there",null]',
        "\u00e9",
        "e\u0301",
        "",
    ]
    assert len(set(KEYS.keys(rows))) == len(rows)
    assert KEYS.keys(["hi", "hi"]) == KEYS.keys(["hi"]) * 2


def test_the_canonical_json_has_a_place_for_metadata() -> None:
    """The keys are those of earlier versions, which wrote null for the metadata."""
    assert canonical_json("hi") == b'["hi",null,null]'
    assert canonical_json(("hi", "there")) == b'["hi","there",null]'


def test_the_least_recently_used_entry_is_evicted() -> None:
    one, two, three = predictions(3)
    local = LocalCache(2)
    local.put(b"a", one)
    local.put(b"b", two)
    assert local.get(b"a") == as_cached(one)
    local.put(b"c", three)
    assert local.get(b"b") is None
    assert local.get(b"a") == as_cached(one)
    assert local.get(b"c") == as_cached(three)
    assert len(local) == 2


def test_putting_an_entry_again_makes_it_recently_used() -> None:
    one, two, three = predictions(3)
    local = LocalCache(2)
    local.put(b"a", one)
    local.put(b"b", two)
    local.put(b"a", one)
    local.put(b"c", three)
    assert [local.get(key) is not None for key in (b"a", b"b", b"c")] == [True, False, True]


def test_a_size_of_0_disables_the_local_tier() -> None:
    local = LocalCache(0)
    assert not local.enabled
    local.put(b"a", predictions()[0])
    assert local.get(b"a") is None
    assert len(local) == 0


def test_a_cache_without_any_tier_is_disabled() -> None:
    assert not cache(local=0)[0].enabled
    assert cache(local=1)[0].enabled
    assert cache(local=0, shared=FakeShared())[0].enabled


@given(st.binary(min_size=4, max_size=400).filter(lambda scores: len(scores) % 4 == 0))
def test_decoding_reverses_encoding(scores: bytes) -> None:
    stored = encode_stored(Prediction(b"", scores))
    labels = len(scores) // 4
    assert stored[0] == 2, "the version"
    assert decode_stored(stored, score_check(labels)) == scores
    assert decode_stored(stored, score_check(labels + 1)) is None
    assert decode_stored(stored, score_check(labels - 1)) is None
    assert decode_stored(stored[:-1], score_check(labels)) is None
    assert decode_stored(stored + b"\0", score_check(labels)) is None


@given(st.data(), st.integers(1, 20))
def test_a_change_of_any_byte_is_detected(data: st.DataObject, labels: int) -> None:
    scores = data.draw(st.binary(min_size=4 * labels, max_size=4 * labels))
    stored = bytearray(encode_stored(Prediction(b"", scores)))
    stored[data.draw(st.integers(0, len(stored) - 1))] ^= data.draw(st.integers(1, 255))
    assert decode_stored(bytes(stored), score_check(labels)) is None


@given(st.binary(max_size=60))
def test_decoding_never_raises(value: bytes) -> None:
    decoded = decode_stored(value, score_check(2))
    assert decoded is None or encode_stored(Prediction(b"", decoded)) == value


@pytest.mark.parametrize(
    "value",
    [b"", b"\x02", b"not stored by us", b'{"v":1,"scores":[0.5,0.5]}', b"\x01" + b"\0" * 12],
)
async def test_an_invalid_value_is_a_miss(value: bytes) -> None:
    keys = KEYS.keys(["a", "b"])
    (good,) = predictions()
    tiers, counted = cache(
        shared=FakeShared({KEYS.shared_key(keys[0]): value, KEYS.shared_key(keys[1]): encode_stored(good)})
    )
    assert await tiers.get_many(keys, ["a", "b"][: len(keys)]) == [None, as_cached(good)]
    assert counted == {"local miss": 2, "redis invalid": 1, "redis hit": 1}


async def test_one_round_trip_for_reading_and_one_for_writing() -> None:
    shared = FakeShared()
    tiers, counted = cache(shared=shared)
    keys = KEYS.keys(["a", "b", "c"])
    assert await tiers.get_many(keys[:2], ["a", "b"]) == [None, None]
    one, two = predictions(2)
    await tiers.store_shared({keys[0]: one, keys[1]: two})
    assert shared.trips == 2
    assert await tiers.get_many([keys[1], keys[2], keys[0]], ["b", "c", "a"]) == [
        as_cached(two),
        None,
        as_cached(one),
    ]
    assert shared.trips == 3
    assert await tiers.get_many(keys[:1], ["a"]) == [as_cached(one)]
    assert shared.trips == 3, "a hit in Redis is then stored in the process"
    assert counted == {"local miss": 5, "redis miss": 3, "redis hit": 2, "local hit": 1}


async def test_a_local_hit_and_an_empty_write_need_no_round_trip() -> None:
    shared = FakeShared()
    tiers, counted = cache(shared=shared)
    keys = KEYS.keys(["a"])
    (one,) = predictions()
    tiers.remember(keys[0], one)
    assert await tiers.get_many(keys, ["a", "b"][: len(keys)]) == [as_cached(one)]
    await tiers.store_shared({})
    assert shared.trips == 0
    assert counted == {"local hit": 1}


async def test_a_disabled_local_tier_counts_nothing() -> None:
    shared = FakeShared()
    tiers, counted = cache(local=0, shared=shared)
    keys = KEYS.keys(["a"])
    (one,) = predictions()
    tiers.remember(keys[0], one)
    await tiers.store_shared({keys[0]: one})
    for _ in range(2):
        assert await tiers.get_many(keys, ["a", "b"][: len(keys)]) == [as_cached(one)]
    assert counted == {"redis hit": 2}


async def test_an_unavailable_redis_is_logged_once_and_retried_with_backoff() -> None:
    now = 100.0
    client: Any = BrokenRedis()
    tier = RedisCache(client, 60, lambda: now)
    with capture_logs() as logs:
        for _ in range(3):
            assert await tier.get_many(["k"]) == []
        assert client.requests == 1, "the backoff keeps batches from waiting for the timeout each time"
        now += 1.1
        assert await tier.get_many(["k"]) == []
        assert client.requests == 2
        client.broken = False
        now += 1.1
        assert await tier.get_many(["k"]) == [], "the backoff has doubled"
        now += 1.0
        assert await tier.get_many(["k"]) == [None]
    assert [entry["event"] for entry in logs] == [
        "redis unavailable, continuing without it",
        "redis available again",
    ]


async def test_after_a_success_the_backoff_starts_from_the_minimum_again() -> None:
    now = 100.0
    client: Any = BrokenRedis()
    tier = RedisCache(client, 60, lambda: now)
    for backoff in (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0):
        await tier.get_many(["k"])
        now += backoff - 0.1
        requests = client.requests
        await tier.get_many(["k"])
        assert client.requests == requests, f"a request within the backoff of {backoff} s"
        now += 0.2
    client.broken = False
    assert await tier.get_many(["k"]) == [None]
    client.broken = True
    assert await tier.get_many(["k"]) == []
    now += 1.1
    client.broken = False
    assert await tier.get_many(["k"]) == [None]


async def test_without_redis_every_lookup_is_an_error_of_that_tier() -> None:
    client: Any = BrokenRedis()
    tiers, counted = cache(shared=RedisCache(client, 60, lambda: 0.0))
    assert await tiers.get_many(KEYS.keys(["a", "b"]), ["a", "b"]) == [None, None]
    assert counted == {"local miss": 2, "redis error": 2}


async def test_a_ping_reports_whether_redis_responds() -> None:
    now = 100.0
    client: Any = BrokenRedis()
    responses: list[bool] = []
    retries: list[float] = []
    tier = RedisCache(client, 60, lambda: now, responses.append, lambda: retries.append(now))
    await tier.ping()
    await tier.ping()
    assert (responses, retries) == ([False], []), "the backoff applies to pings too"
    now += 1.1
    client.broken = False
    await tier.ping()
    await tier.ping()
    assert (responses, retries) == ([False, True, True], [101.1])
