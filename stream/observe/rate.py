"""An exponentially weighted event rate."""

import math

MEMORY_S = 1.0


class Rate:
    """Events per second, as an exponentially weighted average over about a second."""

    def __init__(self) -> None:
        self._rate = 0.0
        self._at = -math.inf

    def count(self, events: int, now_s: float) -> None:
        """Count events.

        Args:
            events: the number of events.
            now_s: the current time, in monotonic seconds.
        """
        self._rate = self.per_s(now_s) + events / MEMORY_S
        self._at = now_s

    def per_s(self, now_s: float) -> float:
        """Return the rate at the monotonic time `now_s`."""
        return self._rate * math.exp((self._at - now_s) / MEMORY_S) if self._rate else 0.0
