"""The classifier with a fake runtime."""

import asyncio
import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from stream.classify import (
    BatchLimits,
    Classifier,
    KeyMaker,
    LocalCache,
    ModelInput,
    ModelParts,
    Prediction,
    PredictionCache,
    SharedCache,
    Tokeniser,
)
from stream.classify.cache import Key
from stream.classify.classifier import InferenceObserver
from stream.classify.heads.single_label import SingleLabelHead
from stream.errors import BundleError, DeviceError, Poison, Reason
from stream.observe.metrics import Metrics
from stream.observe.stages import StageTrace
from stream.runtime import Logits, PaddedBatch
from stream.runtime.base import PaddedCost
from tests.unit.small_bundle import WORDS, small_bundle

GOOD, BAD, POISON = WORDS.index("good"), WORDS.index("bad"), WORDS.index("poison")


class WordRuntime:
    """A runtime that predicts good for the word `good`, and fails on a batch with the word `poison`."""

    device = "cpu"
    provider = "test"
    pad_multiple = 1
    bucket_shapes: Sequence[tuple[int, int]] = ()
    padded_cost: PaddedCost = np.multiply
    max_same_shape_batches = 1

    def __init__(self) -> None:
        self.batches: list[np.ndarray] = []
        self.broken = False
        self.max_rows = 100
        self.non_finite = False

    def infer(self, inputs: PaddedBatch) -> Logits:
        ids = inputs["input_ids"]
        self.batches.append(ids)
        if self.broken or (ids == POISON).any() or len(ids) > self.max_rows:
            raise RuntimeError("the kernel failed\nat length")
        good = (ids == GOOD).any(axis=1)
        logits = np.where(good[:, None], [[0.0, 5.0]], [[5.0, 0.0]]).astype(np.float32)
        return np.full_like(logits, np.nan) if self.non_finite else logits


class RecordingObserver:
    """An observer that records rows, inferences and stages."""

    def __init__(self) -> None:
        self.rows = 0
        self.inferences: list[tuple[int, int, int]] = []
        self.stages: list[str] = []

    def timed(self, stage: str, traces: Sequence[StageTrace] = ()) -> AbstractContextManager[object]:
        self.stages.append(stage)
        return nullcontext()

    def inferred(self, rows: int, real_tokens: int, padded_tokens: int) -> None:
        assert real_tokens <= padded_tokens
        self.rows += rows
        self.inferences.append((rows, real_tokens, padded_tokens))


class FakeShared:
    """A shared tier in memory."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return [self.values.get(key) for key in keys]

    async def put_many(self, values: Mapping[str, bytes]) -> None:
        self.values.update(values)


class UnusableCache(PredictionCache):
    """A cache that fails when it is used."""

    def keys(self, rows: Iterable[ModelInput]) -> list[Key]:
        raise AssertionError


class Setup:
    def __init__(
        self,
        folder: Path,
        local: int = 100,
        shared: SharedCache | None = None,
        threads: int = 1,
        cache: type[PredictionCache] = PredictionCache,
        window_s: float = 1.0,
        max_same_shape_batches: int = 1,
        observer: InferenceObserver | None = None,
    ) -> None:
        bundle = small_bundle(folder)
        self.runtimes = [WordRuntime() for _ in range(threads)]
        self.runtime = self.runtimes[0]
        self.observer = RecordingObserver()
        self.keys = KeyMaker(bundle, "fp32")
        head = SingleLabelHead(bundle.manifest, 2)
        self.classifier = Classifier(
            ModelParts(self.runtimes, Tokeniser(bundle), head),
            cache(self.keys, LocalCache(local), shared, head),
            observer or self.observer,
            BatchLimits(max_rows=4, max_tokens=32, max_same_shape_batches=max_same_shape_batches),
            window_s,
        )

    async def results(self, *texts: str) -> list[Prediction | Poison]:
        return [*(await self.classifier.classify(texts)).results]

    async def labels(self, *texts: str) -> list[str]:
        return [
            r.reason.value if isinstance(r, Poison) else r.fields()["label"]
            for r in await self.results(*texts)
        ]

    async def cached(self, *texts: str) -> list[bool]:
        return [isinstance(r, Prediction) and r.cached for r in await self.results(*texts)]


async def test_results_have_the_order_of_the_rows_although_the_queue_orders_by_length(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    assert await setup.labels("bad bad bad good", "bad", "bad good", "bad bad bad", "good") == [
        "good",
        "bad",
        "good",
        "bad",
        "good",
    ]
    assert [batch.shape for batch in setup.runtime.batches] == [(2, 4), (3, 2)]


async def test_batches_taken_at_once_are_inferred_one_by_one(tmp_path: Path) -> None:
    setup = Setup(tmp_path, local=0, max_same_shape_batches=2)
    texts = [f"{word} {at}" for at in range(32) for word in ("good", "bad")]
    assert await setup.labels(*texts) == ["good", "bad"] * 32
    assert {batch.shape for batch in setup.runtime.batches} == {(4, 2)}
    assert setup.observer.inferences == [(4, 8, 8)] * 16
    assert setup.observer.stages.count("infer") == 16
    assert setup.observer.stages.count("postprocess") == 15, (
        "several are taken only if eight times as many are queued"
    )


async def test_after_close_a_thread_ends_with_its_current_batch(tmp_path: Path) -> None:
    setup = Setup(tmp_path, local=0, max_same_shape_batches=2)
    infer = setup.runtime.infer

    def infer_and_close(inputs: PaddedBatch) -> Logits:
        setup.classifier.close()
        return infer(inputs)

    setup.runtime.infer = infer_and_close  # type: ignore[method-assign]
    texts = [f"good {number}" for number in range(64)]
    (error,) = await asyncio.gather(setup.results(*texts), return_exceptions=True)
    assert isinstance(error, BaseException)
    assert len(setup.runtime.batches) == 1


@pytest.mark.parametrize("at", [0, 3, 4, 7])
async def test_a_faulty_row_is_found_among_batches_taken_at_once(tmp_path: Path, at: int) -> None:
    setup = Setup(tmp_path, local=0, max_same_shape_batches=2)
    texts = [f"good {number}" for number in range(64)]
    texts[at] = "poison 0"
    labels = await setup.labels(*texts)
    assert labels == ["model" if number == at else "good" for number in range(64)]


async def test_an_empty_call_infers_nothing(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    assert await setup.results() == []
    assert setup.runtime.batches == []


async def test_equal_rows_are_inferred_once_and_then_served_from_the_cache(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    assert await setup.cached("good", "good", "bad") == [False, False, False]
    assert setup.observer.rows == 2
    assert await setup.cached("good", "bad") == [True, True]
    assert setup.observer.rows == 2
    assert await setup.labels("word", "good", "bad") == ["bad", "good", "bad"]
    assert setup.observer.rows == 3, "only rows that are not cached are inferred"


async def test_a_text_in_progress_is_not_inferred_again(tmp_path: Path) -> None:
    setup = Setup(tmp_path, local=0)
    both = await asyncio.gather(setup.results("good", "bad"), setup.results("bad", "word"))
    assert setup.observer.rows == 3
    assert [r.cached for results in both for r in results if isinstance(r, Prediction)] == [False] * 4
    assert both[0][1] == both[1][0]
    await setup.results("bad")
    assert setup.observer.rows == 4, "without a cache it is inferred again after the first inference"


async def test_new_predictions_are_those_that_the_model_made_for_this_call(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    first = await setup.classifier.classify(["good", "good", "poison"])
    (key,) = setup.keys.keys(["good"])
    assert first.new_predictions == {key: first.results[0]}
    again = await setup.classifier.classify(["good"])
    assert again.new_predictions == {}


async def test_concurrent_calls_are_tokenised_together(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    labels = await asyncio.gather(setup.labels("good"), setup.labels("bad"), setup.labels("good good"))
    assert [*labels] == [["good"], ["bad"], ["good"]]
    assert setup.observer.stages.count("tokenise") == 1


async def test_another_worker_does_not_infer_shared_predictions(tmp_path: Path) -> None:
    shared = FakeShared()
    one, other = Setup(tmp_path, shared=shared), Setup(tmp_path, shared=shared)
    batch = await one.classifier.classify(["good", "bad"])
    assert shared.values == {}, "nothing is shared before `store_shared` is called"
    await one.classifier.store_shared(batch)
    assert await other.cached("good", "bad", "word") == [True, True, False]
    assert other.observer.rows == 1


async def test_a_disabled_cache_is_not_used(tmp_path: Path) -> None:
    setup = Setup(tmp_path, local=0, cache=UnusableCache)
    batch = await setup.classifier.classify(["good"])
    assert len(batch.results) == 1
    assert batch.new_predictions == {}
    assert "cache" not in setup.observer.stages
    with pytest.raises(AssertionError):
        await Setup(tmp_path, local=1, cache=UnusableCache).results("good")


async def test_a_failure_is_raised_in_every_call_that_waits_for_the_text(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    setup.runtime.broken = True
    failures = await asyncio.gather(setup.results("good"), setup.results("good"), return_exceptions=True)
    assert [type(failure) for failure in failures] == [DeviceError, DeviceError]
    setup.runtime.broken = False
    assert await setup.labels("good") == ["good"]


async def test_a_tokenizer_error_is_raised_in_every_waiting_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = Setup(tmp_path)

    def fail(_tokeniser: Tokeniser, _inputs: object) -> None:
        raise ValueError("no tokens")

    with monkeypatch.context() as patched:
        patched.setattr(Tokeniser, "encode_inputs", fail)
        failures = await asyncio.gather(setup.results("good"), setup.results("good"), return_exceptions=True)
    for failure in failures:
        assert isinstance(failure, BundleError)
        assert failure.exit_code == 3
        assert "ValueError: no tokens" in failure.cause
    assert await setup.labels("good") == ["good"]


async def test_a_wrong_number_of_tokens_raises_instead_of_blocking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = Setup(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(Tokeniser, "encode_inputs", lambda _tokeniser, _inputs: [])
        with pytest.raises(BundleError) as raised:
            await asyncio.wait_for(setup.results("good"), 5)
        assert "0 results for 1 items" in raised.value.cause
    assert await setup.labels("good") == ["good"]


@pytest.mark.parametrize("at", range(9))
async def test_a_row_that_makes_the_model_fail_is_isolated(tmp_path: Path, at: int) -> None:
    setup = Setup(tmp_path)
    texts = ["good", "bad", "bad good", "bad bad", "word", "word good", "word word", "up"]
    texts.insert(at, "poison bad")
    results = await setup.results(*texts)
    assert [isinstance(r, Poison) for r in results] == [place == at for place in range(9)]
    poison = results[at]
    assert isinstance(poison, Poison)
    assert poison.reason is Reason.MODEL
    assert "poison" not in str(poison), "the message of a dead letter never contains the text"
    assert await setup.labels("poison bad") == ["model"], "poison is not cached"


async def test_several_faulty_rows_of_a_batch_are_all_found(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    assert await setup.labels("poison", "good", "poison bad", "bad") == ["model", "good", "model", "bad"]


async def test_a_device_that_fails_on_every_text_is_a_fatal_error(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    setup.runtime.broken = True
    with pytest.raises(DeviceError) as raised:
        await setup.results("good", "bad")
    assert raised.value.exit_code == 7
    assert raised.value.cause == "RuntimeError: the kernel failed at length"


async def test_a_device_without_finite_logits_is_a_fatal_error(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    setup.runtime.non_finite = True
    with pytest.raises(DeviceError, match="no finite logits"):
        await setup.classifier.warm_up([])
    with pytest.raises(DeviceError, match="no finite logits"):
        await setup.classifier.warm_up([(1, 4)])


async def test_warm_up_runs_every_shape_on_every_thread(tmp_path: Path) -> None:
    setup = Setup(tmp_path, threads=2)
    await setup.classifier.warm_up([(4, 8), (1, 3)])
    for runtime in setup.runtimes:
        assert [batch.shape for batch in runtime.batches] == [(4, 8), (1, 3), (1, 2)]


async def test_a_shape_that_the_device_cannot_compute_is_an_error_with_a_fix(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    setup.runtime.max_rows = 2
    with pytest.raises(DeviceError, match="4 rows of 8 tokens") as raised:
        await setup.classifier.warm_up([(4, 8), (1, 3)])
    assert "max-batch-rows" in raised.value.fix
    assert "RuntimeError: the kernel failed" in raised.value.cause


async def test_two_threads_infer_concurrently(tmp_path: Path) -> None:
    setup = Setup(tmp_path, threads=2)
    assert await setup.labels(*(f"good {word}" for word in "abcdefgh")) == ["good"] * 8
    assert [len(runtime.batches) for runtime in setup.runtimes] == [1, 1]


async def test_texts_are_truncated_at_the_bundles_maximum_length(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    await setup.results("bad " * 100)
    assert setup.runtime.batches[0].shape == (1, 8)


async def test_the_window_follows_the_models_throughput(tmp_path: Path) -> None:
    setup = Setup(tmp_path, window_s=0.0)
    await setup.results("good")
    assert setup.classifier.window_events == 8, "at least two batches for the thread"
    assert setup.classifier.record_batch_size > 0


class HeldRuntime(WordRuntime):
    """A runtime whose inference ends when the test sets an event."""

    def __init__(self) -> None:
        super().__init__()
        self.started = threading.Event()
        self.may_end = threading.Event()

    def infer(self, inputs: PaddedBatch) -> Logits:
        self.started.set()
        assert self.may_end.wait(60)
        return super().infer(inputs)


async def test_the_duration_of_a_running_inference_is_visible(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    held = HeldRuntime()
    setup.classifier._threads[0].runtime = held
    assert setup.classifier.longest_inference_s == 0
    waiting = asyncio.create_task(setup.labels("good"))
    assert await asyncio.to_thread(held.started.wait, 60)
    first = setup.classifier.longest_inference_s
    assert 0 < first < setup.classifier.longest_inference_s
    held.may_end.set()
    assert await waiting == ["good"]
    assert setup.classifier.longest_inference_s == 0


async def test_a_failed_inference_no_longer_counts_as_running(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    assert await setup.labels("poison") == ["model"]
    assert setup.classifier.longest_inference_s == 0


async def test_each_inference_logs_a_debug_line_without_texts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    setup = Setup(tmp_path)
    with capture_logs() as silent:
        await setup.labels("bad")
    caplog.set_level(logging.DEBUG, "stream.classify.classifier")
    with capture_logs() as logs:
        await setup.labels("good", "bad good")
    assert silent == []
    (line,) = logs
    assert {name: line[name] for name in ("event", "log_level", "rows", "tokens", "padded_tokens")} == {
        "event": "batch",
        "log_level": "debug",
        "rows": 2,
        "tokens": 3,
        "padded_tokens": 4,
    }
    assert line["fill_ratio"] == 0.75
    assert line["infer_ms"] >= 0
    assert "good" not in str(line)


class RecordingTrace:
    """A trace that records stages."""

    def __init__(self) -> None:
        self.ids = {"trace_id": "1", "span_id": "2"}
        self.stages: list[str] = []

    def record(self, stage: str, began: float, ended: float) -> None:
        assert began <= ended
        self.stages.append(stage)


async def test_the_stages_are_recorded_in_the_traces_of_the_calls_that_they_work_for(tmp_path: Path) -> None:
    setup = Setup(tmp_path, observer=Metrics())
    traces = [RecordingTrace() for _ in range(3)]
    calls = [("red blue", "red"), ("red",), ("green",)]
    await asyncio.gather(
        setup.classifier.classify(["untraced"]),
        *(setup.classifier.classify(texts, trace) for texts, trace in zip(calls, traces, strict=True)),
    )
    first, duplicate, last = (set(trace.stages) for trace in traces)
    assert first == last == {"cache", "tokenise", "infer"}
    assert duplicate == {"cache", "infer"}, "another call has the same text tokenised"
    await setup.classifier.classify(["green"], cached := RecordingTrace())
    assert cached.stages == ["cache"]
    assert setup.classifier._tokenising._traced == []
