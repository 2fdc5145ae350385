"""The queue that forms batches: rows that are inferred together. It has no clock and does no I/O."""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from stream.runtime import Integers, PaddedCost

T = TypeVar("T")

ARRIVAL_BITS = 48
# The fixed time of a batch is this fraction of its token budget (1/8): with OpenVINO in int8 a batch of 8
# tokens takes 2.3 ms and one of 512 takes 18, because each of them reads all weights from memory.
FIXED_COST_DIVISOR = 8
# A batch that is full, or holds all queued rows, is taken without a search if this share of tokens is real.
WELL_FILLED = 0.97
# Several batches are taken together only if the queue holds this many times their rows, because other threads
# need rows too.
QUEUED_PER_TAKEN = 8


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """The limits of a batch.

    A batch costs its longest row times its number of rows, because shorter rows are padded to the longest.

    Attributes:
        max_rows: the maximum number of rows.
        max_tokens: the maximum number of padded tokens; a longer single row forms a batch of its own.
        width_multiple: padded widths are rounded up to a multiple of this.
        padded_cost: the tokens that the runtime computes for a given number of rows and padded width.
        max_same_shape_batches: the maximum number of full batches of one shape that are taken together.
    """

    max_rows: int
    max_tokens: int
    width_multiple: int = 1
    padded_cost: PaddedCost = np.multiply
    max_same_shape_batches: int = 1

    def rows_at(self, longest: int) -> int:
        """Return the number of rows in a full batch whose longest row has that many tokens."""
        width: int = self.padded_width(longest)
        return max(1, min(self.max_rows, self.max_tokens // max(1, width)))

    def split(self, rows: int, longest: int) -> list[slice]:
        """Split rows that were taken together into batches, given the tokens of the longest row."""
        size = self.rows_at(longest)
        return [slice(first, first + size) for first in range(0, rows, size)]

    def padded_width(self, longest: Integers) -> Integers:
        """Return the padded width of a batch whose longest row has that many tokens."""
        return -(-longest // self.width_multiple) * self.width_multiple


class LengthOrderedQueue(Generic[T]):
    """A queue ordered by token length and, for equal lengths, by arrival.

    The oldest item is always in the next batch, so no item starves. The batch takes all items of the same
    length and then shorter ones, up to the limits. If too many of its tokens would be padding, it becomes the
    range of lengths around the oldest item that wastes least. A batch therefore never mixes long and short
    items. If a runtime needs time to change the shape of its input, several full batches of one shape are
    taken together.
    """

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        # length << ARRIVAL_BITS | arrival: integers sort faster than tuples, and every row is sorted.
        self._keys: list[int] = []
        self._items: dict[int, T] = {}
        self._arrivals: deque[int] = deque()
        self._next_arrival = 0
        self.tokens = 0

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, items: Iterable[T], lengths: Iterable[int]) -> None:
        """Queue items, each with its length in tokens."""
        sizes = [*lengths]
        keys = [length << ARRIVAL_BITS | arrival for arrival, length in enumerate(sizes, self._next_arrival)]
        self._items.update(zip(keys, items, strict=True))
        self._arrivals.extend(keys)
        self._keys += keys
        self._keys.sort()
        self._next_arrival += len(sizes)
        self.tokens += sum(sizes)

    @property
    def fills_a_batch(self) -> bool:
        """True if more items could not make the next batch fuller."""
        return len(self._keys) >= self._limits.max_rows or self.tokens >= self._limits.max_tokens

    def take(self) -> list[T]:
        """Remove and return the next batch, or several full ones of one shape; it holds the oldest item.

        Raises:
            IndexError: the queue is empty.
        """
        while self._arrivals[0] not in self._items:
            self._arrivals.popleft()
        keys = self._take_around(self._arrivals[0])
        self.tokens -= sum([key >> ARRIVAL_BITS for key in keys])
        pop = self._items.pop
        return [pop(key) for key in keys]

    def _take_around(self, oldest: int) -> list[int]:
        keys = self._keys
        low, high = self._range(bisect_left(keys, oldest))
        # Items of the range's shortest length may stand before the range. They are older and are taken first.
        shortest = keys[low] >> ARRIVAL_BITS
        run = bisect_left(keys, shortest << ARRIVAL_BITS)
        run_end = bisect_left(keys, (shortest + 1) << ARRIVAL_BITS, low, high)
        of_shortest = run_end - low
        taken = keys[run : run + of_shortest] + keys[run_end:high]
        del keys[run_end:high]
        del keys[run : run + of_shortest]
        return taken

    def _range(self, anchor: int) -> tuple[int, int]:
        """Return the range of keys, from low to before high, of the batch or batches with the anchor."""
        length = self._keys[anchor] >> ARRIVAL_BITS
        batches = (
            min(
                self._limits.max_same_shape_batches,
                len(self._keys) // (QUEUED_PER_TAKEN * self._limits.rows_at(length)),
            )
            or 1
        )
        while batches:
            low, high = self._full_range(anchor, batches)
            if self._well_filled(low, high, batches):
                return low, high
            batches //= 2
        return self._least_waste(anchor)

    def _full_range(self, anchor: int, batches: int) -> tuple[int, int]:
        """Return the range of all items as long as the anchor, then of shorter ones until it is full."""
        length = self._keys[anchor] >> ARRIVAL_BITS
        most = batches * self._limits.rows_at(length)
        longer = bisect_left(self._keys, (length + 1) << ARRIVAL_BITS)
        high = min(longer, anchor + most)
        return max(0, high - most), high

    def _well_filled(self, low: int, high: int, batches: int) -> bool:
        """Return True if another range could hardly be better."""
        keys, limits = self._keys, self._limits
        longest = keys[high - 1] >> ARRIVAL_BITS
        real = sum([key >> ARRIVAL_BITS for key in keys[low:high]])
        padded_cost = batches * limits.padded_cost((high - low) // batches, limits.padded_width(longest))
        most = min(batches * limits.rows_at(longest), len(keys))
        return high - low == most and real >= WELL_FILLED * padded_cost

    def _least_waste(self, anchor: int) -> tuple[int, int]:
        """Return the range around the anchor with the most real tokens per unit of cost.

        The cost of a batch is its padded tokens plus a fixed time, which is counted in tokens here. In a
        short queue a full batch would reach from the shortest to the longest row, and half of it would be
        padding.
        """
        limits = self._limits
        most = limits.rows_at(self._keys[anchor] >> ARRIVAL_BITS)
        low = max(0, anchor + 1 - most)
        lengths = np.array(self._keys[low : anchor + most]) >> ARRIVAL_BITS
        # Rows of one length are all worth taking or none is, so ranges end where the length changes.
        changes = np.flatnonzero(np.diff(lengths)) + 1
        at = anchor - low
        starts = np.concatenate(([0], changes[changes < at], [at]))
        ends = np.concatenate(([at + 1], changes[changes > at + 1], [len(lengths)]))
        before = np.concatenate(([0], np.cumsum(lengths)))
        longest = lengths[ends - 1]
        rows = ends - starts[:, None]
        real = before[ends] - before[starts][:, None]
        fixed_cost = limits.max_tokens / FIXED_COST_DIVISOR
        gain = real / (limits.padded_cost(rows, limits.padded_width(longest)) + fixed_cost)
        gain[rows > [limits.rows_at(length) for length in longest.tolist()]] = 0
        start, end = np.unravel_index(int(gain.argmax()), gain.shape)
        return low + int(starts[start]), low + int(ends[end])


def plan_batches(lengths: Sequence[int], *, max_rows: int, max_tokens: int) -> list[list[int]]:
    """Group rows that are all known in advance into batches of similar length.

    Args:
        lengths: the number of tokens of each row.
        max_rows: the maximum rows of a batch.
        max_tokens: the maximum padded tokens of a batch; a longer single row forms a batch of its own.

    Returns:
        Batches of row indexes in the order in which they should run; every row is in exactly one of them.
    """
    queue: LengthOrderedQueue[int] = LengthOrderedQueue(BatchLimits(max_rows, max_tokens))
    queue.add(range(len(lengths)), lengths)
    batches = []
    while len(queue):
        batches.append(queue.take())
    return batches
