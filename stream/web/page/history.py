"""The last five minutes in readings a second apart, and what can be said of them."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from stream.observe.metrics import SECONDS
from stream.observe.quantile import quantile
from stream.web.page.readings import Buckets, Reading

KEPT_S = 300
LIVE_S = 5.0
WINDOW_S = 60.0


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles of a duration, seconds; None where nothing was observed, or more than the last bound.

    Attributes:
        observed: how many observations they rest on.
    """

    observed: int
    p50: float | None
    p95: float | None
    p99: float | None


class History:
    """A bounded line of readings, and differences between them."""

    def __init__(self, first: Reading, kept: int = KEPT_S + 1) -> None:
        """
        Args:
            first: the reading to begin with.
            kept: most readings held.
        """
        self._readings = deque([first], maxlen=kept)

    def note(self, reading: Reading) -> None:
        """Add the newest reading; the oldest one leaves when there is no room."""
        self._readings.append(reading)

    @property
    def newest(self) -> Reading:
        """The last reading."""
        return self._readings[-1]

    def before(self, seconds: float) -> Reading:
        """The latest reading that is at least so much older than the newest, else the oldest one."""
        limit = self.newest.at_s - seconds
        return next((r for r in reversed(self._readings) if r.at_s <= limit), self._readings[0])

    def per_s(self, seconds: float = LIVE_S) -> float:
        """Events finished a second, over the last seconds."""
        return _per_s(self.before(seconds), self.newest)

    def stuck_s(self) -> float:
        """For how many seconds events have waited and none was finished."""
        newest = since = self.newest
        for reading in reversed(self._readings):
            if not reading.lag or reading.finished != newest.finished:
                break
            since = reading
        return newest.at_s - since.at_s

    def line(self) -> list[float]:
        """Events finished a second between neighbouring readings, oldest first."""
        return [round(_per_s(older, newer), 1) for older, newer in pairwise(self._readings)]

    def percentiles(self, names: Iterable[str], seconds: float = WINDOW_S) -> dict[str, Percentiles]:
        """The percentiles of durations by name, over the last seconds."""
        older, newer = self.before(seconds).durations, self.newest.durations
        return {name: _percentiles(older.get(name, ()), newer.get(name, ())) for name in names}


def _per_s(older: Reading, newer: Reading) -> float:
    seconds = newer.at_s - older.at_s
    return max(0.0, newer.finished - older.finished) / seconds if seconds > 0 else 0.0


def _percentiles(older: Buckets, newer: Buckets) -> Percentiles:
    counts = [new - old for new, old in zip(newer, older or (0.0,) * len(newer), strict=True)]
    observed = int(counts[-1]) if counts else 0
    if not observed:
        return Percentiles(0, None, None, None)
    p50, p95, p99 = (quantile(counts, share, SECONDS) for share in (0.5, 0.95, 0.99))
    return Percentiles(observed, p50, p95, p99)
