"""The policy for how long a fetch waits at the broker for more events."""

from collections.abc import Callable
from dataclasses import dataclass

from stream.observe.rate import Rate

IDLE_MAX_WAIT_MS = 20
ENOUGH_BYTES = 64 * 1024
MAX_WAIT_S = 0.1


@dataclass(frozen=True, slots=True)
class FetchWait:
    """The broker answers a fetch when `min_bytes` are available, at the latest after `max_wait_ms`."""

    min_bytes: int
    max_wait_ms: int


class FetchPolicy:
    """Chooses the wait of a fetch from the rate at which events arrive.

    Reading event by event costs broker and worker together about a millisecond of CPU time per event. A few
    hundred events per second would occupy a core that the model needs. If the next event is expected within
    the linger time, a fetch therefore waits that long to gather events; otherwise the broker answers it with
    the first event. While the model is busy, events may wait longer at the broker, because they would wait
    for the model anyway.
    """

    def __init__(
        self, linger_s: float, clock: Callable[[], float], backlog_s: Callable[[], float] = lambda: 0.0
    ) -> None:
        """
        Args:
            linger_s: the longest time to hold back an event for others while the model is idle, in seconds.
            clock: returns monotonic seconds.
            backlog_s: returns the seconds of work that the model already has.
        """
        self._linger_s = linger_s
        self._clock = clock
        self._backlog_s = backlog_s
        self._rate = Rate()

    def count(self, events: int) -> None:
        """Count the events of a fetch that just returned."""
        self._rate.count(events, self._clock())

    @property
    def wait(self) -> FetchWait:
        """The wait of the next fetch."""
        if self._rate.per_s(self._clock()) * self._linger_s < 1:
            return FetchWait(1, IDLE_MAX_WAIT_MS)
        # Half of the model's work, so that events arrive in time even if the work ends earlier than expected.
        wait_s = max(self._linger_s, min(self._backlog_s() / 2, MAX_WAIT_S))
        return FetchWait(ENOUGH_BYTES, max(1, round(wait_s * 1000)))
