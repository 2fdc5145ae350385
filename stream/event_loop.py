"""An event loop in a thread of its own, for callers in any thread and in any other event loop."""

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from stream.errors import UsageError

T = TypeVar("T")


class EventLoopThread:
    """A running event loop, beside the loop that a notebook or a web framework has."""

    def __init__(self, name: str) -> None:
        """Start the thread.

        Args:
            name: the name of the thread.
        """
        self._loop = asyncio.new_event_loop()
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Start a coroutine in the loop, and return its future.

        Raises:
            UsageError: the process is a fork of the one that started the thread.
        """
        if os.getpid() != self._process:
            work.close()
            raise UsageError(
                "this object was opened in another process",
                cause="a fork has no threads of its parent",
                fix="open one in each process, after the fork",
            )
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop, and wait for it; an interruption cancels it.

        Raises:
            UsageError: see `submit`.
        """
        future = self.submit(work)
        try:
            return future.result()
        except BaseException:
            # For an interruption of the wait, such as Ctrl-C; a finished future ignores it.
            future.cancel()
            raise

    def stop(self) -> None:
        """Stop the loop, and wait for its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
