"""Errors of writing, such as a full disk, which is no fault of the model that is exported."""

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from stream.errors import LabelstreamError, UsageError

WRITE_ERRORS = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some of your quota",
    errno.EFBIG: "raise the limit of the size of files: ulimit -f unlimited",
    errno.EROFS: "mount the file system for writing",
    errno.EACCES: "allow your user to write there",
    errno.EPERM: "allow your user to write there",
    errno.EIO: "check the disk: dmesg",
}
# Libraries in Rust and C++ put the number of the operating system's error into their message.
_OS_ERROR = re.compile(r"\(os error (\d+)\)|\[Errno (\d+)\]")
_NO_SPACE = "No space left on device"


def is_write_error(error: BaseException) -> bool:
    """Return whether an error, or one that it was raised from, is that of a write."""
    return _write_error_number(error) is not None


@contextlib.contextmanager
def typed_write_errors(folder: Path) -> Iterator[None]:
    """Write files into a folder in this block.

    Raises:
        UsageError: the disk is full, or a file cannot be written.
    """
    try:
        yield
    except LabelstreamError:
        raise
    except Exception as exc:
        number = _write_error_number(exc)
        if number is None:
            raise
        file = getattr(exc, "filename", None)
        raise UsageError(
            f"cannot write {file or folder}",
            cause=os.strerror(number),
            fix=f"{WRITE_ERRORS[number]}, or pass another --bundle-store",
        ) from exc


def _write_error_number(error: BaseException) -> int | None:
    if isinstance(error, PermissionError):
        return error.errno
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        number = cause.errno if isinstance(cause, OSError) else _number_in(str(cause))
        # A library may have met a file that it may not read earlier, and have gone on without it.
        if number in WRITE_ERRORS and not isinstance(cause, PermissionError):
            return number
        cause = cause.__cause__ or cause.__context__
    return None


def _number_in(message: str) -> int | None:
    if found := _OS_ERROR.search(message):
        return int(found[1] or found[2])
    return errno.ENOSPC if _NO_SPACE in message else None
