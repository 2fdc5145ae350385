"""What can go wrong, sorted by what has to happen next.

The class alone decides: `Poison` sends its record to the dead-letter topic, `Fatal` ends the process with its
exit code and commits nothing past the fault. What may pass by itself is tried again where it happens, within
a deadline, and is fatal after it (docs/adr/0003).
"""

from enum import StrEnum
from typing import ClassVar


class Reason(StrEnum):
    """Why a record became a dead letter: the closed list that consumers may switch on."""

    DECODE = "decode"
    SCHEMA = "schema"
    EMPTY = "empty"
    TOO_LARGE = "too-large"
    MODEL = "model"
    ATTEMPTS = "attempts"


class LabelstreamError(Exception):
    """An error with a one-line message, its cause and its fix.

    Args:
        message: one line, what failed.
        cause: one line, the cause as far as it is known; empty if unknown.
        fix: one line, what the reader can do about it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, cause: str = "", fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.fix = fix


class Poison(LabelstreamError):
    """This record can never be labelled; it goes to the dead-letter topic under `reason`."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Fatal(LabelstreamError):
    """The process cannot go on; the supervisor restarts it."""


class UsageError(Fatal):
    """A flag, a setting or a file the user named is wrong."""

    exit_code = 2


class BundleError(Fatal):
    """A bundle is missing, changed on disk, or refused."""

    exit_code = 3


class BrokerError(Fatal):
    """The broker or a topic was not usable within the deadline."""

    exit_code = 4


class StalledError(Fatal):
    """The watchdog saw no progress, or a shutdown outlived its deadline."""

    exit_code = 5


class FencedError(Fatal):
    """Another worker has taken over this one's identity."""

    exit_code = 6


class DeviceError(Fatal):
    """The device that was asked for is not there or stopped answering."""

    exit_code = 7
