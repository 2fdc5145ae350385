"""How fast the model gets through its rows, and how much may wait for it."""

import math

LEAST_ROWS_AT_ONCE = 16
MOST_ROWS_AT_ONCE = 4_096
SHARE_AT_ONCE = 4
# A record batch costs worker and broker about a millisecond each, however few events it holds.
SECONDS_AT_ONCE = 0.5
# Rows, or batches if they are large, that may wait for a fast model: more would plan hardly better.
ENOUGH_ROWS = 4_096
ENOUGH_BATCHES = 8


class Pace:
    """What the model gets through, and so how much may wait for it.

    What waits must be enough to plan well, and little enough to be finished when a partition is taken away
    or the worker is told to stop.
    """

    def __init__(self, lanes: int, batch_rows: int, window_s: float) -> None:
        """
        Args:
            lanes: how many work side by side.
            batch_rows: most rows of a batch; two batches for each lane may wait, however slow the model is.
            window_s: seconds of work that may wait.
        """
        self._lanes = lanes
        self._least = 2 * lanes * batch_rows
        self._enough = max(ENOUGH_ROWS, ENOUGH_BATCHES * lanes * batch_rows)
        self._window_s = window_s
        self._rows = 0.0
        self._seconds = 0.0

    def note(self, rows: float, seconds: float) -> None:
        """Count rows that kept the model busy that long, none if a cache knew them; earlier ones fade."""
        kept = 0.9
        self._rows = self._rows * kept + rows
        self._seconds = self._seconds * kept + seconds

    @property
    def rows_per_s(self) -> float:
        """Rows a second when no lane ever waits; infinite before the first batch."""
        return self._lanes * self._rows / self._seconds if self._seconds else math.inf

    @property
    def window_rows(self) -> int:
        """How many rows may be worked on at once."""
        return int(max(self._least, min(self.rows_per_s * self._window_s, self._enough)))

    @property
    def rows_at_once(self) -> int:
        """How many events one record batch should hold, so that its results are not long in coming."""
        # Several have to fit into the window, or the model would wait while one of them is published.
        most = min(MOST_ROWS_AT_ONCE, self.window_rows // SHARE_AT_ONCE)
        return int(max(LEAST_ROWS_AT_ONCE, min(self.rows_per_s * SECONDS_AT_ONCE, most)))
