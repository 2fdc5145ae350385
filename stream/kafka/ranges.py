"""The safe offset of a partition: the end of the contiguous prefix of acknowledged ranges."""

import operator
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class OffsetRange:
    """The offsets of one record batch: from `first` up to, not including, `next_offset`.

    Compaction and transaction markers leave gaps inside and between ranges. The gaps need no special
    handling, because only `next_offset` is ever committed.
    """

    first: int
    next_offset: int
    acknowledged: bool = False


class PartitionRanges:
    """The uncommitted ranges of one partition, in offset order.

    Attributes:
        base: the first unfinished offset, which is the next offset to commit.
        committed: the last offset that the broker confirmed, None before the group's first commit.
    """

    __slots__ = ("_open", "base", "committed")

    def __init__(self, base: int, committed: int | None) -> None:
        self.base = base
        self.committed = committed
        self._open: deque[OffsetRange] = deque()

    def open(self, first: int, next_offset: int) -> OffsetRange:
        """Add a range that was read. Ranges are added in offset order.

        Raises:
            ValueError: the range is empty or overlaps an earlier one.
        """
        read = self._open[-1].next_offset if self._open else self.base
        if not read <= first < next_offset:
            raise ValueError(f"range {first}..{next_offset} cannot follow offset {read}")
        opened = OffsetRange(first, next_offset)
        self._open.append(opened)
        return opened

    def acknowledge(self, done: OffsetRange) -> None:
        """Mark a range as finished, and move `base` past the contiguous prefix of finished ranges."""
        done.acknowledged = True
        while self._open and self._open[0].acknowledged:
            self.base = self._open.popleft().next_offset

    def begin_with(self, ranges: Sequence[OffsetRange]) -> bool:
        """Return True if the unfinished ranges begin with these ranges, in this order."""
        return len(ranges) <= len(self._open) and all(map(operator.is_, ranges, self._open))

    def finished(self, position: int) -> int:
        """Return the offset up to which everything is finished.

        Without unfinished events that is the offset of the next read, because the markers at the end of a
        transaction take offsets and are not events.

        Args:
            position: the offset of the next read.
        """
        return max(self.base, position) if self.idle else self.base

    @property
    def idle(self) -> bool:
        """True if every range is finished."""
        return not self._open

    @property
    def uncommitted(self) -> bool:
        """True if `base` should be committed; a new group commits it even before the first record."""
        return self.committed is None or self.base > self.committed
