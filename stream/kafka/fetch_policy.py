"""How long a fetch may wait at the broker until more has come."""

from collections.abc import Callable
from dataclasses import dataclass

from stream.observe.rate import Rate

IDLE_MAX_WAIT_MS = 20
ENOUGH_BYTES = 64 * 1024
LONGEST_WAIT_S = 0.1


@dataclass(frozen=True, slots=True)
class FetchWait:
    """A fetch is answered when `min_bytes` are there, and after `max_wait_ms` in any case."""

    min_bytes: int
    max_wait_ms: int


class FetchPolicy:
    """Chooses how a fetch waits, from how fast events come.

    Reading event by event costs broker and worker about a millisecond of processor time an event, which at
    some hundred events a second takes a core away from the model. So, when the next event is expected within
    the linger anyway, a fetch gathers for that long; when it is not, an event is fetched at once. While the
    model has enough to do, events may as well gather at the broker: they would wait here no less.
    """

    def __init__(
        self, linger_s: float, clock: Callable[[], float], busy_s: Callable[[], float] = lambda: 0.0
    ) -> None:
        """
        Args:
            linger_s: longest that an event may be held back for others, seconds.
            clock: monotonic seconds.
            busy_s: seconds of work that the model has already.
        """
        self._linger_s = linger_s
        self._clock = clock
        self._busy_s = busy_s
        self._rate = Rate()

    def read(self, events: int) -> None:
        """Count events that were read just now."""
        self._rate.note(events, self._clock())

    @property
    def wait(self) -> FetchWait:
        """How the next fetch should wait."""
        if self._rate.per_s(self._clock()) * self._linger_s < 1:
            return FetchWait(1, IDLE_MAX_WAIT_MS)
        # Half of it: the model must never run dry because its work took less time than expected.
        wait_s = max(self._linger_s, min(self._busy_s() / 2, LONGEST_WAIT_S))
        return FetchWait(ENOUGH_BYTES, max(1, round(wait_s * 1000)))
