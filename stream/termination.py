"""The end of a command: its reaction to signals, and threads that must not delay it."""

import asyncio
import contextvars
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

SIGNALS = (signal.SIGTERM, signal.SIGHUP)

Result = TypeVar("Result")


def exit_on_termination() -> None:
    """Let SIGTERM and SIGHUP raise `SystemExit`, so that the command removes its unfinished files.

    Their default action ends the process at once. A signal that is ignored, as by `nohup`, stays ignored.
    """
    for number in SIGNALS:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _exit)


async def until_terminated(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine; after `exit_on_termination`, cancel it before `SystemExit` is raised.

    Raised from the signal handler, `SystemExit` could end any task of the event loop instead of this one.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    received: list[int] = []

    def cancel(number: int, _frame: object) -> None:
        received.append(number)
        loop.call_soon_threadsafe(task.cancel)

    # Python runs handlers in the main thread only, and lets no other thread set them.
    in_main = threading.current_thread() is threading.main_thread()
    handled = [number for number in SIGNALS if in_main and signal.getsignal(number) is _exit]
    for number in handled:
        signal.signal(number, cancel)
    try:
        return await work
    except asyncio.CancelledError:
        if received:
            raise SystemExit(128 + received[0]) from None
        raise
    finally:
        for number in handled:
            signal.signal(number, _exit)


async def in_daemon_thread(function: Callable[[], Result]) -> Result:
    """Run a function in a thread of its own; a cancellation leaves the thread behind.

    `asyncio.run` and Python wait at their end for the threads of `asyncio.to_thread`, such as one that
    downloads a file. They do not wait for this one.
    """
    loop = asyncio.get_running_loop()
    finished: asyncio.Future[Result] = loop.create_future()

    def post(set_outcome: Callable[[Any], None], value: Any) -> None:
        def set_unless_cancelled() -> None:
            if not finished.done():
                set_outcome(value)

        # The loop is closed if the thread was left behind.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(set_unless_cancelled)

    def run() -> None:
        try:
            result = function()
        except BaseException as exc:  # noqa: BLE001 # the coroutine raises it
            post(finished.set_exception, exc)
        else:
            post(finished.set_result, result)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), daemon=True).start()
    return await finished


def end_process_after(seconds: float, exit_code: int, note: str) -> None:
    """End the process after this time if it still runs.

    Python waits at its exit for all threads, so a call that never returns, such as an inference or an upload,
    would leave a process that does nothing and that no supervisor restarts.

    Args:
        seconds: the time for the threads to end.
        exit_code: the exit code of the process.
        note: the line on standard error that says what did not end.
    """
    timer = threading.Timer(seconds, _end_process, (exit_code, note))
    timer.daemon = True
    timer.start()


def _end_process(exit_code: int, note: str) -> None:
    sys.stderr.write(f"note: {note}\n")
    sys.stderr.flush()
    os._exit(exit_code)


def _exit(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)
