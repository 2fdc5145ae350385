"""Five minutes of scrapes, a second apart, and the rates and percentiles between them."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from stream.observe.metrics import SECONDS
from stream.observe.quantile import quantile
from stream.web.page.scrape import Buckets, Scrape

KEPT_S = 300
LIVE_S = 5.0
WINDOW_S = 60.0


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles of a duration in seconds.

    A percentile is None when nothing was observed or when it lies beyond the last bucket.

    Attributes:
        observed: the number of observations.
    """

    observed: int
    p50: float | None
    p95: float | None
    p99: float | None


class History:
    """A bounded series of scrapes, oldest first."""

    def __init__(self, first: Scrape, max_scrapes: int = KEPT_S + 1) -> None:
        """
        Args:
            first: the first scrape.
            max_scrapes: the number of scrapes kept; the oldest is dropped beyond it.
        """
        self._scrapes = deque([first], maxlen=max_scrapes)

    def append(self, scrape: Scrape) -> None:
        """Add the newest scrape."""
        self._scrapes.append(scrape)

    @property
    def newest(self) -> Scrape:
        """The newest scrape."""
        return self._scrapes[-1]

    def before(self, seconds: float) -> Scrape:
        """Return the latest scrape that is at least `seconds` older than the newest, else the oldest."""
        limit = self.newest.at_s - seconds
        return next((s for s in reversed(self._scrapes) if s.at_s <= limit), self._scrapes[0])

    def per_s(self, seconds: float = LIVE_S) -> float:
        """Return the events finished per second over the last `seconds`."""
        return _per_s(self.before(seconds), self.newest)

    def stuck_s(self) -> float:
        """Return for how many seconds events have been waiting without one being finished."""
        newest = since = self.newest
        for scrape in reversed(self._scrapes):
            if not scrape.lag or scrape.finished != newest.finished:
                break
            since = scrape
        return newest.at_s - since.at_s

    def throughput(self) -> list[float]:
        """Return the events finished per second between neighbouring scrapes, oldest first."""
        return [round(_per_s(older, newer), 1) for older, newer in pairwise(self._scrapes)]

    def percentiles(self, names: Iterable[str], seconds: float = WINDOW_S) -> dict[str, Percentiles]:
        """Return the percentiles over the last `seconds` of the durations with these names."""
        older, newer = self.before(seconds).durations, self.newest.durations
        return {name: _percentiles(older.get(name, ()), newer.get(name, ())) for name in names}


def _per_s(older: Scrape, newer: Scrape) -> float:
    seconds = newer.at_s - older.at_s
    return max(0.0, newer.finished - older.finished) / seconds if seconds > 0 else 0.0


def _percentiles(older: Buckets, newer: Buckets) -> Percentiles:
    counts = [new - old for new, old in zip(newer, older or (0.0,) * len(newer), strict=True)]
    observed = int(counts[-1]) if counts else 0
    if not observed:
        return Percentiles(0, None, None, None)
    p50, p95, p99 = (quantile(counts, share, SECONDS) for share in (0.5, 0.95, 0.99))
    return Percentiles(observed, p50, p95, p99)
