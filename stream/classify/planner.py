"""Which rows are inferred together: pure, no clock and no input or output in it."""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")

ARRIVAL_BITS = 48
# Besides its tokens, a batch costs as much time as this part of its budget: 20 to 30 of 512 tokens, measured.
BATCH_COST = 16
ARRIVAL_MASK = (1 << ARRIVAL_BITS) - 1


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
    """

    max_rows: int
    max_tokens: int
    width_multiple: int = 1
    packed: bool = False

    def rows(self, longest: int) -> int:
        """How many rows fit in a padded batch whose longest row has that many tokens."""
        width = -(-longest // self.width_multiple) * self.width_multiple
        return max(1, min(self.max_rows, self.max_tokens // max(1, width)))


class Waiting(Generic[T]):
    """Items that wait for a batch, in order of length and, within a length, of arrival.

    The queue is cut from its longest item down into batches as full as the limits let them be, and the batch
    that goes first is the one that holds the item that came first. So a batch never mixes long with short,
    and nobody is overtaken for ever: whoever came first is in the very next batch.
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
        """The next batch, with the item that came first in it; the rest stays.

        Raises:
            IndexError: nothing waits.
        """
        _ = self.first
        keys = self._take_packed() if self._limits.packed else self._take_padded(self._order[0])
        self.tokens -= sum([key >> ARRIVAL_BITS for key in keys])
        pop = self._items.pop
        return [pop(key) for key in keys]

    def _take_padded(self, first: int) -> list[int]:
        keys = self._keys
        anchor = bisect_left(keys, first)
        low = high = len(keys)
        while low > anchor:
            high = low
            low = max(0, high - self._limits.rows(keys[high - 1] >> ARRIVAL_BITS))
        # What is left at the short end may be little: it takes on longer rows as long as they fit.
        while low == 0 and high < len(keys) and self._limits.rows(keys[high] >> ARRIVAL_BITS) > high:
            high += 1
        low, high = self._worth_it(low, anchor, high)
        # The shortest length of the cut may go on below it, and there lie the items that came earlier.
        shortest = keys[low] >> ARRIVAL_BITS
        run = bisect_left(keys, shortest << ARRIVAL_BITS)
        run_end = bisect_left(keys, (shortest + 1) << ARRIVAL_BITS, low, high)
        of_shortest = run_end - low
        taken = keys[run : run + of_shortest] + keys[run_end:high]
        del keys[run_end:high]
        del keys[run : run + of_shortest]
        return taken

    def _worth_it(self, low: int, anchor: int, high: int) -> tuple[int, int]:
        """Narrow a cut to the part that wastes least, the anchor in it; the rest goes better by itself.

        A batch costs its padding and a fixed time besides, here counted in tokens. With few rows waiting,
        a full batch would stretch from the shortest to the longest, and half of it would be padding.
        """
        keys = self._keys
        if keys[low] >> ARRIVAL_BITS == keys[high - 1] >> ARRIVAL_BITS:
            return low, high
        lengths = np.array(keys[low:high]) >> ARRIVAL_BITS
        # Rows of one length are worth taking all or none, so cuts lie where the length changes.
        cuts = np.flatnonzero(np.diff(lengths)) + 1
        at = anchor - low
        starts = np.concatenate(([0], cuts[cuts < at], [at]))
        ends = np.concatenate((cuts[cuts > at], [high - low]))
        before = np.concatenate(([0], np.cumsum(lengths)))
        multiple = self._limits.width_multiple
        widths = -(-lengths[ends - 1] // multiple) * multiple
        real = before[ends] - before[starts][:, None]
        computed = (ends - starts[:, None]) * widths
        gain = real / (computed + self._limits.max_tokens / BATCH_COST)
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
    waiting: Waiting[int] = Waiting(Limits(max_rows, max_tokens, width_multiple, packed))
    waiting.add(arrival, [lengths[row] for row in arrival])
    batches = []
    while len(waiting) and (waiting.fills_a_batch or waited[waiting.first] >= linger_s):
        batches.append(waiting.take())
    return batches
