"""A bundle's ONNX variant behind the worker's classifier, with the logits of each row."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from stream.bundle import Bundle
from stream.classify import (
    BatchLimits,
    Classifier,
    InputReader,
    KeyMaker,
    LocalCache,
    ModelInput,
    ModelParts,
    Prediction,
    PredictionCache,
    RowResult,
    TextInput,
    Tokeniser,
    Tokens,
    WindowPool,
    check_logits,
    check_servable,
    check_tokenizer,
    make_head,
)
from stream.errors import Poison
from stream.runtime import Logits, choose, open_runtimes
from stream.termination import until_terminated

ROWS_AT_ONCE = 512
"""The rows of one call, as in `labelstream predict`: the int8 rounding of a text depends on its batch."""

BATCH_ROWS = {"cpu": 64, "openvino": 64, "cuda": 512, "tensorrt": 512}
BATCH_TOKENS = {"cpu": 512, "openvino": 512, "cuda": 32_768, "tensorrt": 32_768}
"""The default limits of one inference of a worker, in rows and in padded tokens, by device."""

WINDOW_S = 4.0
"""The seconds of work that may wait for the model."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of a bundle.

    Attributes:
        members: the members of the label event of each row; a row that cannot be labelled has `error` only.
        logits: float32 [labels] of each row, for token classification [tokens, labels]; None for a row that
            cannot be labelled.
    """

    members: list[dict[str, Any]]
    logits: list[Logits | None]


@dataclass(frozen=True, slots=True)
class BundleModel:
    """A bundle's variant on a device.

    Attributes:
        bundle: the verified bundle.
        variant: the precision of the weights.
        device: the device of the inference.
        reason: the reason for variant and device, in one sentence.
        classifier: the worker's classifier, whose results hold logits.
    """

    bundle: Bundle
    variant: str
    device: str
    reason: str
    classifier: Classifier

    def answer(self, rows: Sequence[TextInput], progress: Callable[[int], None] = lambda _: None) -> Answers:
        """Classify rows as a worker does; `progress` receives the number of rows of each call."""
        inputs = InputReader(self.bundle.manifest).read(rows)
        results: list[RowResult] = []
        if _has_event_loop():
            _in_thread(partial(self._classify_all, inputs, results), progress)
        else:
            self._classify_all(inputs, results, progress)
        return Answers([_members(result) for result in results], [self._logits(result) for result in results])

    def _classify_all(
        self, inputs: Sequence[ModelInput], results: list[RowResult], progress: Callable[[int], None]
    ) -> None:
        with asyncio.Runner() as runner:
            for start in range(0, len(inputs), ROWS_AT_ONCE):
                chunk = inputs[start : start + ROWS_AT_ONCE]
                results += runner.run(until_terminated(self._classify(chunk)))
                progress(len(chunk))

    async def _classify(self, inputs: Sequence[ModelInput]) -> Sequence[RowResult]:
        return (await self.classifier.classify(inputs)).results

    def _logits(self, result: RowResult) -> Logits | None:
        if isinstance(result, Poison):
            return None
        flat = np.frombuffer(result.stored, dtype=np.float32)
        if self.bundle.manifest.head != "token":
            return flat
        return flat.reshape(-1, len(self.bundle.manifest.labels))

    def close(self) -> None:
        """Shut down the threads of the classifier."""
        self.classifier.close()


def _has_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _in_thread(work: Callable[[Callable[[int], None]], None], progress: Callable[[int], None]) -> None:
    """Run work in a thread; the event loop of a notebook occupies its own, so no other loop can run there."""
    interrupted = threading.Event()

    def advance(rows: int) -> None:
        if interrupted.is_set():
            raise InterruptedError
        progress(rows)

    with ThreadPoolExecutor(max_workers=1) as pool:
        try:
            pool.submit(work, advance).result()
        finally:
            # After Ctrl-C the thread ends with its current rows, not with all of them.
            interrupted.set()


def open_bundle_model(bundle: Bundle, variant: str, device: str) -> BundleModel:
    """Load a variant of a bundle as a worker does.

    Args:
        bundle: a verified bundle.
        variant: the precision of the weights, or auto.
        device: cpu, cuda, tensorrt, openvino, or auto.

    Raises:
        BundleError: this version cannot serve the bundle.
        DeviceError: the device cannot be used, or the bundle has no such variant for it.
    """
    manifest = bundle.manifest
    check_servable(manifest)
    check_tokenizer(bundle)
    choice = choose(manifest, device, variant)
    runtimes = open_runtimes(bundle, choice)
    limits = BatchLimits(
        BATCH_ROWS[choice.device],
        BATCH_TOKENS[choice.device],
        runtimes[0].pad_multiple,
        padded_cost=runtimes[0].padded_cost,
        max_same_shape_batches=runtimes[0].max_same_shape_batches,
    )
    tokeniser = Tokeniser(bundle)
    check_logits(runtimes[0], tokeniser, bundle)
    head = _HeadWithLogits(make_head(manifest))
    parts = ModelParts(runtimes, tokeniser, head, WindowPool(manifest, head) if manifest.windows else None)
    no_cache = PredictionCache(KeyMaker(bundle, choice.variant), LocalCache(0), None, head)
    classifier = Classifier(parts, no_cache, _NoObserver(), limits, WINDOW_S)
    return BundleModel(bundle, choice.variant, choice.device, choice.reason, classifier)


class _HeadWithLogits:
    """A head that keeps the logits of each row in place of the stored form, which only caches read."""

    def __init__(self, head: Any) -> None:
        self._head = head

    def predict(self, logits: Logits, tokens: Sequence[Tokens]) -> list[RowResult]:
        results = self._head.predict(logits, tokens)
        return [
            Prediction(result.members, _bytes(row, of_row)) if isinstance(result, Prediction) else result
            for result, row, of_row in zip(results, logits, tokens, strict=True)
        ]

    def accepts(self, stored: bytes) -> bool:  # noqa: ARG002
        return False

    def possible(self, stored: Sequence[bytes], inputs: Sequence[ModelInput]) -> Sequence[bool]:  # noqa: ARG002
        return [False] * len(stored)

    def restore(self, stored: Sequence[bytes], inputs: Sequence[ModelInput]) -> Sequence[Prediction]:
        raise NotImplementedError("an evaluation has no cache")


def _bytes(row: Logits, tokens: Tokens) -> bytes:
    """Return the logits of a row, for token classification without those of padding."""
    kept = row[: len(tokens)] if row.ndim > 1 else row
    return np.ascontiguousarray(kept, dtype=np.float32).tobytes()


class _NoObserver:
    """Measures nothing."""

    def timed(self, stage: str, traces: Sequence[object] = ()) -> AbstractContextManager[object]:  # noqa: ARG002
        return contextlib.nullcontext()

    def inferred(self, rows: int, real_tokens: int, padded_tokens: int) -> None:
        pass


def _members(result: RowResult) -> dict[str, Any]:
    if isinstance(result, Poison):
        return {"error": f"{result.reason.value}: {result}"}
    return result.fields()
