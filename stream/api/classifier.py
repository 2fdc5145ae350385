"""The classifier of the Python API."""

import asyncio
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Self, TypedDict, Unpack, overload

from stream.api.calls import Calls, closed_error
from stream.api.results import Classification, ModelInfo, RowError, model_info
from stream.api.rows import OneRow, Row
from stream.classify import TextInput
from stream.errors import UsageError
from stream.event_loop import EventLoopThread
from stream.observe.metrics import ModelMetrics
from stream.routes import Variant
from stream.runtime import CoreUse
from stream.settings import Device, Settings, load_settings
from stream.termination import in_daemon_thread
from stream.worker.route_model import OpenModel, open_model
from stream.worker.row_classifier import RowClassifier

Results = list[Classification | RowError]


class OpenOptions(TypedDict, total=False):
    """The settings that `Classifier.open` accepts, with the names, defaults and meanings of the worker's.

    A setting that is left out comes from its environment variable, such as `LABELSTREAM_DEVICE`, else from
    the settings file in `LABELSTREAM_CONFIG`, else it has the worker's default.
    """

    bundle_store: str | Path
    require_signature: str | Path
    device: Device
    variant: Variant
    sessions: int
    max_batch_rows: int
    max_batch_tokens: int
    max_event_bytes: int
    max_text_chars: int
    cache_local_entries: int
    top_k: int


class Classifier:
    """Classifies texts with one bundle, from any thread and any event loop; rows of all calls share batches.

    Use it as a context manager, or call `close`:

        with Classifier.open("bundles/tickets/1") as classifier:
            results = classifier.classify(["My card was charged twice", "The app crashes"])
    """

    def __init__(self, loop: EventLoopThread, opened: OpenModel, settings: Settings) -> None:
        """Use `Classifier.open` instead.

        Args:
            loop: the event loop in which the model was opened.
            opened: the model.
            settings: the limits of a row, and the longest wait of `close`.
        """
        self._loop = loop
        self._calls = Calls(RowClassifier(opened, settings))
        self._close_s = settings.drain_deadline_s
        self._model = model_info(opened)
        self._lock = threading.Lock()
        self._closed = False

    @classmethod
    def open(
        cls, bundle: str | Path, *, single_threaded: bool = False, **options: Unpack[OpenOptions]
    ) -> Self:
        """Check a bundle and load it.

        Args:
            bundle: a folder, NAME or NAME@VERSION in the store, hf://OWNER/NAME, or models:/NAME@ALIAS.
            single_threaded: True if an inference on the CPU has one thread, for several processes that share
                a machine: with `sessions=1`, the classifier uses one core.
            options: settings of the worker, see `OpenOptions`.

        Raises:
            UsageError: an option is invalid.
            BundleError: the bundle is missing, changed, or cannot be served.
            DeviceError: the device does not exist.
        """
        _check_names(options)
        settings = load_settings(options)
        loop = EventLoopThread("labelstream")
        try:
            use = CoreUse(single_threaded=single_threaded)
            opening = open_model(str(bundle), settings.variant, settings, None, ModelMetrics(), use)
            return cls(loop, loop.run(opening), settings)
        except BaseException:
            loop.stop()
            raise

    @classmethod
    async def aopen(
        cls, bundle: str | Path, *, single_threaded: bool = False, **options: Unpack[OpenOptions]
    ) -> Self:
        """Do what `open` does, without blocking the event loop."""
        return await in_daemon_thread(partial(cls.open, bundle, single_threaded=single_threaded, **options))

    @property
    def model(self) -> ModelInfo:
        """The name, version, device and labels of the model."""
        return self._model

    @overload
    def classify(self, rows: OneRow) -> Classification | RowError: ...  # type: ignore[overload-overlap]
    @overload
    def classify(self, rows: Iterable[Row]) -> Results: ...
    def classify(self, rows: OneRow | Iterable[Row]) -> Classification | RowError | Results:
        """Classify one row or many.

        Args:
            rows: one text, `TextInput` or event object, or an iterable of them or of pairs of texts.

        Returns:
            The result of the one row, or a list with the result of each row, in order. A row that cannot be
            labelled has a `RowError`.

        Raises:
            UsageError: the classifier is closed, or `rows` are neither a row nor an iterable of rows.
            DeviceError: the device has stopped working.
            BundleError: the tokenizer has stopped working.
        """
        one, many = _as_list(rows)
        future = self._submit(many)
        try:
            results = future.result()
        except BaseException:
            # For an interruption of the wait, such as Ctrl-C; a finished future ignores it.
            future.cancel()
            raise
        return results[0] if one else results

    @overload
    async def aclassify(self, rows: OneRow) -> Classification | RowError: ...  # type: ignore[overload-overlap]
    @overload
    async def aclassify(self, rows: Iterable[Row]) -> Results: ...
    async def aclassify(self, rows: OneRow | Iterable[Row]) -> Classification | RowError | Results:
        """Do what `classify` does, without blocking the event loop; a cancellation gives up the results."""
        one, many = _as_list(rows)
        results = await asyncio.wrap_future(self._submit(many))
        return results[0] if one else results

    def close(self) -> None:
        """Finish the running calls, for 10 s at most (`drain_deadline_s`), and end the threads.

        A call that takes longer raises `UsageError`. A closed classifier can be closed again.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._loop.run(self._calls.finish(self._close_s))
        self._loop.stop()

    async def aclose(self) -> None:
        """Do what `close` does, without blocking the event loop."""
        await asyncio.to_thread(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _submit(self, rows: Sequence[Row]) -> "Future[Results]":
        # A call that passes this check is among those that `close` waits for.
        with self._lock:
            if self._closed:
                raise closed_error()
            return self._loop.submit(self._calls.classify(rows))


def _check_names(options: Iterable[str]) -> None:
    """Check that options are those of `OpenOptions`: other settings of a worker would have no effect.

    Raises:
        UsageError: one is not.
    """
    known = OpenOptions.__annotations__
    if unknown := [name for name in options if name not in known]:
        raise UsageError(
            f"Classifier.open has no option {', '.join(unknown)}", fix=f"the options are {', '.join(known)}"
        )


def _as_list(rows: OneRow | Iterable[Row]) -> tuple[bool, Sequence[Row]]:
    """Return whether it is one row, and the rows. A tuple of strings is several rows.

    Raises:
        UsageError: it is neither.
    """
    if isinstance(rows, str | TextInput | Mapping):
        return True, [rows]
    if isinstance(rows, bytes | bytearray | memoryview) or not isinstance(rows, Iterable):
        raise UsageError(
            f"rows are of type {type(rows).__name__}",
            fix="pass one text or event object, or a list of them",
        )
    return False, list(rows)
