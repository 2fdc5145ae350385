"""A set of offsets with one bit for each offset of a topic."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from stream.dlq.letters import Position

Ranges = list[tuple[int, int]]
"""The first and the last offset of each range, in order."""


class OffsetSet:
    """Positions of a topic. The memory depends on the offsets of the topic, not on those in the set."""

    def __init__(self, begin: Mapping[int, int], end: Mapping[int, int]) -> None:
        """Create an empty set.

        Args:
            begin: the first offset of each partition. Earlier ones cannot be in the set.
            end: the offset after the last one of each partition. Later ones cannot be in the set.
        """
        self._begin = begin
        self._bits = {
            partition: bytearray((end[partition] - begin[partition] + 7) // 8) for partition in begin
        }
        self._end = end

    def __contains__(self, position: Position) -> bool:
        bits = self._bits.get(position.partition)
        if (
            bits is None
            or not self._begin[position.partition] <= position.offset < self._end[position.partition]
        ):
            return False
        at = position.offset - self._begin[position.partition]
        return bool(bits[at >> 3] & (1 << (at & 7)))

    def add(self, position: Position) -> None:
        """Add a position."""
        self.add_range(position.partition, position.offset, position.offset)

    def add_range(self, partition: int, first: int, last: int) -> None:
        """Add the offsets from the first to the last one; those outside of the topic are ignored."""
        bits = self._bits.get(partition)
        if bits is None:
            return
        begin = self._begin[partition]
        start, stop = max(first, begin) - begin, min(last + 1, self._end[partition]) - begin
        while start < stop and start & 7:
            bits[start >> 3] |= 1 << (start & 7)
            start += 1
        if start < stop:
            whole = (stop - start) >> 3
            bits[start >> 3 : (start >> 3) + whole] = b"\xff" * whole
            start += whole << 3
        for at in range(start, stop):
            bits[at >> 3] |= 1 << (at & 7)


def to_ranges(positions: Iterable[Position]) -> Mapping[int, Ranges]:
    """Return positions as ranges of offsets, by partition."""
    by_partition = groupby(sorted(set(positions)), key=lambda position: position.partition)
    return {partition: [*_merge(p.offset for p in group)] for partition, group in by_partition}


def _merge(offsets: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield the ranges of ascending offsets."""
    first = last = None
    for offset in offsets:
        if first is None or last is None:
            first = last = offset
        elif offset == last + 1:
            last = offset
        else:
            yield first, last
            first = last = offset
    if first is not None and last is not None:
        yield first, last
