"""The files of a bundle's folder: regular, inside the folder, listed, and unchanged since their check."""

import hashlib
import os
import shlex
import stat
from collections.abc import Iterator, Mapping
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from stream.bundle.fields import MANIFEST_FILE, SIGNATURE_FILE
from stream.bundle.origin import read_origin
from stream.errors import BundleError

DOCUMENTS = ("README.md", "report.html")
"""Files for people, which no loader reads: the Hub's pages change them, and a reader does not check them."""

COPY_AGAIN = "copy the bundle again, or train it again; do not repair a version in place"
EXPORT_AGAIN = "export the model again with this version of labelstream"
KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class FileStamp(NamedTuple):
    """The identity and state of a file, which differs after the file was replaced or written."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


def open_regular(folder: Path, name: str) -> BufferedReader:
    """Open a file of a bundle for reading.

    Args:
        folder: the bundle's folder.
        name: the path in the folder; links in it may not lead out of the folder.

    Raises:
        BundleError: the file is missing, unreadable, not a regular file, or outside the folder.
    """
    try:
        root = folder.resolve(strict=True)
        found = (root / name).resolve(strict=True)
        inside = found.is_relative_to(root)
        # The type is checked before the file is opened: opening a pipe would wait for a writer.
        kind = stat.S_IFMT(found.stat().st_mode) if inside else 0
        if inside and kind == stat.S_IFREG:
            return found.open("rb")
    except FileNotFoundError:
        raise BundleError(
            f"{name} is missing from the bundle {folder}", cause="the manifest lists it", fix=COPY_AGAIN
        ) from None
    except (OSError, RuntimeError, ValueError) as exc:
        # Older versions of Python report a loop of links as a RuntimeError.
        cause = getattr(exc, "strerror", None) or str(exc)
        raise BundleError(
            f"{name} in the bundle {folder} cannot be read", cause=cause, fix=COPY_AGAIN
        ) from None
    cause = f"it is {KINDS.get(kind, 'not a regular file')}" if inside else f"it is a link to {found}"
    raise BundleError(
        f"{name} in the bundle {folder} is not a regular file inside the folder",
        cause=cause,
        fix="replace it with the file itself: copy the bundle with `cp -rL`",
    )


def file_stamp(file: BufferedReader) -> FileStamp:
    """Return the stamp of an open file."""
    return _stamp_of(os.fstat(file.fileno()))


def check_digests(folder: Path, files: Mapping[str, str]) -> dict[str, FileStamp]:
    """Check every listed file against its digest.

    Args:
        folder: the bundle's folder.
        files: `sha256:<hex>` by path.

    Returns:
        The stamp of each file, taken before its digest was computed.

    Raises:
        BundleError: a file is missing, was changed, or is not a regular file inside the folder.
    """
    stamps = {}
    for name, expected in files.items():
        with open_regular(folder, name) as file:
            stamps[name] = file_stamp(file)
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        if digest != expected:
            raise changed(folder, name)
    return stamps


def file_digest(file: Path) -> str:
    """Return `sha256:<hex>` of a file's content."""
    with file.open("rb") as opened:
        return f"sha256:{hashlib.file_digest(opened, 'sha256').hexdigest()}"


def check_stamps(folder: Path, stamps: Mapping[str, FileStamp]) -> None:
    """Check that no file was replaced or written since its stamp was taken.

    Raises:
        BundleError: a file was replaced, written or removed.
    """
    for name, stamp in stamps.items():
        try:
            now = _stamp_of((folder / name).stat())
        except OSError:
            now = None
        if now != stamp:
            raise BundleError(
                f"{name} in the bundle {folder} was changed while it was loaded",
                cause="the file differs from the one whose digest was checked",
                fix="start again; publish a new version instead of writing into one that is in use",
            )


def check_nothing_unlisted(folder: Path, files: Mapping[str, str]) -> None:
    """Check that the manifest lists every file of the folder.

    Names that begin with a dot are exempt: no loader picks them up, and file systems and desktops create
    them. The documents for people are exempt too. A loader could read any other file without a digest check.

    Raises:
        BundleError: the folder has a file that is not listed, or a link to a folder outside.
    """
    for name in _visible_files(folder):
        if name not in files and name not in (MANIFEST_FILE, SIGNATURE_FILE, *DOCUMENTS):
            raise BundleError(
                f"{name} in the bundle {folder} is not covered by a digest",
                cause=f"{MANIFEST_FILE} does not list it under files",
                fix="remove it from the folder, or copy the bundle again",
            )


def changed(folder: Path, name: str) -> BundleError:
    """Return the error for a file whose digest differs from the manifest's."""
    return BundleError(
        f"{name} in the bundle {folder} was changed",
        cause=f"its SHA-256 differs from the one in {MANIFEST_FILE}",
        fix=f"remove the damaged download, then start again: rm -r {shlex.quote(str(folder))}"
        if read_origin(folder)
        else COPY_AGAIN,
    )


def _visible_files(folder: Path) -> Iterator[str]:
    """Yield the paths of everything in the folder but folders; links to folders count as files."""
    for base, folders, names in os.walk(folder):
        links = [name for name in folders if (Path(base) / name).is_symlink()]
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in (*names, *links):
            if not name.startswith("."):
                yield (Path(base) / name).relative_to(folder).as_posix()


def _stamp_of(found: os.stat_result) -> FileStamp:
    return FileStamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
