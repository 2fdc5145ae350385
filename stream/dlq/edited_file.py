"""A file of dead letters that were edited by hand, checked as a whole before any event is sent."""

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from stream.dlq.export import EditedLetter, LineError, decode_line
from stream.dlq.offset_set import OffsetSet
from stream.errors import UsageError
from stream.wording import count_of

MAX_ERRORS_SHOWN = 5


class EditedFile:
    """A file of JSON lines of `stream.dlq.export`. A block of `with` opens and closes it.

    Attributes:
        size: the size of the file in bytes.
        position: the number of bytes read so far.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.size = 0
        self.position = 0

    def __enter__(self) -> Self:
        """Open the file.

        Raises:
            UsageError: the file cannot be read, or is no regular file.
        """
        try:
            self._file = self._path.open("rb")
        except OSError as exc:
            raise UsageError(
                f"cannot read {self._path}",
                cause=exc.strerror or str(exc),
                fix="name a file that labelstream dlq export has written",
            ) from None
        self._state = self._read_state()
        self.size = self._state[0]
        if not self._file.seekable():
            self._file.close()
            raise UsageError(
                f"{self._path} is not a regular file",
                cause="it is read twice: to check it, and to send it",
                fix="write the lines to a file first",
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def check(self, dead_topic: str, end: Mapping[int, int], topics: Collection[str]) -> dict[int, int]:
        """Check all lines, and return the first offset of the dead letters in each partition.

        Args:
            dead_topic: the dead-letter topic of all lines.
            end: the offset after the last one of each partition of this topic.
            topics: the topics that exist; empty if the events are sent to another topic than their own.

        Raises:
            UsageError: lines are invalid. The error names the first of them.
        """
        errors: list[str] = []
        fix = ""
        begin: dict[int, int] = {}
        for number, line in self._lines():
            try:
                letter = decode_line(line)
                _check_positions(letter, dead_topic, end, topics)
            except LineError as exc:
                errors.append(f"line {number}: {exc.message}" + (f" ({exc.cause})" if exc.cause else ""))
                fix = fix or exc.fix
                continue
            partition, offset = letter.position
            begin[partition] = min(offset, begin.get(partition, offset))
        if not errors and begin:
            errors = self._repetitions(OffsetSet(begin, {partition: end[partition] for partition in begin}))
        if errors or not begin:
            raise _refused(self._path, errors, fix)
        return begin

    def letters(self) -> Iterator[EditedLetter]:
        """Yield the dead letters of a checked file.

        Raises:
            UsageError: the file has changed since it was checked.
        """
        for _, line in self._lines():
            if self._read_state() != self._state:
                raise UsageError(
                    f"{self._path} has changed since it was checked",
                    fix="run the command again; events that were sent are not sent twice",
                )
            yield decode_line(line)

    def _repetitions(self, seen: OffsetSet) -> list[str]:
        errors = []
        for number, line in self._lines():
            position = decode_line(line).position
            if position in seen:
                errors.append(f"line {number}: the dead letter {position} is in an earlier line too")
            seen.add(position)
        return errors

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield the lines that are not blank, with their numbers."""
        self._file.seek(0)
        self.position = 0
        for number, line in enumerate(self._file, 1):
            self.position += len(line)
            if line.strip():
                yield number, line

    def _read_state(self) -> tuple[int, int]:
        found = os.fstat(self._file.fileno())
        return found.st_size, found.st_mtime_ns


def _check_positions(
    letter: EditedLetter, dead_topic: str, end: Mapping[int, int], topics: Collection[str]
) -> None:
    """Check the topics and the position of a dead letter.

    Raises:
        LineError: the dead letter is of another topic or does not exist, or its input topic does not exist.
    """
    if letter.topic != dead_topic:
        raise LineError(
            f"the dead letter is in topic {letter.topic}, not in {dead_topic}",
            fix=f"choose its topic: --topic {letter.topic}",
        )
    if letter.position.offset >= end.get(letter.position.partition, 0):
        raise LineError(f"{dead_topic} has no dead letter {letter.position}")
    if topics and letter.origin.topic not in topics:
        raise LineError(f"the input topic {letter.origin.topic} does not exist")


def _refused(path: Path, errors: list[str], fix: str) -> UsageError:
    shown = "; ".join(errors[:MAX_ERRORS_SHOWN])
    more = (
        f"; and {count_of(len(errors) - MAX_ERRORS_SHOWN, 'more line')}"
        if len(errors) > MAX_ERRORS_SHOWN
        else ""
    )
    return UsageError(
        f"{path} cannot be sent: {count_of(len(errors), 'invalid line')}"
        if errors
        else f"{path} has no dead letter",
        cause=f"{shown}{more}" if errors else "the file is empty",
        fix=f"{fix or 'correct these lines'}; nothing was sent",
    )
