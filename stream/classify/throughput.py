"""The measured throughput of the model, and the number of events that may be in progress at that rate."""

import math

MIN_RECORD_BATCH = 16
MAX_RECORD_BATCH = 4_096
# Several record batches fit into the window, so that the model stays busy while one of them is published.
RECORD_BATCHES_PER_WINDOW = 4
# A record batch costs the worker and the broker about a millisecond each, regardless of its size.
RECORD_BATCH_S = 0.5
# For a fast model the window ends at this many rows, or at this many full batches if they are large: a larger
# window would hardly improve the batches.
MAX_WINDOW_ROWS = 4_096
MAX_WINDOW_BATCHES = 8


class Throughput:
    """An estimate of the model's rows per second, and the window of rows in progress that follows from it.

    The window must be large enough to form full batches, and small enough to finish when a partition is
    revoked or the worker stops.
    """

    def __init__(self, threads: int, batch_rows: int, window_s: float) -> None:
        """
        Args:
            threads: the number of inference threads.
            batch_rows: the maximum rows of a batch; the window holds at least two batches for each thread,
                even for a slow model.
            window_s: the seconds of work that may be in progress.
        """
        self._threads = threads
        self._min_rows = 2 * threads * batch_rows
        self._max_rows = max(MAX_WINDOW_ROWS, MAX_WINDOW_BATCHES * threads * batch_rows)
        self._window_s = window_s
        self._rows = 0.0
        self._seconds = 0.0

    def record(self, rows: float, seconds: float) -> None:
        """Add rows and the seconds of inference that they took, 0 for cache hits; older values decay."""
        decay = 0.9
        self._rows = self._rows * decay + rows
        self._seconds = self._seconds * decay + seconds

    @property
    def rows_per_s(self) -> float:
        """Rows per second with every thread busy; infinite before the first batch."""
        return self._threads * self._rows / self._seconds if self._seconds else math.inf

    @property
    def window_rows(self) -> int:
        """The number of rows that may be in progress."""
        return int(max(self._min_rows, min(self.rows_per_s * self._window_s, self._max_rows)))

    @property
    def record_batch_rows(self) -> int:
        """The events that one record batch should hold: the rows of half a second, within bounds."""
        most = min(MAX_RECORD_BATCH, self.window_rows // RECORD_BATCHES_PER_WINDOW)
        return int(max(MIN_RECORD_BATCH, min(self.rows_per_s * RECORD_BATCH_S, most)))
