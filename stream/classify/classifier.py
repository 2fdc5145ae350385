"""Text to prediction: cache, tokenise, plan, infer, post-process."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from stream.bundle import Bundle
from stream.classify.cache import PredictionCache
from stream.classify.inputs import Prediction, TextInput
from stream.classify.planner import plan
from stream.classify.postprocess import check_task, predictions
from stream.classify.tokenise import Tokeniser, Tokens
from stream.errors import DeviceError, Poison, Reason
from stream.runtime import Runtime

T = TypeVar("T")

PROBE = TextInput("warm up")


class Observer(Protocol):
    """Times the stages, and is told what each inference held."""

    def timed(self, stage: str) -> AbstractContextManager[object]: ...
    def inferred(self, rows: int, real_tokens: int, padded_tokens: int) -> None: ...


class Classifier:
    """Classifies rows with one bundle. One thread owns the session; another tokenises."""

    def __init__(
        self,
        bundle: Bundle,
        runtime: Runtime,
        cache: PredictionCache,
        observer: Observer,
        *,
        max_rows: int,
        max_tokens: int,
    ) -> None:
        """
        Args:
            bundle: the model's bundle.
            runtime: its session; used by this classifier's thread only.
            cache: looked into first, filled afterwards.
            observer: told durations and batch sizes.
            max_rows: most rows of one inference.
            max_tokens: most padded tokens of one inference.

        Raises:
            BundleError: the task cannot be served, or the tokenizer cannot be loaded.
        """
        check_task(bundle.manifest)
        self._manifest = bundle.manifest
        self._runtime = runtime
        self._cache = cache
        self._observer = observer
        self._max_rows = max_rows
        self._max_tokens = max_tokens
        self._in_flight: dict[str, asyncio.Future[Prediction | Poison]] = {}
        self._tokeniser = Tokeniser(bundle)
        self._session_thread = ThreadPoolExecutor(1, thread_name_prefix="infer")
        self._tokenise_thread = ThreadPoolExecutor(1, thread_name_prefix="tokenise")

    def close(self) -> None:
        """End both threads."""
        self._session_thread.shutdown(wait=False, cancel_futures=True)
        self._tokenise_thread.shutdown(wait=False, cancel_futures=True)

    async def warm_up(self) -> None:
        """Run the largest shape that will be planned, so that the first event does not pay for it.

        Raises:
            DeviceError: the device cannot do it.
        """
        longest = self._manifest.max_length
        rows = max(1, min(self._max_rows, self._max_tokens // longest))
        long_text = TextInput(PROBE.text + " word" * longest)
        tokens = await self._in(self._tokenise_thread, lambda: self._tokeniser.encode([long_text] * rows))
        if not await self._in(self._session_thread, lambda: self._infer_now(tokens)):
            raise DeviceError("the model gave no answer", mend="verify the bundle: labelstream verify")
        await self._probe()

    async def classify(self, rows: Sequence[TextInput]) -> list[Prediction | Poison]:
        """Predictions in the rows' order; a row that makes the model fail gets `Poison`.

        Equal rows are inferred once, also when another call is inferring them just now.

        Raises:
            DeviceError: the model fails on a text that it answered before: the device is at fault.
        """
        with self._observer.timed("cache"):
            keys = [self._cache.key(row) for row in rows]
            known: dict[str, Prediction | Poison] = {}
            known.update(await self._cache.get_many(list(dict.fromkeys(keys))))
        missing = {key: row for key, row in zip(keys, rows, strict=True) if key not in known}
        elsewhere = {key: self._in_flight[key] for key in missing if key in self._in_flight}
        known |= await self._infer_first({key: row for key, row in missing.items() if key not in elsewhere})
        for key, result in elsewhere.items():
            known[key] = await asyncio.shield(result)
        return [known[key] for key in keys]

    async def _infer_first(self, missing: dict[str, TextInput]) -> dict[str, Prediction | Poison]:
        """Infer rows that nobody is inferring, and let others wait for the results."""
        loop = asyncio.get_running_loop()
        promised: dict[str, asyncio.Future[Prediction | Poison]] = {
            key: loop.create_future() for key in missing
        }
        self._in_flight |= promised
        try:
            found = await self._infer(list(missing.values())) if missing else []
        except Exception as exc:
            for promise in promised.values():
                promise.set_exception(exc)
                # Whoever waits gets it too; when nobody does, it is raised here all the same.
                promise.exception()
            raise
        except asyncio.CancelledError:
            for promise in promised.values():
                promise.cancel()
            raise
        finally:
            for key in promised:
                del self._in_flight[key]
        fresh = dict(zip(missing, found, strict=True))
        self._cache.remember(good(fresh))
        for key, result in fresh.items():
            promised[key].set_result(result)
        return fresh

    async def share(self, rows: Iterable[TextInput], results: Iterable[Prediction | Poison]) -> None:
        """Write what was inferred to the shared cache."""
        fresh = {
            self._cache.key(row): result
            for row, result in zip(rows, results, strict=True)
            if isinstance(result, Prediction) and not result.cached
        }
        await self._cache.share(fresh)

    async def _infer(self, rows: list[TextInput]) -> list[Prediction | Poison]:
        with self._observer.timed("tokenise"):
            tokens = await self._in(self._tokenise_thread, lambda: self._tokeniser.encode(rows))
        results: list[Prediction | Poison | None] = [None] * len(rows)
        for batch in plan([len(t) for t in tokens], max_rows=self._max_rows, max_tokens=self._max_tokens):
            for at, result in zip(batch, await self._infer_batch([tokens[at] for at in batch]), strict=True):
                results[at] = result
        return [result for result in results if result is not None]

    async def _infer_batch(self, tokens: list[Tokens]) -> list[Prediction | Poison]:
        """Infer a batch; one that fails is halved until the rows at fault stand alone."""
        try:
            return await self._in(self._session_thread, lambda: self._infer_now(tokens))
        except Exception as exc:  # noqa: BLE001 - runtimes share no base class; the probe tells whose fault it is
            if len(tokens) > 1:
                half = len(tokens) // 2
                return await self._infer_batch(tokens[:half]) + await self._infer_batch(tokens[half:])
            await self._probe()
            return [Poison(Reason.MODEL, f"the model failed on this text: {type(exc).__name__}")]

    def _infer_now(self, tokens: list[Tokens]) -> list[Prediction | Poison]:
        padded = self._tokeniser.pad(tokens)
        rows, width = next(iter(padded.values())).shape
        with self._observer.timed("infer"):
            logits = self._runtime.infer(padded)
        self._observer.inferred(rows, sum(len(t) for t in tokens), rows * width)
        with self._observer.timed("postprocess"):
            return predictions(logits, self._manifest.temperature)

    async def _probe(self) -> None:
        """A text that is known to work: if it fails too, no record is to blame."""
        tokens = await self._in(self._tokenise_thread, lambda: self._tokeniser.encode([PROBE]))
        try:
            (answer,) = await self._in(self._session_thread, lambda: self._infer_now(tokens))
        except Exception as exc:
            raise DeviceError(
                f"the model on {self._runtime.device} stopped answering",
                why=f"{type(exc).__name__}: {' '.join(str(exc).split())[:200]}",
                mend="check the device and its memory; the events are read again after a restart",
            ) from exc
        if isinstance(answer, Poison):
            raise DeviceError(
                "the model gives no finite logits", mend="verify the bundle: labelstream verify"
            )

    async def _in(self, thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(thread, work)


def good(results: dict[str, Prediction | Poison]) -> dict[str, Prediction]:
    """Only the predictions."""
    return {key: result for key, result in results.items() if isinstance(result, Prediction)}
