"""Two tiers: what is remembered, what is forgotten, and what happens while Redis is away."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from stream.bundle import Bundle, Manifest
from stream.classify.cache import (
    KeyMaker,
    LocalCache,
    PredictionCache,
    RedisCache,
    SharedCache,
    decode_stored,
    encode_stored,
)
from stream.classify.heads.single_label import SingleLabelHead
from stream.classify.inputs import ModelInput, Prediction, canonical

BUNDLE = Bundle(Path("unused"), Manifest.model_construct(name="support", version="3"), "sha256:" + "ab" * 32)
KEYS = KeyMaker(BUNDLE, "fp32")
POSTPROCESSOR = SingleLabelHead(
    Manifest.model_construct(task="single-label", labels=["no", "yes"], temperature=1.0), 2
)


def sized(labels: int) -> Callable[[bytes], bool]:
    """Accepts what has a score for each of so many labels."""
    return SingleLabelHead(
        Manifest.model_construct(labels=[str(at) for at in range(labels)], temperature=1.0), 1
    ).fits


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

    async def ping(self) -> None:
        await self.mget([])


def predictions(count: int = 1) -> list[Prediction]:
    """Different predictions, as the model makes them."""
    logits = np.array([[at, 1.0] for at in range(count)], dtype=np.float32)
    return [result for result in POSTPROCESSOR.predictions(logits) if isinstance(result, Prediction)]


def known(prediction: Prediction) -> Prediction:
    """How a cache tier gives a prediction back."""
    return prediction._replace(cached=True)


def cache(local: int = 10, shared: SharedCache | None = None) -> tuple[PredictionCache, dict[str, int]]:
    counted: dict[str, int] = {}

    def count(tier: str, result: str, n: int) -> None:
        if n:
            counted[f"{tier} {result}"] = counted.get(f"{tier} {result}", 0) + n

    return PredictionCache(KEYS, LocalCache(local), shared, POSTPROCESSOR, count), counted


def test_the_shared_key_names_model_variant_and_input() -> None:
    (key,) = KEYS.keys(["hi"])
    assert len(key) == 16
    assert KEYS.shared(key) == f"labelstream:1:abababababababab:fp32:{key.hex()}"
    other = KeyMaker(BUNDLE, "int8")
    assert other.shared(key) != KEYS.shared(key)


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


def test_an_input_is_written_with_room_for_metadata() -> None:
    """Keys of earlier versions, which wrote metadata that was never there, stay the same."""
    assert canonical("hi") == b'["hi",null,null]'
    assert canonical(("hi", "there")) == b'["hi","there",null]'


def test_the_least_recently_used_entry_leaves() -> None:
    one, two, three = predictions(3)
    local = LocalCache(2)
    local.put(b"a", one)
    local.put(b"b", two)
    assert local.get(b"a") == known(one)
    local.put(b"c", three)
    assert local.get(b"b") is None
    assert local.get(b"a") == known(one)
    assert local.get(b"c") == known(three)
    assert len(local) == 2


def test_an_entry_that_is_put_again_is_used_again() -> None:
    one, two, three = predictions(3)
    local = LocalCache(2)
    local.put(b"a", one)
    local.put(b"b", two)
    local.put(b"a", one)
    local.put(b"c", three)
    assert [local.get(key) is not None for key in (b"a", b"b", b"c")] == [True, False, True]


def test_no_entries_switch_the_local_tier_off() -> None:
    local = LocalCache(0)
    assert not local.on
    local.put(b"a", predictions()[0])
    assert local.get(b"a") is None
    assert len(local) == 0


def test_a_cache_without_any_tier_is_off() -> None:
    assert not cache(local=0)[0].on
    assert cache(local=1)[0].on
    assert cache(local=0, shared=FakeShared())[0].on


@given(st.binary(min_size=4, max_size=400).filter(lambda scores: len(scores) % 4 == 0))
def test_what_is_stored_is_what_is_read(scores: bytes) -> None:
    stored = encode_stored(Prediction(b"", scores))
    labels = len(scores) // 4
    assert stored[0] == 2, "the version"
    assert decode_stored(stored, sized(labels)) == scores
    assert decode_stored(stored, sized(labels + 1)) is None
    assert decode_stored(stored, sized(labels - 1)) is None
    assert decode_stored(stored[:-1], sized(labels)) is None
    assert decode_stored(stored + b"\0", sized(labels)) is None


@given(st.data(), st.integers(1, 20))
def test_no_byte_may_be_another(data: st.DataObject, labels: int) -> None:
    scores = data.draw(st.binary(min_size=4 * labels, max_size=4 * labels))
    stored = bytearray(encode_stored(Prediction(b"", scores)))
    stored[data.draw(st.integers(0, len(stored) - 1))] ^= data.draw(st.integers(1, 255))
    assert decode_stored(bytes(stored), sized(labels)) is None


@given(st.binary(max_size=60))
def test_no_bytes_raise(value: bytes) -> None:
    found = decode_stored(value, sized(2))
    assert found is None or encode_stored(Prediction(b"", found)) == value


@pytest.mark.parametrize(
    "value",
    [b"", b"\x02", b"not stored by us", b'{"v":1,"scores":[0.5,0.5]}', b"\x01" + b"\0" * 12],
)
async def test_a_value_that_does_not_validate_is_a_miss(value: bytes) -> None:
    keys = KEYS.keys(["a", "b"])
    (good,) = predictions()
    door, counted = cache(
        shared=FakeShared({KEYS.shared(keys[0]): value, KEYS.shared(keys[1]): encode_stored(good)})
    )
    assert await door.get_many(keys, ["a", "b"][: len(keys)]) == [None, known(good)]
    assert counted == {"local miss": 2, "redis invalid": 1, "redis hit": 1}


async def test_one_round_trip_for_reading_and_one_for_writing() -> None:
    shared = FakeShared()
    door, counted = cache(shared=shared)
    keys = KEYS.keys(["a", "b", "c"])
    assert await door.get_many(keys[:2], ["a", "b"]) == [None, None]
    one, two = predictions(2)
    await door.share({keys[0]: one, keys[1]: two})
    assert shared.trips == 2
    assert await door.get_many([keys[1], keys[2], keys[0]], ["b", "c", "a"]) == [known(two), None, known(one)]
    assert shared.trips == 3
    assert await door.get_many(keys[:1], ["a"]) == [known(one)]
    assert shared.trips == 3, "what Redis knew is known in process from then on"
    assert counted == {"local miss": 5, "redis miss": 3, "redis hit": 2, "local hit": 1}


async def test_what_is_remembered_is_not_asked_for_and_nothing_fresh_is_no_trip() -> None:
    shared = FakeShared()
    door, counted = cache(shared=shared)
    keys = KEYS.keys(["a"])
    (one,) = predictions()
    door.remember(keys[0], one)
    assert await door.get_many(keys, ["a", "b"][: len(keys)]) == [known(one)]
    await door.share({})
    assert shared.trips == 0
    assert counted == {"local hit": 1}


async def test_with_the_local_tier_off_nothing_is_counted_for_it() -> None:
    shared = FakeShared()
    door, counted = cache(local=0, shared=shared)
    keys = KEYS.keys(["a"])
    (one,) = predictions()
    door.remember(keys[0], one)
    await door.share({keys[0]: one})
    for _ in range(2):
        assert await door.get_many(keys, ["a", "b"][: len(keys)]) == [known(one)]
    assert counted == {"redis hit": 2}


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


async def test_a_redis_that_comes_back_starts_with_a_short_pause_again() -> None:
    now = 100.0
    client: Any = BrokenRedis()
    tier = RedisCache(client, 60, lambda: now)
    for pause in (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0):
        await tier.get_many(["k"])
        now += pause - 0.1
        asked = client.asked
        await tier.get_many(["k"])
        assert client.asked == asked, f"asked before {pause} s were over"
        now += 0.2
    client.broken = False
    assert await tier.get_many(["k"]) == [None]
    client.broken = True
    assert await tier.get_many(["k"]) == []
    now += 1.1
    client.broken = False
    assert await tier.get_many(["k"]) == [None]


async def test_without_redis_every_key_is_an_error_of_that_tier() -> None:
    client: Any = BrokenRedis()
    door, counted = cache(shared=RedisCache(client, 60, lambda: 0.0))
    assert await door.get_many(KEYS.keys(["a", "b"]), ["a", "b"]) == [None, None]
    assert counted == {"local miss": 2, "redis error": 2}


async def test_whether_redis_answers_is_told_also_while_nothing_is_looked_up() -> None:
    now = 100.0
    client: Any = BrokenRedis()
    answers: list[bool] = []
    again: list[float] = []
    tier = RedisCache(client, 60, lambda: now, answers.append, lambda: again.append(now))
    await tier.look()
    await tier.look()
    assert (answers, again) == ([False], []), "the pause holds for looking too"
    now += 1.1
    client.broken = False
    await tier.look()
    await tier.look()
    assert (answers, again) == ([False, True, True], [101.1])
