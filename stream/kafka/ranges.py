"""Which offset of a partition is safe to commit: the contiguous prefix of acknowledged ranges."""

from collections import deque
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class OffsetRange:
    """Offsets that were read together: from `first` up to, not including, `next_offset`.

    Gaps that compaction or transaction markers leave inside or between ranges need no care, since only
    `next_offset` is ever committed.
    """

    first: int
    next_offset: int
    acknowledged: bool = False


class PartitionRanges:
    """The ranges of one partition that were read and not yet committed, in offset order.

    Attributes:
        base: the first offset that is not yet safe to commit past; what to commit next.
        committed: the offset that the broker confirmed last, None before the group's first commit.
    """

    __slots__ = ("_open", "base", "committed")

    def __init__(self, base: int, committed: int | None) -> None:
        self.base = base
        self.committed = committed
        self._open: deque[OffsetRange] = deque()

    def open(self, first: int, next_offset: int) -> OffsetRange:
        """Note a range as read. Ranges come in offset order.

        Raises:
            ValueError: the range is empty or overlaps what was read before.
        """
        read = self._open[-1].next_offset if self._open else self.base
        if not read <= first < next_offset:
            raise ValueError(f"range {first}..{next_offset} cannot follow offset {read}")
        opened = OffsetRange(first, next_offset)
        self._open.append(opened)
        return opened

    def acknowledge(self, done: OffsetRange) -> None:
        """Mark a range as finished; `base` moves on when every earlier range is finished too."""
        done.acknowledged = True
        while self._open and self._open[0].acknowledged:
            self.base = self._open.popleft().next_offset

    @property
    def idle(self) -> bool:
        """Whether everything that was read is finished."""
        return not self._open

    @property
    def uncommitted(self) -> bool:
        """Whether `base` should be committed; true for a new group even before its first record."""
        return self.committed is None or self.base > self.committed
