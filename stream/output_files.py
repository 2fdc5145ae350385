"""Output files that are complete or absent: an error or an interruption leaves the old file unchanged.

A file is written beside its destination under a temporary name, and replaces the destination at the end. The
atomic files of click are not used because they replace the destination after an error too.
"""

import errno
import os
import shlex
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from shutil import copyfile
from types import TracebackType
from typing import BinaryIO, Self

from stream.errors import UsageError

STANDARD_STREAM = Path("-")
FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# A file that a container mounts on its own can be written, but not replaced.
NOT_REPLACEABLE = (errno.EBUSY, errno.EXDEV)
MAX_LINKS = 40
# File systems limit a name to 255 bytes.
MAX_NAME_CHARS = 50


class OutputFile:
    """A file that replaces its destination when the block ends without an error.

    The new file has the mode and, where permitted, the owner of the old one. A symbolic link stays, and its
    target is replaced. A pipe, a device and an open file such as /dev/stdout are written directly.
    """

    def __init__(self, path: Path, *, fix: str = "") -> None:
        """Store the destination; the block opens it.

        Args:
            path: the destination.
            fix: the fix of an error, unless its cause is a missing folder or a full disk.
        """
        self._path = path
        self._fix = fix
        self._target = Path(os.path.realpath(path))
        self._temporary: Path | None = None
        self._file: BinaryIO

    def __enter__(self) -> Self:
        """Open the file.

        Raises:
            UsageError: the file cannot be written.
        """
        with named_errors(self._path, self._fix):
            try:
                self._file = self._open()
            except BaseException:
                self._remove()
                raise
        return self

    def write(self, data: bytes) -> int:
        """Write bytes.

        Raises:
            UsageError: the file cannot be written.
        """
        with named_errors(self._path, self._fix):
            return self._file.write(data)

    def flush(self) -> None:
        """Do nothing: the file is written at the end of the block. Libraries call it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                with named_errors(self._path, self._fix):
                    self._finish()
        finally:
            self._remove()
            # Closing flushes the rest, which fails again on a full disk.
            with suppress(OSError):
                self._file.close()

    def _open(self) -> BinaryIO:
        number = _open_file_number(self._path)
        if number is not None:
            return os.fdopen(os.dup(number), "wb")
        old = _stat(self._target)
        if old is not None and not stat.S_ISREG(old.st_mode):
            return self._target.open("wb")
        return self._open_temporary(old)

    def _open_temporary(self, old: os.stat_result | None) -> BinaryIO:
        if old is not None and not (old.st_mode & 0o222 and os.access(self._target, os.W_OK)):
            raise PermissionError(errno.EACCES, "the file is read-only")
        name = f".{self._target.name[:MAX_NAME_CHARS]}.{token_hex(8)}.tmp"
        self._temporary = self._target.with_name(name)
        file = self._temporary.open("xb")
        if old is not None:
            # Only root may give a file away, and some file systems have no modes.
            with suppress(OSError):
                os.fchown(file.fileno(), old.st_uid, old.st_gid)
            with suppress(OSError):
                os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode))
        return file

    def _finish(self) -> None:
        self._file.flush()
        if self._temporary is None:
            return
        os.fsync(self._file.fileno())
        try:
            self._temporary.replace(self._target)
        except OSError as exc:
            if exc.errno not in NOT_REPLACEABLE:
                raise
            copyfile(self._temporary, self._target)
            return
        self._temporary = None
        sync(self._target.parent)

    def _remove(self) -> None:
        if self._temporary is not None:
            with suppress(OSError):
                self._temporary.unlink(missing_ok=True)


@contextmanager
def named_errors(path: Path, fix: str = "") -> Iterator[None]:
    """Turn an `OSError` of the block, except a broken pipe, into the `UsageError` of `cannot_write`."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise cannot_write(path, exc, fix) from None


def write_file(path: Path, data: bytes, *, fix: str = "") -> None:
    """Write a file, or leave the old one unchanged.

    Args:
        path: the destination.
        data: the content.
        fix: the fix of an error, unless its cause is a missing folder or a full disk.

    Raises:
        UsageError: the file cannot be written.
    """
    with OutputFile(path, fix=fix) as file:
        file.write(data)


def sync(path: Path) -> None:
    """Flush a file or a folder to disk, so that it survives a crash, where its file system supports that."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def check_not_input(path: Path | None, inputs: Iterable[Path]) -> None:
    """Check that the output is none of the input files, under whatever name.

    Args:
        path: the output; None or `-` for standard output.
        inputs: the input files; `-` for standard input.

    Raises:
        UsageError: the output and an input are the same regular file.
    """
    output = _stat_of_stream(path, 1)
    if output is None or not stat.S_ISREG(output.st_mode):
        return
    for source in inputs:
        found = _stat_of_stream(source, 0)
        if found is not None and os.path.samestat(found, output):
            name = "standard output" if path is None or path == STANDARD_STREAM else str(path)
            raise UsageError(
                f"the output {name} is an input of the command",
                cause=f"it is the same file as {source}",
                fix="name another file for the output",
            )


def is_inside(path: Path, folder: Path) -> bool:
    """Return True if a file is, or would be, in a folder or one of its subfolders, under whatever name."""
    parents = Path(os.path.realpath(path)).parents
    return any(parent.is_dir() and parent.samefile(folder) for parent in parents)


def is_replaced(path: Path) -> bool:
    """Return True if `OutputFile` replaces the file; a pipe, a device and an open file it writes directly."""
    if _open_file_number(path) is not None:
        return False
    old = _stat(path)
    return old is None or stat.S_ISREG(old.st_mode)


def cannot_write(path: Path, error: OSError, fix: str = "") -> UsageError:
    """Return the error for a file that cannot be written.

    Args:
        path: the file.
        error: the error of the operating system.
        fix: the fix, unless the cause is a missing folder or a full disk.
    """
    folder = Path(os.path.realpath(path)).parent
    cause = error.strerror or str(error)
    if error.errno == errno.ENOENT:
        cause, fix = f"the folder {folder} does not exist", f"create it: mkdir -p {shlex.quote(str(folder))}"
    elif error.errno in FULL_DISK:
        fix = "free some space on its disk, or write to another disk"
    elif error.errno == errno.EISDIR:
        cause, fix = "it is a folder", fix or "name a file"
    return UsageError(
        f"cannot write {path}", cause=cause, fix=fix or "name another file, in a folder that you may write to"
    )


def _open_file_number(path: Path) -> int | None:
    """Return the number of the open file that a path such as /dev/stdout or /dev/fd/63 names."""
    own_files = os.path.realpath("/dev/fd")
    for _ in range(MAX_LINKS):
        if os.path.realpath(path.parent) == own_files and path.name.isdecimal():
            return int(path.name)
        if not path.is_symlink():
            return None
        path = path.parent / path.readlink()
    return None


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _stat_of_stream(path: Path | None, number: int) -> os.stat_result | None:
    """Return the state of a file, or of an open file if the path is None or `-`; None if there is none."""
    try:
        return os.fstat(number) if path is None or path == STANDARD_STREAM else path.stat()
    except OSError:
        return None
