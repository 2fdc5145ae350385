"""Text to prediction: cache, tokenise, plan, infer, post-process."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from time import monotonic
from typing import Protocol, TypeVar

import numpy as np
import structlog

from stream.classify.batcher import Batcher, Lane, PendingCall, Result, Row
from stream.classify.cache import Key, PredictionCache
from stream.classify.heads import Head
from stream.classify.inputs import ModelInput, Prediction
from stream.classify.queue import Limits
from stream.classify.tokenise import Tokens
from stream.classify.windows import Outcome, WindowPool
from stream.errors import DeviceError, Poison, Reason
from stream.observe.logs import debugging
from stream.runtime import Padded, Runtime
from stream.runtime.base import GraphInput, Logits

T = TypeVar("T")

PROBE = "warm up"
TOKENISE_ROWS = 4_096

log = structlog.get_logger(__name__)


class Observer(Protocol):
    """Times the stages, and is told what each inference held."""

    def timed(self, stage: str) -> AbstractContextManager[object]: ...
    def inferred(self, rows: int, real_tokens: int, padded_tokens: int) -> None: ...


class Tokenising(Protocol):
    """What is used of `Tokeniser`."""

    def encode_inputs(self, inputs: Sequence[ModelInput]) -> Sequence[Tokens]: ...
    def pad(self, rows: Sequence[Tokens], width_multiple: int = 1) -> Padded: ...


@dataclass(frozen=True, slots=True)
class Answers:
    """What `classify` found: a result a row, and what other workers do not know yet."""

    results: Sequence[Result]
    fresh: Mapping[Key, Prediction]


class Classifier:
    """Classifies rows with one bundle.

    One thread tokenises and each runtime has one of its own; both release the interpreter lock while they
    work. Laying out arrays and reading logits hold that lock anyway, so they stay in the event loop, as all
    state does; another batch runs meanwhile.
    """

    def __init__(
        self,
        runtimes: Sequence[Runtime],
        tokeniser: Tokenising,
        head: Head,
        cache: PredictionCache,
        observer: Observer,
        limits: Limits,
        *,
        linger_s: float,
        window_s: float,
        pool: WindowPool | None = None,
    ) -> None:
        """
        Args:
            runtimes: the bundle's sessions; each gets a thread that alone uses it.
            tokeniser: the bundle's.
            head: the bundle's.
            cache: looked into first, filled afterwards.
            observer: told durations and batch sizes.
            limits: what an inference may hold.
            linger_s: longest that a row waits for a fuller batch, seconds.
            window_s: seconds of work that may wait for the model.
            pool: cuts texts into windows and pools these, if the bundle does; it judges with the same head.
        """
        self._tokeniser = tokeniser
        self._pool = pool
        self._outcomes: Callable[[Logits, Sequence[Tokens]], Sequence[Outcome]] = (
            pool.outcomes if pool is not None else head.predictions
        )
        self._cache = cache
        self._observer = observer
        self._limits = limits
        self._closed = False
        self._lanes = [Lane(runtime) for runtime in runtimes]
        self._tokenise_thread = ThreadPoolExecutor(1, thread_name_prefix="tokenise")
        self._untokenised: list[Row] = []
        self._tokenising: asyncio.Task[None] | None = None
        self._batcher = Batcher(
            self._lanes,
            self._infer_batch,
            limits,
            linger_s=linger_s,
            window_s=window_s,
            clock=monotonic,
            call_later=lambda pause, work: asyncio.get_running_loop().call_later(pause, work),
        )

    def close(self) -> None:
        """End all threads, each after the inference that it is at."""
        self._closed = True
        for thread in (self._tokenise_thread, *(lane.thread for lane in self._lanes)):
            thread.shutdown(wait=False, cancel_futures=True)

    @property
    def events_at_once(self) -> int:
        """How many events a record batch should hold for its results to come soon."""
        return self._batcher.pace.rows_at_once

    @property
    def busy_s(self) -> float:
        """Seconds for which the model has work already, as far as its pace is known."""
        return self._batcher.busy_s

    @property
    def inferring_s(self) -> float:
        """For how long the longest inference has been running, seconds; 0 when none runs."""
        now = monotonic()
        return max((now - began for lane in self._lanes if (began := lane.began) is not None), default=0.0)

    @property
    def window_events(self) -> int:
        """How many events may be worked on at once: enough to plan well, few enough to finish soon."""
        return self._batcher.pace.window_rows

    async def warm_up(self, shapes: Iterable[tuple[int, int]]) -> None:
        """Run these shapes, (rows, tokens), in every lane, so that no event pays for a first time.

        Raises:
            DeviceError: the device cannot do it.
        """
        word = PROBE.split(maxsplit=1)[0]
        for rows, width in shapes:
            tokens = await self._first_windows([" ".join([word] * width)])
            one = self._tokeniser.pad(tokens)
            padded = {name: _repeated(name, given, rows, width) for name, given in one.items()}
            # All at once: lanes of one model may else take turns in what only one of them has warmed up.
            await asyncio.gather(*(self._warm(lane, padded) for lane in self._lanes))
        for lane in self._lanes:
            await self._probe(lane)

    async def _warm(self, lane: Lane, padded: Padded) -> None:
        rows, width = padded["input_ids"].shape
        try:
            await self._in(lane.thread, self._run_session, lane, padded)
        except Exception as exc:
            raise DeviceError(
                f"the model on {lane.runtime.device} cannot compute {rows} rows of {width} tokens",
                cause=_one_line(exc),
                fix="lower --max-batch-tokens or --max-batch-rows, or check the device and its memory",
            ) from exc
        self._batcher.pace.note(rows, lane.newly_busy_s())

    async def classify(self, inputs: Sequence[ModelInput]) -> Answers:
        """A result for each input, in order; one that makes the model fail gets `Poison`.

        Equal inputs are inferred once, also when another call is inferring them just now.

        Raises:
            DeviceError: the model fails on a text that it answered before: the device is at fault.
        """
        results: list[Result | None] = [None] * len(inputs)
        keys: list[Key] = []
        missing: Sequence[int] = range(len(inputs))
        if self._cache.on and inputs:
            with self._observer.timed("cache"):
                keys = self._cache.keys(inputs)
                results = [*await self._cache.get_many(keys, inputs)]
                missing = [at for at, known in enumerate(results) if known is None]
                self._batcher.pace.note(len(inputs) - len(missing), 0.0)
        await self._infer_missing(inputs, results, missing)
        answers = [result for result in results if result is not None]
        return Answers(answers, self._remember(keys, answers))

    async def share(self, answers: Answers) -> None:
        """Write what was inferred to the shared cache."""
        await self._cache.share(answers.fresh)

    def _remember(self, keys: list[Key], results: list[Result]) -> dict[Key, Prediction]:
        fresh = {
            key: result
            for key, result in zip(keys, results, strict=False)
            if type(result) is Prediction and not result.cached
        }
        for key, prediction in fresh.items():
            self._cache.remember(key, prediction)
        return fresh

    async def _infer_missing(
        self, inputs: Sequence[ModelInput], results: list[Result | None], missing: Sequence[int]
    ) -> None:
        if not missing:
            return
        group = PendingCall(inputs, results, len(missing), asyncio.get_running_loop().create_future())
        fresh = self._batcher.join(group, missing)
        if fresh:
            self._untokenised += fresh
            if self._tokenising is None:
                self._tokenising = asyncio.create_task(self._tokenise_waiting())
        await group.done

    async def _tokenise_waiting(self) -> None:
        """Tokenise what waits for it, calls together: another thread is expensive to wake up."""
        try:
            while self._untokenised:
                rows = self._untokenised[:TOKENISE_ROWS]
                del self._untokenised[:TOKENISE_ROWS]
                await self._tokenise(rows)
        finally:
            self._tokenising = None

    async def _tokenise(self, rows: list[Row]) -> None:
        try:
            with self._observer.timed("tokenise"):
                inputs = [group.inputs[at] for group, at in rows]
                tokens = await self._in(self._tokenise_thread, self._tokeniser.encode_inputs, inputs)
            if self._pool is None:
                self._batcher.add(rows, tokens)
            else:
                self._batcher.add_parts(rows, [*map(self._pool.cut, tokens)])
        except BaseException as exc:
            # Whatever it is: nobody awaits this task, so those who wait for the rows have to be told.
            self._batcher.fail(rows, exc)
            if not isinstance(exc, Exception):
                raise

    async def _first_windows(self, texts: Sequence[str]) -> Sequence[Tokens]:
        """Tokens of texts that go to the model as they are, cut at the maximum length."""
        tokens = await self._in(self._tokenise_thread, self._tokeniser.encode_inputs, texts)
        return tokens if self._pool is None else [*map(self._pool.first, tokens)]

    async def _infer_batch(self, lane: Lane, tokens: Sequence[Tokens]) -> Sequence[Outcome]:
        """Infer what was taken at once; if that fails, it is halved until the rows at fault stand alone."""
        try:
            return await self._infer_now(lane, tokens)
        except Exception as exc:  # noqa: BLE001 - runtimes share no base class; the probe tells whose fault it is
            if len(tokens) > 1:
                half = len(tokens) // 2
                return [
                    *await self._infer_batch(lane, tokens[:half]),
                    *await self._infer_batch(lane, tokens[half:]),
                ]
            await self._probe(lane)
            poison = Poison(Reason.MODEL, f"the model failed on this text: {type(exc).__name__}")
            return [poison if self._pool is None else self._pool.mark_failed(tokens[0], poison)]

    async def _infer_now(self, lane: Lane, tokens: Sequence[Tokens]) -> Sequence[Outcome]:
        padded = self._tokeniser.pad(tokens, self._limits.width_multiple)
        rows, width = padded["input_ids"].shape
        batches = self._limits.batches(rows, width)
        logits, seconds = await self._in(lane.thread, self._multiply_all, lane, padded, batches)
        for batch, took in zip(batches, seconds, strict=True):
            self._note_inference(tokens[batch], width, took)
        with self._observer.timed("postprocess"):
            return self._outcomes(logits, tokens)

    def _note_inference(self, tokens: Sequence[Tokens], width: int, seconds: float) -> None:
        rows, real = len(tokens), sum(map(len, tokens))
        self._observer.inferred(rows, real, rows * width)
        if debugging(__name__):
            log.debug(
                "batch",
                rows=rows,
                tokens=real,
                padded_tokens=rows * width,
                fill_ratio=round(real / (rows * width), 3),
                infer_ms=round(seconds * 1000, 3),
            )

    def _multiply_all(
        self, lane: Lane, padded: Padded, batches: Sequence[slice]
    ) -> tuple[Logits, list[float]]:
        """Logits of batches of one shape, one after another, and the seconds that each took."""
        each = []
        for batch in batches:
            # A process that ends waits for its threads, and should not for what nobody waits for any more.
            if self._closed:
                raise asyncio.CancelledError
            each.append(self._run_session(lane, {name: given[batch] for name, given in padded.items()}))
        return np.concatenate([logits for logits, _ in each]), [seconds for _, seconds in each]

    def _run_session(self, lane: Lane, padded: Padded) -> tuple[Logits, float]:
        lane.began = began = monotonic()
        try:
            with self._observer.timed("infer"):
                logits = lane.runtime.infer(padded)
        finally:
            lane.began = None
        seconds = monotonic() - began
        lane.busy_s += seconds
        return logits, seconds

    async def _probe(self, lane: Lane) -> None:
        """A text that is known to work: if it fails too, no record is to blame."""
        tokens = await self._first_windows([PROBE])
        try:
            (answer,) = await self._infer_now(lane, tokens)
        except Exception as exc:
            raise DeviceError(
                f"the model on {lane.runtime.device} stopped answering",
                cause=_one_line(exc),
                fix="check the device and its memory; the events are read again after a restart",
            ) from exc
        if isinstance(answer, Poison):
            raise DeviceError("the model gives no finite logits", fix="verify the bundle: labelstream verify")

    async def _in(self, thread: ThreadPoolExecutor, work: Callable[..., T], *given: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(thread, work, *given)


def _repeated(name: str, given: GraphInput, rows: int, width: int) -> GraphInput:
    """An input of one row as so many rows, of no more than that many tokens."""
    one: GraphInput = given if name == "metadata" else given[:, :width]
    return one[np.zeros(rows, dtype=np.int64)]


def _one_line(exc: BaseException) -> str:
    return f"{type(exc).__name__}: {' '.join(str(exc).split())[:200]}"
