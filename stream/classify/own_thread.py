"""A thread that works for the event loop, at less cost for each call than an executor."""

import asyncio
import atexit
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
Call = tuple["asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...]]


class OwnThread:
    """Makes the calls that it is given one after the other, in a thread of its own.

    `ThreadPoolExecutor` makes a future, a condition and a lock for each call, and asyncio chains a future of
    its own to that. Beside a model that empties the processor's caches it shows.
    """

    def __init__(self, name: str, begin: Callable[[], None] = lambda: None) -> None:
        """Start the thread.

        Args:
            name: of the thread.
            begin: called there first.
        """
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(begin,), name=name, daemon=True)
        self._thread.start()
        # An interpreter that ends under a call into a library's C++ takes the process down with it.
        atexit.register(self._end)

    def call(self, work: Callable[..., T], *given: object) -> "asyncio.Future[T]":
        """Make a call in the thread; what it returns or raises comes out of the future."""
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._calls.put((result, work, given))
        return result

    def close(self) -> None:
        """End the thread after the call that runs; those behind it are never made."""
        self._closed.set()
        self._calls.put(None)

    def _end(self) -> None:
        self.close()
        self._thread.join()

    def _run(self, begin: Callable[[], None]) -> None:
        begin()
        while (call := self._calls.get()) is not None and not self._closed.is_set():
            result, work, given = call
            settle: Callable[[asyncio.Future[Any], Any], None] = _succeed
            try:
                outcome = work(*given)
            except BaseException as exc:  # noqa: BLE001 - whatever it is, who waits is told
                settle, outcome = _fail, exc
            # The loop may be closed meanwhile; then nobody waits any more.
            with suppress(RuntimeError):
                result.get_loop().call_soon_threadsafe(settle, result, outcome)
            del call, result, work, given, outcome


def _succeed(result: "asyncio.Future[Any]", outcome: Any) -> None:
    if not result.done():
        result.set_result(outcome)


def _fail(result: "asyncio.Future[Any]", error: Any) -> None:
    if not result.done():
        result.set_exception(error)
