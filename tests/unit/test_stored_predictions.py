"""Stored predictions that a head cannot have made are not published."""

import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stream.bundle import Manifest, SpanRules, TargetScale
from stream.classify import KeyMaker, LocalCache, Prediction, PredictionCache, make_head
from stream.classify.cache import encode_stored
from tests.unit.small_bundle import partial_manifest
from tests.unit.test_cache import BUNDLE, FakeShared

TEXT = "Anna met Bob in Berlin"
MAX_FLOAT32 = float(np.finfo(np.float32).max)


def manifest(task: str, labels: Sequence[str] = ("a", "b", "c"), **more: Any) -> Manifest:
    return partial_manifest(task=task, labels=list(labels), inputs=["input_ids"], **more)


SINGLE, MULTI = manifest("single-label"), manifest("multi-label")
ABSTAINING, ORDINAL = (
    manifest("single-label", abstain_below=0.5),
    manifest("single-label", values=[1.0, 2.0, 3.0]),
)
REGRESSION = manifest("regression", ["value"], target=TargetScale(mean=3.0, std=2.0))
TOKENS = manifest("token", ["O", "B-PER", "I-PER", "B-LOC"], spans=SpanRules(scheme="bio"), abstain_below=0.4)
WORDS = manifest("token", ["noun", "verb"], spans=SpanRules(scheme="word"))
HEADS = {
    "single": SINGLE,
    "multi": MULTI,
    "abstaining": ABSTAINING,
    "ordinal": ORDINAL,
    "regression": REGRESSION,
    "tokens": TOKENS,
    "words": WORDS,
}


def scores(*millionths: int) -> bytes:
    return np.array(millionths, dtype="<u4").tobytes()


def spans(*found: object) -> bytes:
    return orjson.dumps(found)


def value(number: float) -> bytes:
    return struct.pack("<d", number)


async def looked_up(
    of: Manifest, stored: bytes, text: str = TEXT
) -> tuple[Prediction | None, dict[str, int]]:
    """Return what the cache finds for a text with this value in the shared tier, and its counts."""
    keys = KeyMaker(BUNDLE, "fp32")
    (key,) = keys.keys([text])
    shared = FakeShared({keys.shared_key(key): encode_stored(Prediction(b"", stored))})
    counted: dict[str, int] = {}
    cache = PredictionCache(
        keys, LocalCache(0), shared, make_head(of), lambda tier, result, n: counted.update({result: n})
    )
    (found,) = await cache.get_many([key], [text])
    return found, {result: n for result, n in counted.items() if n}


@pytest.mark.parametrize(
    ("of", "stored"),
    [
        (SINGLE, scores(4_294_967_295, 4_294_967_295, 4_294_967_295)),
        (SINGLE, scores(1_000_001, 0, 0)),
        (SINGLE, scores(0, 0, 0)),
        (SINGLE, scores(500_000, 499_997, 0)),
        (SINGLE, scores(500_000, 500_002, 0)),
        (SINGLE, scores(1_000_000, 1_000_000, 4_292_967_296)),
        (ABSTAINING, scores(900_000, 900_000, 0)),
        (ORDINAL, scores(1_000_000, 1_000_000, 1_000_000)),
        (MULTI, scores(1_000_001, 0, 0)),
        (MULTI, scores(0, 0, 2**32 - 1)),
        (REGRESSION, value(float("nan"))),
        (REGRESSION, value(float("-inf"))),
        (REGRESSION, value(1e300)),
        (REGRESSION, value(MAX_FLOAT32 * 2.1)),
        (REGRESSION, value(0.123_456_789)),
        (TOKENS, spans(("PER", 0, 23, 990_000))),
        (TOKENS, spans(("PER", 9, 12, 990_000), ("PER", 0, 4, 990_000))),
        (TOKENS, spans(("ORG", 0, 4, 990_000))),
        (TOKENS, spans(("O", 0, 4, 990_000))),
        (TOKENS, spans(("B-PER", 0, 4, 990_000))),
        (TOKENS, spans((None, 0, 4, 990_000))),
        (TOKENS, spans(("PER", 0, 4, 1_000_001))),
        (TOKENS, spans(("PER", 0, 4, 399_999))),
        (TOKENS, spans(("PER", 0, 4, True))),
        (TOKENS, spans(("PER", False, 4, 990_000))),
        (TOKENS, spans(("PER", 0, 5, 990_000))),
        (TOKENS, spans(("PER", -4, 4, 990_000))),
        (TOKENS, spans(("PER", 0, 10**15, 990_000))),
        (TOKENS, b"[" * 2_000),
        (TOKENS, b"{}"),
        (WORDS, spans(("adverb", 0, 4, 990_000))),
        (WORDS, spans(("noun", 0, 4, 400_000))),
    ],
)
async def test_an_impossible_value_is_invalid(of: Manifest, stored: bytes) -> None:
    assert await looked_up(of, stored) == (None, {"invalid": 1})


@pytest.mark.parametrize(
    ("of", "stored"),
    [
        (SINGLE, scores(333_333, 333_333, 333_333)),
        (SINGLE, scores(1_000_000, 0, 0)),
        (ABSTAINING, scores(400_000, 300_000, 300_000)),
        (ORDINAL, scores(0, 0, 1_000_000)),
        (MULTI, scores(1_000_000, 1_000_000, 1_000_000)),
        (MULTI, scores(0, 0, 0)),
        (REGRESSION, value(3.62)),
        (REGRESSION, value(-0.0)),
        (REGRESSION, value(MAX_FLOAT32)),
        (TOKENS, spans()),
        (TOKENS, spans(("PER", 0, 4, 400_000), ("LOC", 16, 22, 1_000_000))),
        (WORDS, spans(("noun", 0, 4, 500_000))),
    ],
)
async def test_a_possible_value_is_a_hit(of: Manifest, stored: bytes) -> None:
    found, counted = await looked_up(of, stored)
    assert found is not None
    assert counted == {"hit": 1}


async def test_an_impossible_value_does_not_affect_its_neighbours() -> None:
    keys = KeyMaker(BUNDLE, "fp32")
    texts = [f"text {at}" for at in range(5)]
    stored = [scores(at * 200_000, 1_000_000 - at * 200_000, 0) for at in range(5)]
    values = {
        keys.shared_key(key): encode_stored(Prediction(b"", form))
        for key, form in zip(keys.keys(texts), stored, strict=True)
    }
    values[keys.shared_key(keys.keys(texts[2:3])[0])] = encode_stored(
        Prediction(b"", scores(2_000_000, 0, 0))
    )
    cache = PredictionCache(keys, LocalCache(0), FakeShared(values), make_head(SINGLE))
    found = await cache.get_many(keys.keys(texts), texts)
    assert [None if hit is None else hit.stored for hit in found] == [*stored[:2], None, *stored[3:]]


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
@given(data=st.data(), labels=st.integers(2, 40))
def test_every_prediction_of_a_head_is_possible(task: str, data: st.DataObject, labels: int) -> None:
    of = manifest(task, [str(at) for at in range(labels)])
    finite = st.floats(-1e6, 1e6, width=32) | st.floats(-4, 4, width=32)
    logits = data.draw(arrays(np.float32, (3, labels), elements=finite))
    predicted = [result for result in make_head(of).predict(logits, ()) if isinstance(result, Prediction)]
    assert all(make_head(of).possible([prediction.stored for prediction in predicted], [""] * 3))


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_every_finite_logit_of_a_regression_is_possible(logit: float) -> None:
    (prediction,) = make_head(REGRESSION).predict(np.array([[logit]], dtype=np.float32), ())
    assert isinstance(prediction, Prediction)
    assert make_head(REGRESSION).possible([prediction.stored], [""]) == [True]


FOREIGN = (
    st.binary(max_size=40)
    | st.lists(st.integers(0, 2**32 - 1), min_size=3, max_size=3).map(lambda row: scores(*row))
    | st.floats().map(value)
    | st.lists(st.tuples(st.sampled_from(["PER", "noun", ""]), *[st.integers(-9, 2**70)] * 3)).map(
        lambda found: json.dumps(found).encode()
    )
)


@pytest.mark.parametrize("name", HEADS)
@given(stored=FOREIGN, text=st.text(max_size=8))
async def test_no_content_of_a_value_raises_an_error(name: str, stored: bytes, text: str) -> None:
    found, counted = await looked_up(HEADS[name], stored, text)
    assert counted == ({"invalid": 1} if found is None else {"hit": 1})
    if found is not None:
        published = found.fields().get("scores", {}).values()
        assert all(0 <= score <= 1 for score in published)
