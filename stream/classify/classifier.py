"""The classifier of one bundle: cache, tokenize, batch, infer, predict."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from time import monotonic
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import structlog

from stream.classify.batcher import Batcher, PendingCall, RuntimeThread
from stream.classify.cache import Key, PredictionCache
from stream.classify.heads import Head
from stream.classify.heads.base import finite_rows, non_finite_logits
from stream.classify.inputs import ModelInput, Prediction, RowResult
from stream.classify.isolating_tokeniser import (
    PROBE_TEXT,
    BatchTokeniser,
    EncodedInputs,
    IsolatingTokeniser,
)
from stream.classify.queue import BatchLimits
from stream.classify.throughput import Throughput
from stream.classify.tokenise import Tokens
from stream.classify.tokenise_stage import TokeniseStage
from stream.classify.windows import WindowPool, WindowResult
from stream.errors import DeviceError, Poison, Reason, is_fault_of_record, one_line
from stream.isolation import checked_results, isolate
from stream.observe.logs import debug_enabled
from stream.observe.stages import StageTrace
from stream.runtime import GraphInput, Logits, PaddedBatch, Runtime

T = TypeVar("T")


log = structlog.get_logger(__name__)


class InferenceObserver(Protocol):
    """Measures the stages of classification and the size of each inference."""

    def timed(self, stage: str, traces: Sequence[StageTrace] = ()) -> AbstractContextManager[object]: ...
    def inferred(self, rows: int, real_tokens: int, padded_tokens: int) -> None: ...


@dataclass(frozen=True, slots=True)
class ModelParts:
    """The parts of a bundle that turn text into predictions.

    Attributes:
        runtimes: the inference sessions; the classifier gives each of them a thread of its own.
        tokeniser: the bundle's tokenizer.
        head: turns logits into predictions.
        windows: splits long texts into windows and pools their logits; None if the bundle truncates texts.
    """

    runtimes: Sequence[Runtime]
    tokeniser: BatchTokeniser
    head: Head
    windows: WindowPool | None = None


@dataclass(frozen=True, slots=True)
class ClassifiedBatch:
    """The results of one `classify` call.

    Attributes:
        results: the result of each input, in order.
        new_predictions: the predictions that the model made for this call, which the shared cache lacks.
    """

    results: Sequence[RowResult]
    new_predictions: Mapping[Key, Prediction]


class Classifier:
    """Classifies rows with one bundle.

    One thread tokenizes and each runtime has a thread of its own; both release the interpreter lock while
    they work. Padding arrays and reading logits hold that lock anyway, so they run in the event loop, which
    owns all state; another batch runs meanwhile.
    """

    def __init__(
        self,
        model: ModelParts,
        cache: PredictionCache,
        observer: InferenceObserver,
        limits: BatchLimits,
        window_s: float,
    ) -> None:
        """
        Args:
            model: the parts of the bundle.
            cache: is read before inference and filled after it.
            observer: receives durations and batch sizes.
            limits: the limits of a batch.
            window_s: the seconds of work that may be in progress.
        """
        self._tokeniser = model.tokeniser
        self._windows = model.windows
        self._encoder = IsolatingTokeniser(model.tokeniser, model.windows)
        self._read_logits: Callable[[Logits, Sequence[Tokens]], Sequence[WindowResult]] = (
            model.windows.collect if model.windows is not None else model.head.predict
        )
        self._cache = cache
        self._observer = observer
        self._limits = limits
        self._closed = False
        self._threads = [RuntimeThread(runtime) for runtime in model.runtimes]
        self._tokenise_executor = ThreadPoolExecutor(1, thread_name_prefix="tokenise")
        self._throughput = Throughput(len(self._threads), limits.max_rows, window_s)
        self._batcher = Batcher(self._threads, self._infer_batch, limits, self._throughput)
        self._tokenising = TokeniseStage(
            self._encode, self._batcher, observer, windows=model.windows is not None
        )

    def close(self) -> None:
        """Shut down all threads; each of them ends after its current inference."""
        self._closed = True
        for executor in (self._tokenise_executor, *(thread.executor for thread in self._threads)):
            executor.shutdown(wait=False, cancel_futures=True)

    @property
    def record_batch_size(self) -> int:
        """The number of events that a record batch should hold so that its results come soon."""
        return self._throughput.record_batch_rows

    @property
    def backlog_s(self) -> float:
        """The estimated seconds of work that wait for the model; 0 before the first batch."""
        return self._batcher.backlog_s

    @property
    def longest_inference_s(self) -> float:
        """The seconds that the longest current inference has been running; 0 when none runs."""
        now = monotonic()
        return max(
            (now - started for thread in self._threads if (started := thread.started_at) is not None),
            default=0.0,
        )

    @property
    def window_events(self) -> int:
        """The number of events that may be in progress: enough to fill batches, few enough to finish soon."""
        return self._throughput.window_rows

    async def warm_up(self, shapes: Iterable[tuple[int, int]]) -> None:
        """Run these shapes, (rows, tokens), on every thread, so that no event pays for a first inference.

        Raises:
            DeviceError: the device cannot compute a shape.
        """
        word = PROBE_TEXT.split(maxsplit=1)[0]
        for rows, width in shapes:
            tokens = await self._encode_known(" ".join([word] * width))
            one = self._tokeniser.pad(tokens)
            padded = {name: _repeat(name, given, rows, width) for name, given in one.items()}
            # The threads run at the same time. One after another, sessions that share a model could all run
            # on the one stream that is already warm.
            await asyncio.gather(*(self._warm_up_thread(thread, padded) for thread in self._threads))
        for thread in self._threads:
            await self._probe(thread)

    async def _warm_up_thread(self, thread: RuntimeThread, padded: PaddedBatch) -> None:
        rows, width = padded["input_ids"].shape
        try:
            await self._run_in(thread.executor, self._run_session, thread, padded)
        except BaseException as exc:
            if not is_fault_of_record(exc):
                raise
            raise DeviceError(
                f"the model on {thread.runtime.device} cannot compute {rows} rows of {width} tokens",
                cause=one_line(exc),
                fix="lower --max-batch-tokens or --max-batch-rows, or check the device and its memory",
            ) from exc
        self._throughput.record(rows, thread.take_busy_s())

    async def classify(
        self, inputs: Sequence[ModelInput], trace: StageTrace | None = None
    ) -> ClassifiedBatch:
        """Classify inputs; the result of an input that makes the tokenizer or the model fail is `Poison`.

        Equal inputs are inferred once, also across concurrent calls.

        Args:
            inputs: the model inputs.
            trace: records the stages of this call; None if it is not traced.

        Raises:
            DeviceError: the model fails on a text that it has classified before, so the device is at fault.
            BundleError: the tokenizer fails on such a text.
        """
        results: list[RowResult | None] = [None] * len(inputs)
        keys: list[Key] = []
        missing: Sequence[int] = range(len(inputs))
        if self._cache.enabled and inputs:
            with self._observer.timed("cache", () if trace is None else (trace,)):
                found = self._cache_keys(inputs)
                if found is not None:
                    keys = found
                    results = [*await self._cache.get_many(keys, inputs)]
                    missing = [index for index, known in enumerate(results) if known is None]
                    self._throughput.record(len(inputs) - len(missing), 0.0)
            if found is None:
                return await self._classify_with_keys(inputs, trace)
        await self._infer_missing(inputs, results, missing, trace)
        complete = [result for result in results if result is not None]
        return ClassifiedBatch(complete, self._remember(keys, complete))

    def _cache_keys(self, inputs: Sequence[ModelInput]) -> list[Key] | None:
        """Return the cache keys of inputs, or None if an input has none."""
        try:
            return self._cache.keys(inputs)
        except BaseException as exc:
            if not is_fault_of_record(exc):
                raise
            return None

    async def _classify_with_keys(
        self, inputs: Sequence[ModelInput], trace: StageTrace | None
    ) -> ClassifiedBatch:
        """Classify the inputs that have a cache key; the result of an input without one is `Poison`."""
        # If this raises, the cache is at fault and not an input.
        self._cache.keys([PROBE_TEXT])
        no_key = Poison(Reason.MODEL, "the text has no cache key")
        keys: Sequence[Key | Poison] = isolate(self._cache.keys, inputs, lambda _input, _error: no_key)
        good = [at for at, key in enumerate(keys) if not isinstance(key, Poison)]
        classified = await self.classify([inputs[at] for at in good], trace)
        results: list[RowResult] = [no_key] * len(inputs)
        for at, result in zip(good, classified.results, strict=True):
            results[at] = result
        return ClassifiedBatch(results, classified.new_predictions)

    async def store_shared(self, batch: ClassifiedBatch) -> None:
        """Write the new predictions of a batch to the shared cache."""
        await self._cache.store_shared(batch.new_predictions)

    def _remember(self, keys: list[Key], results: list[RowResult]) -> dict[Key, Prediction]:
        new = {
            key: result
            for key, result in zip(keys, results, strict=False)
            if type(result) is Prediction and not result.cached
        }
        for key, prediction in new.items():
            self._cache.remember(key, prediction)
        return new

    async def _infer_missing(
        self,
        inputs: Sequence[ModelInput],
        results: list[RowResult | None],
        missing: Sequence[int],
        trace: StageTrace | None,
    ) -> None:
        if not missing:
            return
        done = asyncio.get_running_loop().create_future()
        call = PendingCall(inputs, results, len(missing), done, trace)
        new = self._batcher.register(call, missing)
        if new:
            self._tokenising.add(new)
        await call.done

    async def _encode(self, inputs: Sequence[ModelInput]) -> EncodedInputs:
        return await self._run_in(self._tokenise_executor, self._encoder.encode, inputs)

    async def _encode_known(self, text: str) -> Sequence[Tokens]:
        """Return the tokens of a text that must not fail, truncated to the maximum length."""
        return await self._run_in(self._tokenise_executor, self._encoder.encode_known, [text])

    async def _infer_batch(self, thread: RuntimeThread, tokens: Sequence[Tokens]) -> Sequence[WindowResult]:
        """Infer items that were taken together; after a failure, halve them to isolate each faulty row."""
        try:
            return await self._infer(thread, tokens)
        except BaseException as exc:
            if not is_fault_of_record(exc):
                raise
            error = exc
        if len(tokens) > 1:
            half = len(tokens) // 2
            return [
                *await self._infer_batch(thread, tokens[:half]),
                *await self._infer_batch(thread, tokens[half:]),
            ]
        await self._probe(thread)
        log.warning("the model failed on a text", error=type(error).__name__)
        poison = error if isinstance(error, Poison) else Poison(Reason.MODEL, "the model failed on this text")
        return [poison if self._windows is None else self._windows.mark_failed(tokens[0], poison)]

    async def _infer(self, thread: RuntimeThread, tokens: Sequence[Tokens]) -> Sequence[WindowResult]:
        padded = self._tokeniser.pad(tokens, self._limits.width_multiple)
        rows, width = padded["input_ids"].shape
        batches = self._limits.split(rows, width)
        logits, seconds = await self._run_in(thread.executor, self._run_sessions, thread, padded, batches)
        for batch, batch_s in zip(batches, seconds, strict=True):
            self._report_inference(tokens[batch], width, batch_s)
        if np.isfinite(logits).all():
            return self._read(logits, tokens)
        finite = finite_rows(logits, tokens)
        if not finite.any():
            raise non_finite_logits()
        return await self._read_finite(thread, logits, tokens, finite)

    async def _read_finite(
        self, thread: RuntimeThread, logits: Logits, tokens: Sequence[Tokens], finite: npt.NDArray[np.bool_]
    ) -> Sequence[WindowResult]:
        """Read the rows with finite logits and infer the others again: their batch may be the cause."""
        good, others = np.flatnonzero(finite).tolist(), np.flatnonzero(~finite).tolist()
        results: list[WindowResult] = [None] * len(tokens)
        for at, result in zip(good, self._read(logits[good], [tokens[at] for at in good]), strict=True):
            results[at] = result
        if others:
            again = await self._infer_batch(thread, [tokens[at] for at in others])
            for at, result in zip(others, again, strict=True):
                results[at] = result
        return results

    def _read(self, logits: Logits, tokens: Sequence[Tokens]) -> Sequence[WindowResult]:
        with self._observer.timed("postprocess"):
            return checked_results(self._read_logits(logits, tokens), len(tokens))

    def _report_inference(self, tokens: Sequence[Tokens], width: int, seconds: float) -> None:
        rows, real = len(tokens), sum(map(len, tokens))
        self._observer.inferred(rows, real, rows * width)
        if debug_enabled(__name__):
            log.debug(
                "batch",
                rows=rows,
                tokens=real,
                padded_tokens=rows * width,
                fill_ratio=round(real / (rows * width), 3),
                infer_ms=round(seconds * 1000, 3),
            )

    def _run_sessions(
        self, thread: RuntimeThread, padded: PaddedBatch, batches: Sequence[slice]
    ) -> tuple[Logits, list[float]]:
        """Run batches of one shape one after another; return the logits of all and the seconds of each."""
        each = []
        for batch in batches:
            # The process waits for its threads at exit, so batches without a caller are skipped.
            if self._closed:
                raise asyncio.CancelledError
            each.append(self._run_session(thread, {name: given[batch] for name, given in padded.items()}))
        return np.concatenate([logits for logits, _ in each]), [seconds for _, seconds in each]

    def _run_session(self, thread: RuntimeThread, padded: PaddedBatch) -> tuple[Logits, float]:
        thread.started_at = started = monotonic()
        try:
            with self._observer.timed("infer"):
                logits = thread.runtime.infer(padded)
            rows = len(padded["input_ids"])
            if len(logits) != rows:
                raise ValueError(f"the model returned logits of {len(logits)} rows for {rows}")
        finally:
            thread.started_at = None
        seconds = monotonic() - started
        thread.busy_s += seconds
        return logits, seconds

    async def _probe(self, thread: RuntimeThread) -> None:
        """Infer a text that is known to work: if it fails, the device is at fault and not a record."""
        tokens = await self._encode_known(PROBE_TEXT)
        try:
            (result,) = await self._infer(thread, tokens)
        except Poison as exc:
            result = exc
        except BaseException as exc:
            if not is_fault_of_record(exc):
                raise
            raise DeviceError(
                f"the model on {thread.runtime.device} has stopped working",
                cause=one_line(exc),
                fix="check the device and its memory; the worker reads the events again after a restart",
            ) from exc
        if isinstance(result, Poison):
            raise DeviceError(
                "the model returns no finite logits",
                cause=str(result),
                fix="verify the bundle: labelstream verify",
            )

    async def _run_in(self, executor: ThreadPoolExecutor, work: Callable[..., T], *given: object) -> T:
        try:
            running = asyncio.get_running_loop().run_in_executor(executor, _run, work, given)
        except RuntimeError:
            # The executor is shut down. That is no fault of the input.
            if self._closed:
                raise asyncio.CancelledError from None
            raise
        return await running


def _run(work: Callable[..., T], given: Sequence[object]) -> T:
    """Call a function in a thread of an executor."""
    try:
        return work(*given)
    except StopIteration as exc:
        # asyncio cannot pass this error on: the caller would wait for ever.
        raise RuntimeError("StopIteration") from exc


def _repeat(name: str, given: GraphInput, rows: int, width: int) -> GraphInput:
    """Return a graph input of one row, repeated to `rows` rows and truncated to `width` tokens."""
    one: GraphInput = given if name == "metadata" else given[:, :width]
    return one[np.zeros(rows, dtype=np.int64)]
