"""Detection of label events that were read before, by the position of the labelled record."""

from bisect import bisect_right

MAX_RANGES = 10_000


class SeenOffsets:
    """The offsets of one partition that were seen, as ranges.

    Offsets without a label event (dead letters) leave gaps. Beyond `max_ranges` the lowest range is
    forgotten, so a very old duplicate is not detected; an event that was not seen is never taken for one.
    """

    def __init__(self, max_ranges: int = MAX_RANGES) -> None:
        """
        Args:
            max_ranges: the number of ranges that are kept.
        """
        self._max_ranges = max_ranges
        self._starts: list[int] = []
        self._stops: list[int] = []

    def add(self, offset: int) -> bool:
        """Add an offset; return True if it was seen before."""
        at = bisect_right(self._starts, offset) - 1
        if at >= 0 and offset < self._stops[at]:
            return True
        follows = at >= 0 and self._stops[at] == offset
        precedes = at + 1 < len(self._starts) and self._starts[at + 1] == offset + 1
        if follows and precedes:
            self._stops[at] = self._stops.pop(at + 1)
            del self._starts[at + 1]
        elif follows:
            self._stops[at] = offset + 1
        elif precedes:
            self._starts[at + 1] = offset
        else:
            self._starts.insert(at + 1, offset)
            self._stops.insert(at + 1, offset + 1)
            if len(self._starts) > self._max_ranges:
                del self._starts[0], self._stops[0]
        return False


class DuplicateDetector:
    """Detects label events whose source was seen before."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int], SeenOffsets] = {}

    def is_duplicate(self, topic: str, partition: int, offset: int) -> bool:
        """Note a source, and return True if it was seen before."""
        return self._seen.setdefault((topic, partition), SeenOffsets()).add(offset)
