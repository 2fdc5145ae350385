"""From text to prediction around a runtime of the test's own."""

import asyncio
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import pytest

from stream.classify.cache import KeyMaker, LocalCache, PredictionCache
from stream.classify.classifier import Classifier
from stream.classify.inputs import Prediction, TextInput
from stream.errors import DeviceError, Poison, Reason
from stream.runtime.base import Logits, Padded
from tests.unit.small_bundle import WORDS, small_bundle

GOOD, POISON = WORDS.index("good"), WORDS.index("poison")


class WordRuntime:
    """Says good for texts that hold `good`; fails as a whole on a batch that holds `poison`."""

    device = "cpu"
    provider = "test"

    def __init__(self) -> None:
        self.batches: list[np.ndarray] = []
        self.broken = False

    def infer(self, inputs: Padded) -> Logits:
        ids = inputs["input_ids"]
        self.batches.append(ids)
        if self.broken or (ids == POISON).any():
            raise RuntimeError("the kernel failed")
        good = (ids == GOOD).any(axis=1)
        return np.where(good[:, None], [[0.0, 5.0]], [[5.0, 0.0]]).astype(np.float32)


class Silent:
    """An observer that is told and does nothing but count real tokens."""

    def __init__(self) -> None:
        self.rows = 0

    def timed(self, stage: str) -> AbstractContextManager[object]:
        return nullcontext()

    def inferred(self, rows: int, real_tokens: int, padded_tokens: int) -> None:
        assert real_tokens <= padded_tokens
        self.rows += rows


def build(tmp_path: Path, local: int = 100) -> tuple[Classifier, WordRuntime, Silent]:
    bundle, runtime, observer = small_bundle(tmp_path), WordRuntime(), Silent()
    cache = PredictionCache(KeyMaker(bundle, "fp32"), LocalCache(local), None, 2)
    return Classifier(bundle, runtime, cache, observer, max_rows=4, max_tokens=32), runtime, observer


def rows(*texts: str) -> list[TextInput]:
    return [TextInput(text) for text in texts]


async def labels(classifier: Classifier, *texts: str) -> list[str]:
    found = await classifier.classify(rows(*texts))
    return [
        str(r.reason.value) if isinstance(r, Poison) else ("good" if r.scores[1] > 0.5 else "bad")
        for r in found
    ]


async def test_results_come_in_the_rows_order_although_lengths_are_sorted(tmp_path: Path) -> None:
    classifier, runtime, _ = build(tmp_path)
    assert await labels(classifier, "bad bad bad good", "bad", "bad good", "bad bad bad", "good") == [
        "good",
        "bad",
        "good",
        "bad",
        "good",
    ]
    assert [batch.shape[1] for batch in runtime.batches] == [3, 4]


async def test_equal_rows_are_inferred_once_and_then_come_from_the_cache(tmp_path: Path) -> None:
    classifier, _, observer = build(tmp_path)
    first = await classifier.classify(rows("good", "good", "bad"))
    assert observer.rows == 2
    assert [isinstance(r, Prediction) and r.cached for r in first] == [False, False, False]
    again = await classifier.classify(rows("good", "bad"))
    assert observer.rows == 2
    assert [isinstance(r, Prediction) and r.cached for r in again] == [True, True]


async def test_a_text_in_flight_is_waited_for_and_not_inferred_again(tmp_path: Path) -> None:
    classifier, _, observer = build(tmp_path, local=0)
    both = await asyncio.gather(
        classifier.classify(rows("good", "bad")), classifier.classify(rows("bad", "word"))
    )
    assert observer.rows == 3
    assert [r.cached for results in both for r in results if isinstance(r, Prediction)] == [False] * 4
    assert both[0][1] == both[1][0]
    await classifier.classify(rows("bad"))
    assert observer.rows == 4, "without a cache it is inferred again once nobody is at it"


async def test_whoever_waits_for_a_text_learns_of_the_failure(tmp_path: Path) -> None:
    classifier, runtime, _ = build(tmp_path)
    runtime.broken = True
    failures = await asyncio.gather(
        classifier.classify(rows("good")), classifier.classify(rows("good")), return_exceptions=True
    )
    assert [type(failure) for failure in failures] == [DeviceError, DeviceError]
    runtime.broken = False
    assert await labels(classifier, "good") == ["good"]


async def test_a_row_that_makes_the_model_fail_is_found_and_stands_alone(tmp_path: Path) -> None:
    classifier, _, _ = build(tmp_path)
    found = await classifier.classify(rows("good", "bad", "poison", "bad good", "bad bad"))
    assert [isinstance(r, Poison) for r in found] == [False, False, True, False, False]
    poison = found[2]
    assert isinstance(poison, Poison)
    assert poison.reason is Reason.MODEL
    assert "poison" not in str(poison), "a dead letter's message never holds the text"


async def test_a_device_that_fails_on_everything_is_fatal_and_no_record_is_blamed(tmp_path: Path) -> None:
    classifier, runtime, _ = build(tmp_path)
    runtime.broken = True
    with pytest.raises(DeviceError) as told:
        await classifier.classify(rows("good", "bad"))
    assert told.value.exit_code == 7


async def test_warm_up_runs_the_largest_shape(tmp_path: Path) -> None:
    classifier, runtime, _ = build(tmp_path)
    await classifier.warm_up()
    assert runtime.batches[0].shape == (4, 8)


async def test_texts_are_cut_at_the_bundles_maximum_length(tmp_path: Path) -> None:
    classifier, runtime, _ = build(tmp_path)
    await classifier.classify(rows("bad " * 100))
    assert runtime.batches[0].shape == (1, 8)
