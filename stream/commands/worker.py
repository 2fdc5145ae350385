"""`labelstream worker`: read texts, write labels, until told to stop."""

import asyncio
import gc
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from stream.commands.options import EVERY, with_settings
from stream.settings import Settings

if TYPE_CHECKING:
    from stream.observe.logs import LogLevel

# New objects until the young ones are looked through; collections of one generation until the next is.
GARBAGE_THRESHOLDS = (200_000, 20, 20)

log = structlog.get_logger(__name__)


@with_settings(*EVERY)
def worker(settings: Settings) -> None:
    """Classify the events of the input topic and publish labels.

    Stops on SIGTERM or Ctrl-C after finishing and committing what is in flight; SIGUSR1 turns debug lines on
    and off. Exit codes: 3 bundle, 4 broker or topics, 5 stalled, 6 fenced, 7 device.

        labelstream worker --bundle support

        LABELSTREAM_BROKER=kafka:9092 labelstream worker --bundle support@3 --redis-url redis://cache:6379/0

        labelstream worker --config labelstream.toml
    """
    # Until the loop can take it, a request for debug lines must not end the process.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    # Faust takes a second to import, which `--help` and a wrong setting need not wait for.
    from stream.observe.logs import configure_logs
    from stream.worker.info import worker_name
    from stream.worker.run import run_worker

    ids = {"worker": worker_name(), "group": settings.group}
    serve(run_worker(settings), configure_logs(settings.log_level, settings.log_format, ids))


def serve(running: Coroutine[None, None, None], level: "LogLevel | None" = None) -> None:
    """Run a worker until it ends, or until a signal asks it to finish what is in flight.

    Args:
        running: the worker.
        level: switched between the configured one and debug by SIGUSR1.

    Raises:
        KeyboardInterrupt: the signal was SIGINT.
    """
    _collect_garbage_seldom()
    stopped_by = asyncio.run(_until_signalled(running, level))
    if stopped_by == signal.SIGINT:
        raise KeyboardInterrupt


def _collect_garbage_seldom() -> None:
    """Events come and go by the ten thousand and leave no cycles behind; looking for them cost more than half
    of a worker's time. What is imported stays for good.
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
        # Once: a second cancellation would interrupt the draining that the first one began.
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
