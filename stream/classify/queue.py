"""Which rows are inferred together: pure, no clock and no input or output in it."""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from stream.runtime.base import PaddedCost, Whole

T = TypeVar("T")

ARRIVAL_BITS = 48
# Besides its tokens, a batch costs as much time as this part of its budget: with OpenVINO in int8 one of 8
# tokens takes 2.3 ms and one of 512 takes 18, for each reads all weights from memory.
BATCH_COST = 8
# A batch that is full, or all that waits, is not looked at further with at least this share of real tokens.
WELL_FILLED = 0.97
# Several batches at once are this share of what waits at most: the other lanes need some too.
SHARE_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Limits:
    """What a micro-batch may hold.

    A padded runtime computes the longest row times the rows, and is charged that (as the queue of
    text-embeddings-inference charges it); a packed one computes the sum of the rows.

    Attributes:
        max_rows: most rows.
        max_tokens: most tokens that are computed; a single longer row still gets a batch of its own.
        width_multiple: a padded width is rounded up to a multiple of this.
        packed: whether the runtime computes no padding.
        padded_cost: tokens that a padded runtime computes for batches of so many rows and tokens a row.
        max_same_shape_batches: full batches of one shape that may be taken at once.
    """

    max_rows: int
    max_tokens: int
    width_multiple: int = 1
    packed: bool = False
    padded_cost: PaddedCost = np.multiply
    max_same_shape_batches: int = 1

    def rows(self, longest: int) -> int:
        """How many rows fit in a padded batch whose longest row has that many tokens."""
        width: int = self.width(longest)
        return max(1, min(self.max_rows, self.max_tokens // max(1, width)))

    def batches(self, rows: int, longest: int) -> list[slice]:
        """The batches of what was taken at once: so many rows, the longest of that many tokens."""
        at_once = rows if self.packed else self.rows(longest)
        return [slice(first, first + at_once) for first in range(0, rows, at_once)]

    def width(self, longest: Whole) -> Whole:
        """The padded width of a batch whose longest row has that many tokens."""
        return -(-longest // self.width_multiple) * self.width_multiple


class LengthOrderedQueue(Generic[T]):
    """Items that wait for a batch, in order of length and, within a length, of arrival.

    Whoever came first is in the next batch, so nobody is overtaken for ever. With it go all that are as long
    and then shorter ones, as many as the limits let in; if too much of that would be padding, it is the
    stretch around the first item that wastes least. So a batch never mixes long with short. Where a runtime
    takes time to change from one shape to another, a few full batches of one shape are taken at once.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # length << ARRIVAL_BITS | arrival: integers sort faster than tuples, and this is done for every row.
        self._keys: list[int] = []
        self._items: dict[int, T] = {}
        self._order: deque[int] = deque()
        self._next_arrival = 0
        self.tokens = 0

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, items: Iterable[T], lengths: Iterable[int]) -> None:
        """Queue items behind all that are there, each with its length in tokens."""
        sizes = [*lengths]
        keys = [length << ARRIVAL_BITS | arrival for arrival, length in enumerate(sizes, self._next_arrival)]
        self._items.update(zip(keys, items, strict=True))
        self._order.extend(keys)
        self._keys += keys
        self._keys.sort()
        self._next_arrival += len(sizes)
        self.tokens += sum(sizes)

    @property
    def fills_a_batch(self) -> bool:
        """Whether waiting longer could not make the next batch fuller."""
        return len(self._keys) >= self._limits.max_rows or self.tokens >= self._limits.max_tokens

    @property
    def first(self) -> T:
        """The item that came first.

        Raises:
            IndexError: nothing waits.
        """
        while self._order[0] not in self._items:
            self._order.popleft()
        return self._items[self._order[0]]

    def take(self) -> list[T]:
        """The next batch, or full ones of one shape, with the item that came first in it; the rest stays.

        Raises:
            IndexError: nothing waits.
        """
        _ = self.first
        keys = self._take_packed() if self._limits.packed else self._take_around(self._order[0])
        self.tokens -= sum([key >> ARRIVAL_BITS for key in keys])
        pop = self._items.pop
        return [pop(key) for key in keys]

    def _take_around(self, first: int) -> list[int]:
        keys = self._keys
        anchor = bisect_left(keys, first)
        low, high = self._cut(anchor)
        # The shortest length of the cut may go on below it, and there lie the items that came earlier.
        shortest = keys[low] >> ARRIVAL_BITS
        run = bisect_left(keys, shortest << ARRIVAL_BITS)
        run_end = bisect_left(keys, (shortest + 1) << ARRIVAL_BITS, low, high)
        of_shortest = run_end - low
        taken = keys[run : run + of_shortest] + keys[run_end:high]
        del keys[run_end:high]
        del keys[run : run + of_shortest]
        return taken

    def _cut(self, anchor: int) -> tuple[int, int]:
        """Where the anchor's batch, or its full ones of one shape, begins and ends."""
        length = self._keys[anchor] >> ARRIVAL_BITS
        batches = (
            min(
                self._limits.max_same_shape_batches,
                len(self._keys) // (SHARE_AT_ONCE * self._limits.rows(length)),
            )
            or 1
        )
        while batches:
            low, high = self._down_from(anchor, batches)
            if self._well_filled(low, high, batches):
                return low, high
            batches //= 2
        return self._least_waste(anchor)

    def _down_from(self, anchor: int, batches: int) -> tuple[int, int]:
        """The cut with all that are as long as the anchor and then shorter ones, until it is full."""
        length = self._keys[anchor] >> ARRIVAL_BITS
        most = batches * self._limits.rows(length)
        longer = bisect_left(self._keys, (length + 1) << ARRIVAL_BITS)
        high = min(longer, anchor + most)
        return max(0, high - most), high

    def _well_filled(self, low: int, high: int, batches: int) -> bool:
        """Whether a cut leaves next to nothing to be gained by another one."""
        keys, limits = self._keys, self._limits
        longest = keys[high - 1] >> ARRIVAL_BITS
        real = sum([key >> ARRIVAL_BITS for key in keys[low:high]])
        padded_cost = batches * limits.padded_cost((high - low) // batches, limits.width(longest))
        most = min(batches * limits.rows(longest), len(keys))
        return high - low == most and real >= WELL_FILLED * padded_cost

    def _least_waste(self, anchor: int) -> tuple[int, int]:
        """The cut around the anchor that wastes least; what it leaves goes better by itself.

        A batch costs its padding and a fixed time besides, here counted in tokens. With few rows waiting,
        a full batch would stretch from the shortest to the longest, and half of it would be padding.
        """
        limits = self._limits
        most = limits.rows(self._keys[anchor] >> ARRIVAL_BITS)
        low = max(0, anchor + 1 - most)
        lengths = np.array(self._keys[low : anchor + most]) >> ARRIVAL_BITS
        # Rows of one length are worth taking all or none, so cuts lie where the length changes.
        cuts = np.flatnonzero(np.diff(lengths)) + 1
        at = anchor - low
        starts = np.concatenate(([0], cuts[cuts < at], [at]))
        ends = np.concatenate(([at + 1], cuts[cuts > at + 1], [len(lengths)]))
        before = np.concatenate(([0], np.cumsum(lengths)))
        longest = lengths[ends - 1]
        rows = ends - starts[:, None]
        real = before[ends] - before[starts][:, None]
        gain = real / (limits.padded_cost(rows, limits.width(longest)) + limits.max_tokens / BATCH_COST)
        gain[rows > [limits.rows(length) for length in longest.tolist()]] = 0
        start, end = np.unravel_index(int(gain.argmax()), gain.shape)
        return low + int(starts[start]), low + int(ends[end])

    def _take_packed(self) -> list[int]:
        taken: list[int] = []
        tokens = 0
        for key in self._order:
            if key not in self._items:
                continue
            tokens += key >> ARRIVAL_BITS
            if taken and (tokens > self._limits.max_tokens or len(taken) == self._limits.max_rows):
                break
            taken.append(key)
        gone = set(taken)
        self._keys = [key for key in self._keys if key not in gone]
        return taken


def plan(
    lengths: Sequence[int],
    *,
    max_rows: int,
    max_tokens: int,
    width_multiple: int = 1,
    packed: bool = False,
    ages_s: Sequence[float] | None = None,
    linger_s: float = 0.0,
) -> list[list[int]]:
    """Group rows of similar length, so that little arithmetic is spent on padding.

    Args:
        lengths: tokens of each row.
        max_rows: most rows of a batch.
        max_tokens: most computed tokens of a batch; a single longer row still gets a batch of its own.
        width_multiple: a padded width is rounded up to a multiple of this.
        packed: whether a batch is charged the sum of its rows instead of its longest row times its rows.
        ages_s: seconds that each row has waited; all the same when not given.
        linger_s: how long a row may be held back for a fuller batch.

    Returns:
        Batches of row numbers in the order in which they should run. A row that is held back, since it has
        waited less than `linger_s` and what waits does not fill a batch, is in none; every other row is in
        exactly one.
    """
    waited = ages_s if ages_s is not None else [linger_s] * len(lengths)
    arrival = sorted(range(len(lengths)), key=lambda row: -waited[row])
    waiting: LengthOrderedQueue[int] = LengthOrderedQueue(
        Limits(max_rows, max_tokens, width_multiple, packed)
    )
    waiting.add(arrival, [lengths[row] for row in arrival])
    batches = []
    while len(waiting) and (waiting.fills_a_batch or waited[waiting.first] >= linger_s):
        batches.append(waiting.take())
    return batches
