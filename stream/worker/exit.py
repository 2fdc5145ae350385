"""The end of a worker: its error, and a limit on the time of its shutdown."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aiokafka.errors import KafkaError

from stream.deadline import Deadline
from stream.errors import Fatal, LabelstreamError
from stream.kafka.connection import client_error
from stream.kafka.permissions import authorization_error
from stream.settings import Settings


@contextmanager
def exit_when_expired(
    deadline: Deadline, exit_code: int, fatal: Callable[[], LabelstreamError | None] = lambda: None
) -> Iterator[None]:
    """End the process if the body still runs at the deadline. Faust waits for a dead broker without limit.

    Args:
        deadline: the end of the shutdown.
        exit_code: the exit code if no error ended the worker.
        fatal: returns the error that ended the worker, which is printed and determines the exit code.
    """
    timer = threading.Timer(deadline.remaining(), _exit_hung, (deadline.seconds, exit_code, fatal))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _exit_hung(seconds: float, exit_code: int, fatal: Callable[[], LabelstreamError | None]) -> None:
    hung = f"the worker did not stop within {seconds:g} s and was killed; nothing was lost"
    if (error := fatal()) is None:
        sys.stderr.write(f"error: {hung}\n")
    else:
        sys.stderr.write(f"error: {error.message}\ncause: {error.cause}\nfix: {error.fix}\nnote: {hung}\n")
        exit_code = error.exit_code
    sys.stderr.flush()
    os._exit(exit_code)


def as_labelstream_error(error: BaseException, settings: Settings) -> LabelstreamError:
    """Return the error itself, or an error with an exit code and a fix in its place.

    A missing permission takes precedence over the error that it caused, because its fix is a command.
    """
    if (refusal := authorization_error(settings, error)) is not None:
        return refusal
    if isinstance(error, LabelstreamError):
        return error
    if isinstance(error, KafkaError):
        return client_error(settings, error)
    return Fatal(
        f"{type(error).__name__}: {error}",
        cause="unexpected error",
        fix="run with --log-level debug and report the error",
    )


def is_unexpected(error: BaseException) -> bool:
    """Return True if an error is a bug, so that its traceback belongs in the log."""
    return not isinstance(error, LabelstreamError | KafkaError)
