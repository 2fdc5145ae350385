"""The end of a command: signals while a thread runs an event loop, and threads that never end."""

import asyncio
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from stream.termination import SIGNALS, exit_on_termination, in_daemon_thread, until_terminated

# A command that ends while a library still has a thread, as after a failed upload.
HUNG_THREAD = """
import sys, threading
from stream import cli

cli.THREADS_GRACE_S = 0.05
threading.Thread(target=threading.Event().wait).start()
sys.argv = ["labelstream", *sys.argv[1:]]
cli.main()
"""


async def answer() -> int:
    """Return a number."""
    return 3


def test_a_thread_runs_to_its_end_after_the_main_thread_set_its_handlers() -> None:
    before = [(number, signal.getsignal(number)) for number in SIGNALS]
    try:
        exit_on_termination()
        with ThreadPoolExecutor(1) as threads:
            assert threads.submit(asyncio.run, until_terminated(answer())).result() == 3
    finally:
        for number, handler in before:
            signal.signal(number, handler)


@pytest.mark.parametrize(("arguments", "code"), [(("bundles", "show", "nowhere"), 3), (("--help",), 0)])
def test_a_thread_that_never_ends_does_not_keep_a_command_alive(
    arguments: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HUNG_THREAD, *arguments],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == code
    assert "note: a thread of a library did not end" in done.stderr


def test_a_daemon_thread_returns_its_result_or_raises_its_error() -> None:
    def fail() -> None:
        raise KeyError("gone")

    assert asyncio.run(in_daemon_thread(lambda: 3)) == 3
    with pytest.raises(KeyError):
        asyncio.run(in_daemon_thread(fail))


def test_a_cancellation_leaves_the_daemon_thread_behind() -> None:
    started, never, ended = Event(), Event(), Event()

    def hang() -> None:
        started.set()
        never.wait()
        ended.set()

    async def cancelled() -> None:
        waiting = asyncio.create_task(in_daemon_thread(hang))
        await asyncio.to_thread(started.wait)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(cancelled())
    assert not ended.is_set()
    # The event loop is closed; the thread ends without an error.
    never.set()
    assert ended.wait(10)
