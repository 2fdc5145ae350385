"""`labelstream worker`: label the events of the input topics until stopped."""

import asyncio
import gc
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from stream.commands.options import EVERY, with_settings
from stream.errors import LabelstreamError
from stream.settings import Settings
from stream.termination import end_process_after

if TYPE_CHECKING:
    from stream.observe.logs import LogLevel

# Thresholds of the three generations, see `gc.set_threshold`.
GARBAGE_THRESHOLDS = (200_000, 20, 20)
# The time for threads to finish their last inference.
THREADS_GRACE_S = 5.0
HUNG_THREAD = "an inference or a download did not end, so the process was killed; nothing was lost"

log = structlog.get_logger(__name__)


@with_settings(*EVERY)
def worker(settings: Settings) -> None:
    """Classify the events of the input topic, and publish their labels.

    On SIGTERM or Ctrl-C the worker finishes and commits the events in flight before it exits. SIGUSR1
    switches the log level to debug and back. Exit codes: 2 settings, 3 bundle, 4 broker or topics, 5 stalled,
    6 fenced, 7 device.

        labelstream worker --bundle support

        LABELSTREAM_BROKER=kafka:9092 labelstream worker --bundle support@3 --redis-url redis://cache:6379/0

        labelstream worker --config labelstream.toml

        labelstream worker --bundle support --quarantine texts:3:1041 --quarantine texts:0:7-9
    """
    # SIGUSR1 ends a process without a handler, and the event loop installs its handler only later.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    # Importing Faust takes a second, so `--help` and an error in the settings come first.
    from stream.observe.logs import configure_logs
    from stream.worker.run import run_worker
    from stream.worker.status import worker_name

    ids = {"worker": worker_name(), "group": settings.group}
    serve(run_worker(settings), configure_logs(settings.log_level, settings.log_format, ids))


def serve(running: Coroutine[None, None, None], level: "LogLevel | None" = None) -> None:
    """Run a worker until it ends or a signal stops it; it finishes the events in flight before it stops.

    Args:
        running: the coroutine of the worker.
        level: the log level that SIGUSR1 toggles; None ignores SIGUSR1.

    Raises:
        KeyboardInterrupt: the signal was SIGINT.
    """
    _relax_garbage_collection()
    try:
        stopped_by = asyncio.run(_until_signalled(running, level))
    except LabelstreamError as exc:
        end_process_after(THREADS_GRACE_S, exc.exit_code, HUNG_THREAD)
        raise
    end_process_after(THREADS_GRACE_S, 130 if stopped_by == signal.SIGINT else 0, HUNG_THREAD)
    if stopped_by == signal.SIGINT:
        raise KeyboardInterrupt


def _relax_garbage_collection() -> None:
    """Raise the thresholds of the garbage collector, and exempt imported objects from it.

    Events are many and leave no reference cycles; at the default thresholds the search for cycles took more
    than half of the worker's CPU time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)


async def _until_signalled(
    running: Coroutine[None, None, None], level: "LogLevel | None"
) -> signal.Signals | None:
    loop = asyncio.get_running_loop()
    serving = asyncio.create_task(running)
    received: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        # Only the first signal cancels: a second cancellation would interrupt the drain.
        if not received:
            log.info("stopping", signal=number.name)
            serving.cancel()
        received.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    if level is not None:
        loop.add_signal_handler(signal.SIGUSR1, level.toggle)
    with suppress(asyncio.CancelledError):
        await serving
    return received[0] if received else None
