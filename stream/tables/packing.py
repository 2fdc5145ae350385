"""Bytes of a data file or of standard input, decompressed."""

import bz2
import contextlib
import gzip
import io
import lzma
import shlex
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

import cramjam

from stream.errors import UsageError
from stream.tables.options import STANDARD_INPUT

CHUNK_BYTES = 2**18
# The level of compression is followed by the magic of a block, or by that of the end of an empty file.
BZIP2_MAGIC = tuple(
    b"BZh%d%s" % (level, block) for level in range(1, 10) for block in (b"1AY&SY", b"\x17rE8P\x90")
)
DAMAGE = (gzip.BadGzipFile, EOFError, lzma.LZMAError, zlib.error, cramjam.DecompressionError)


@dataclass(frozen=True, slots=True)
class Packer:
    """A compression format.

    Attributes:
        name: the name of its command line program.
        suffix: the suffix of its files.
        magic: the bytes with which its files begin.
        open: returns the decompressed file of a compressed one.
    """

    name: str
    suffix: str
    magic: tuple[bytes, ...]
    open: Callable[[IO[bytes]], IO[bytes]]


def _open_gzip(file: IO[bytes]) -> IO[bytes]:
    return cast(IO[bytes], gzip.GzipFile(fileobj=file))


def _open_zstd(file: IO[bytes]) -> IO[bytes]:
    """Decompress into a temporary file: cramjam has no file object that decompresses while it is read."""
    unpacked = tempfile.NamedTemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        cramjam.zstd.decompress_into(file.read(), cramjam.File(unpacked.name))
    except BaseException:
        unpacked.close()
        raise
    return cast(IO[bytes], unpacked)


PACKERS = (
    Packer("gzip", ".gz", (b"\x1f\x8b",), _open_gzip),
    Packer("bzip2", ".bz2", BZIP2_MAGIC, bz2.BZ2File),
    Packer("xz", ".xz", (b"\xfd7zXZ\0",), lzma.LZMAFile),
    Packer("zstd", ".zst", (b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18"), _open_zstd),
)


def packer_of(path: Path) -> Packer | None:
    """Return the compression format that the suffix names."""
    return next((packer for packer in PACKERS if packer.suffix == path.suffix.lower()), None)


def unpacked_name(path: Path) -> Path:
    """Return the path without the suffix of a compression."""
    return path.with_suffix("") if packer_of(path) else path


class ByteSource:
    """The decompressed bytes of a file, or of standard input for `-`.

    Attributes:
        path: the file.
        name: the name of the file in messages.
        size: the size of the compressed file in bytes; None for standard input.
        head: the first decompressed bytes, at most `CHUNK_BYTES`.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, and decompress its first bytes.

        Raises:
            UsageError: the file cannot be opened, or is not of the compression that its suffix names.
        """
        self.path = path
        self.name = "standard input" if path == STANDARD_INPUT else str(path)
        self.size: int | None = None
        self._packer: Packer | None = None
        with self._reading():
            if path == STANDARD_INPUT:
                file: IO[bytes] = sys.stdin.buffer
            else:
                self.size = path.stat().st_size
                file = path.open("rb", buffering=0)
            self._raw = _Counted(file, keep_open=path == STANDARD_INPUT)
        try:
            with self._reading():
                self._packer = self._recognise()
                packed = io.BufferedReader(self._raw, CHUNK_BYTES)
                self._file: IO[bytes] = self._packer.open(packed) if self._packer else packed
                self.head = self._file.read(CHUNK_BYTES)
        except BaseException:
            self._raw.close()
            raise

    @property
    def position(self) -> int:
        """The number of bytes read of the compressed file."""
        return self._raw.position

    def chunks(self) -> Iterator[bytes]:
        """Yield all decompressed bytes.

        Raises:
            UsageError: the file cannot be read, or is damaged.
        """
        chunk = self.head
        while chunk:
            yield chunk
            with self._reading():
                chunk = self._file.read(CHUNK_BYTES)

    @property
    def quoted(self) -> str:
        """The path as a word of a shell command."""
        return shlex.quote(str(self.path))

    def as_input_of(self, command: str) -> str:
        """Return a shell command line in which a command reads the decompressed file."""
        return (
            f"{self._packer.name} -dc < {self.quoted} | {command}"
            if self._packer
            else f"{command} < {self.quoted}"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._raw.close()

    def _recognise(self) -> Packer | None:
        """Return the compression of the file, which its first bytes show."""
        found = next((packer for packer in PACKERS if self._raw.head.startswith(packer.magic)), None)
        named = packer_of(self.path)
        if named is None or found is named or not self._raw.head:
            return found
        content = f"{found.name} data" if found else "not compressed, or damaged at its beginning"
        new_name = shlex.quote(f"{unpacked_name(self.path)}{found.suffix if found else ''}")
        raise UsageError(
            f"{self.name} cannot be unpacked",
            cause=f"its suffix is {named.suffix}, but its content is {content}",
            fix=f"mv {self.quoted} {new_name}, or download the file again",
        )

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Replace errors of reading and decompression by errors that name the file."""
        try:
            yield
        except DAMAGE as exc:
            raise self._damaged(exc) from None
        except OSError as exc:
            # bz2 raises an OSError without a number for damaged data.
            if exc.errno is None:
                raise self._damaged(exc) from None
            raise UsageError(
                f"cannot read {self.name}",
                cause=exc.strerror or str(exc),
                fix="name an existing file that you may read",
            ) from None

    def _damaged(self, error: Exception) -> UsageError:
        program = self._packer.name if self._packer else "gzip"
        check = "" if self.path == STANDARD_INPUT else f"; check it with {program} -t < {self.quoted}"
        return UsageError(
            f"{self.name} cannot be unpacked",
            cause=f"its {program} data are truncated or damaged: {error}",
            fix=f"copy or download the file again{check}",
        )


class _Counted(io.RawIOBase):
    """A file that counts the bytes read, and whose first bytes are known.

    Attributes:
        head: the first bytes.
        position: the number of bytes read.
    """

    def __init__(self, file: IO[bytes], *, keep_open: bool) -> None:
        self._file = file
        self._keep_open = keep_open
        self.head = file.read(CHUNK_BYTES)
        self._pending = memoryview(self.head)
        self.position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._pending[: len(buffer)]
        self._pending = self._pending[len(data) :]
        if not data:
            data = memoryview(self._file.read(len(buffer)) or b"")
        buffer[: len(data)] = data
        self.position += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed and not self._keep_open:
            self._file.close()
        super().close()
