"""The errors of labelstream; the class of an error determines how it is handled.

`Poison` sends its record to the dead-letter topic. `Fatal` ends the process with its exit code, and no offset
beyond the failed event is committed. `is_fault_of_record` decides for errors of other classes. A transient
error is retried where it occurs, and becomes fatal after a deadline (docs/adr/0003).
"""

from asyncio import CancelledError
from enum import StrEnum
from typing import ClassVar

MAX_MESSAGE_CHARS = 200


class Reason(StrEnum):
    """The reason for a dead letter. The list is closed, so that consumers can switch on it."""

    DECODE = "decode"
    SCHEMA = "schema"
    EMPTY = "empty"
    TOO_LARGE = "too-large"
    MODEL = "model"
    ATTEMPTS = "attempts"
    QUARANTINED = "quarantined"


class LabelstreamError(Exception):
    """An error with a one-line message, its cause and its fix. A traceback shows all three.

    Args:
        message: the failure, in one line.
        cause: the cause, in one line; empty if it is unknown.
        fix: the action that corrects it, in one line; empty if there is none.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, cause: str = "", fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.fix = fix
        if cause:
            self.add_note(f"cause: {cause}")
        if fix:
            self.add_note(f"fix: {fix}")


class Poison(LabelstreamError):
    """A record that cannot be labelled; it becomes a dead letter with `reason`."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Fatal(LabelstreamError):
    """An error that ends the process, which its supervisor restarts."""


class UsageError(Fatal):
    """A flag, a setting or a file given by the user is invalid."""

    exit_code = 2


class BundleError(Fatal):
    """A bundle is missing, was changed on disk, or is not supported."""

    exit_code = 3


class BrokerError(Fatal):
    """The broker or a topic was not available within the deadline."""

    exit_code = 4


class RegistryError(Fatal):
    """The schema registry was not available within the deadline, refuses requests, or lacks a schema."""

    exit_code = 4


class UnreadableBatchError(BrokerError):
    """A batch of an input topic cannot be read; the worker finishes the events before it, then ends."""


class StalledError(Fatal):
    """The watchdog detected no progress, or a shutdown exceeded its deadline."""

    exit_code = 5


class FencedError(Fatal):
    """Another worker has taken over the identity of this one."""

    exit_code = 6


class DeviceError(Fatal):
    """The requested device is not available, or stopped responding."""

    exit_code = 7


# Cancellation and exit concern the task or the process. Memory runs out because of everything that the worker
# holds: a dead letter for each record that meets this would divert good records.
_WORKER_FAULTS = (Fatal, MemoryError, CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit)


def is_fault_of_record(error: BaseException) -> bool:
    """Return True if an error during the work on one record isolates that record as a dead letter.

    This holds for every error, such as a panic of a library in Rust, except `Fatal`, `MemoryError`,
    cancellation and exit: those concern the worker, and propagate.
    """
    return not isinstance(error, _WORKER_FAULTS)


def one_line(error: BaseException) -> str:
    """Return the type and the message of an error in one line, with at most 200 characters of the message."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:MAX_MESSAGE_CHARS]}"


def missing_module(message: str, error: ModuleNotFoundError, *extras: str) -> UsageError:
    """Return the error for a library that is not installed.

    Args:
        message: what cannot be done without the library.
        error: the error of the import.
        extras: the extras that install it.
    """
    return UsageError(message, cause=f"the Python module {error.name} is missing", fix=install_hint(*extras))


def install_hint(*extras: str) -> str:
    """Return the command that installs extras of this distribution, as the `fix` of an error.

    The extras come from the clone, because the name `labelstream` on PyPI belongs to an unrelated package.

    Args:
        extras: names of extras in pyproject.toml, such as "trainer".
    """
    return f"in the labelstream clone: pip install '.[{','.join(extras)}]'"
