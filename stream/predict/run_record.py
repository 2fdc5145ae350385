"""The record beside an unfinished or finished output: what it was made from, and which files are finished."""

import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

from stream.errors import UsageError
from stream.output_files import named_errors, sync

RECORD_NAME = ".labelstream-predict.json"
FORMAT_VERSION = 1
MAX_SHOWN = 3
FIX = "repeat the command of the first run, name another output, or start again with --overwrite"

Stamp = dict[str, Any]
"""The size and the modification time of an input file."""


def file_stamp(path: Path) -> Stamp:
    """Return the size and the modification time of a file.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        state = path.stat()
    except OSError as exc:
        raise UsageError(
            f"cannot read {path}", cause=exc.strerror or str(exc), fix="name an existing file"
        ) from None
    return {"size": state.st_size, "mtime_ns": state.st_mtime_ns}


class RunRecord:
    """A record in the folder of an output; one process at a time can open it.

    The first line holds the facts that determine the output; each further line names a file that was begun
    or finished, with the stamp of its input. A line that a crash has cut is ignored, so that its file is
    labelled again.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """
        Args:
            folder: the folder of the output, which exists.
            facts: the facts that determine the output, as JSON values.
        """
        self._path = folder / RECORD_NAME
        self._folder = folder
        self._facts = {"labelstream-predict": FORMAT_VERSION, **json.loads(json.dumps(facts))}
        self._begun: dict[str, Stamp] = {}
        self._finished: set[str] = set()
        self._file: IO[bytes]

    def __enter__(self) -> Self:
        """Open the record, or begin it.

        Raises:
            UsageError: another process has it open, or it has other facts.
        """
        with named_errors(self._path):
            self._file = self._path.open("a+b")
        try:
            self._lock()
            self._read()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _begin(self) -> None:
        with named_errors(self._path):
            self._file.truncate(0)
        self._append(self._facts)
        sync(self._folder)

    def is_finished(self, name: str, stamp: Stamp) -> bool:
        """Return True if a file was finished, from this input.

        Raises:
            UsageError: the file was begun or finished, and has changed since.
        """
        if self._begun.get(name, stamp) != stamp:
            raise UsageError(
                f"cannot continue in {self._folder}",
                cause=f"the input {name} has changed since it was labelled",
                fix=FIX,
            )
        return name in self._finished

    def add_begun(self, stamps: Mapping[str, Stamp]) -> None:
        """Record files whose outputs will have parts, durably, before the first part.

        Raises:
            UsageError: the record cannot be written.
        """
        new = {name: stamp for name, stamp in stamps.items() if name not in self._begun}
        self._append(*({"file": name, **stamp} for name, stamp in new.items()))
        self._begun |= new

    def add_finished(self, name: str, stamp: Stamp) -> None:
        """Record a finished file, durably.

        Raises:
            UsageError: the record cannot be written.
        """
        self._append({"file": name, **stamp, "finished": True})
        self._begun[name] = stamp
        self._finished.add(name)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"cannot write to {self._folder}",
                cause="another `labelstream predict` is writing there",
                fix="wait for its end, or name another output",
            ) from None
        except OSError:
            # Some network file systems have no locks.
            return

    def _read(self) -> None:
        self._file.seek(0)
        lines = [_parsed(line) for line in self._file.read().splitlines() if line.strip()]
        if not lines or lines[0] is None:
            self._begin()
            return
        self._check(lines[0])
        for line in lines[1:]:
            if line is not None and isinstance(line.get("file"), str):
                name = line.pop("file")
                if line.pop("finished", False):
                    self._finished.add(name)
                self._begun[name] = line

    def _check(self, found: dict[str, Any]) -> None:
        names = [name for name in {**self._facts, **found} if self._facts.get(name) != found.get(name)]
        if names:
            differences = [
                f"{_flag(name)} was {found.get(name)}, and is {self._facts.get(name)}" for name in names
            ]
            more = len(names) - MAX_SHOWN
            raise UsageError(
                f"cannot continue in {self._folder}",
                cause="; ".join(differences[:MAX_SHOWN]) + (f"; and {more} more" if more > 0 else ""),
                fix=FIX,
            )

    def _append(self, *lines: Mapping[str, Any]) -> None:
        with named_errors(self._path):
            # The first line break ends a line that a crash has cut.
            self._file.write(b"\n" + b"".join(json.dumps(line).encode() + b"\n" for line in lines))
            self._file.flush()
            os.fsync(self._file.fileno())


def _flag(name: str) -> str:
    words = {"bundle": "the bundle", "labelstream": "the version of labelstream", "input": "the input"}
    return words.get(name, f"--{name}")


def _parsed(line: bytes) -> dict[str, Any] | None:
    with suppress(ValueError):
        value = json.loads(line)
        if isinstance(value, dict):
            return value
    return None
