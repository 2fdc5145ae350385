"""The end of a worker: its error, and a limit on the time of its shutdown."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka.errors import KafkaError

from stream.deadline import Deadline
from stream.errors import BrokerError, Fatal, LabelstreamError


@contextmanager
def exit_when_expired(
    deadline: Deadline, exit_code: int, error: LabelstreamError | None = None
) -> Iterator[None]:
    """End the process if the body still runs at the deadline. Faust waits for a dead broker without limit.

    Args:
        deadline: the time by which the body has to end.
        exit_code: the exit code of the process.
        error: the error that ends the worker. The process prints it, because no caller will.
    """
    timer = threading.Timer(deadline.remaining(), _exit_hung, (deadline.seconds, exit_code, error))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _exit_hung(seconds: float, exit_code: int, error: LabelstreamError | None) -> None:
    hung = f"the worker did not stop within {seconds:g} s and was killed; nothing was lost"
    if error is None:
        lines = [f"error: {hung}"]
    else:
        lines = [f"error: {error.message}", f"cause: {error.cause}", f"fix: {error.fix}", f"note: {hung}"]
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()
    os._exit(exit_code)


def end_process_after(seconds: float, exit_code: int) -> None:
    """End the process after this time if it still runs.

    Python waits at its exit for all threads, so an inference that never returns would leave a process that
    does nothing and that no supervisor restarts.
    """
    timer = threading.Timer(seconds, _exit_with_threads, (exit_code,))
    timer.daemon = True
    timer.start()


def _exit_with_threads(exit_code: int) -> None:
    sys.stderr.write("note: an inference did not end, so the process was killed; nothing was lost\n")
    sys.stderr.flush()
    os._exit(exit_code)


def as_labelstream_error(error: BaseException) -> LabelstreamError:
    """Return the error itself, or an error with an exit code and a fix in its place."""
    if isinstance(error, LabelstreamError):
        return error
    if isinstance(error, KafkaError):
        return BrokerError(
            "the connection to the broker failed",
            cause=f"{type(error).__name__}: {error}",
            fix="check the broker: labelstream doctor; nothing was lost",
        )
    return Fatal(
        f"{type(error).__name__}: {error}",
        cause="unexpected error",
        fix="run with --log-level debug and report the error",
    )


def is_unexpected(error: BaseException) -> bool:
    """Return True if an error is a bug, so that its traceback belongs in the log."""
    return not isinstance(error, LabelstreamError | KafkaError)
