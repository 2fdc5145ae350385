"""One time budget for all steps of a drain or a shutdown."""

from collections.abc import Callable
from time import monotonic


class Deadline:
    """A point in time by which a sequence of steps has to end.

    Each step waits for at most `remaining()` seconds. The steps together therefore take no longer than the
    deadline allows, no matter how they divide the time among themselves.

    Attributes:
        seconds: the time from the start to the end of the deadline.
    """

    __slots__ = ("_clock", "_ends_at", "seconds")

    def __init__(self, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        """Start the deadline now.

        Args:
            seconds: the time until the deadline expires.
            clock: returns monotonic seconds.
        """
        self.seconds = seconds
        self._clock = clock
        self._ends_at = clock() + seconds

    def remaining(self) -> float:
        """Return the seconds until the deadline expires, never less than 0."""
        return max(0.0, self._ends_at - self._clock())

    @property
    def expired(self) -> bool:
        """True if no time remains."""
        return self._clock() >= self._ends_at

    def extended(self, seconds: float) -> "Deadline":
        """Return a deadline with the same start that expires this many seconds later."""
        later = Deadline(self.seconds + seconds, self._clock)
        later._ends_at = self._ends_at + seconds
        return later
