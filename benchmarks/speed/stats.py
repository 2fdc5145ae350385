"""The arithmetic of a measurement: the steady part of a run, medians, percentiles. Pure."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """A process and its output at one moment.

    Attributes:
        at_s: monotonic seconds.
        events: records in the output topic.
        cpu_s: user and system seconds of the process so far, all threads.
        rss_bytes: its resident memory.
    """

    at_s: float
    events: int
    cpu_s: float
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Steady:
    """The part of a run that counts: without the start and without the end.

    Attributes:
        rate: events per second.
        cpu_us: CPU microseconds per event.
        seconds: how long it was.
    """

    rate: float
    cpu_us: float
    seconds: float


LONGEST_SILENCE = 1 / 5
"""Share of the span without output, past which the fitted slope may be off by more than 5%."""


def steady(samples: Sequence[Sample], first: float = 0.10, last: float = 0.95) -> Steady:
    """The rate between two shares of all events that a run produced.

    Output arrives in steps, as large as the batches that a way publishes at once. The slope of the line that
    fits all samples best hardly depends on where in a step the span begins and ends; the difference of its
    ends would.

    Args:
        samples: in the order of time, evenly spaced.
        first: share of the last sample's events from which on it counts.
        last: share up to which it counts.

    Raises:
        ValueError: the output came in bursts too large for the time that was watched.
    """
    total = samples[-1].events if samples else 0
    within = [s for s in samples if total and first * total <= s.events <= last * total]
    at = [s.at_s for s in within]
    span = at[-1] - at[0] if at else 0.0
    silence = _longest_silence(within)
    if not span or silence > LONGEST_SILENCE * span:
        raise ValueError(
            f"{total:,} events came in bursts too large to tell a rate, {silence:.1f} of {span:.1f} s silent"
        )
    rate = statistics.linear_regression(at, [s.events for s in within]).slope
    cores = statistics.linear_regression(at, [s.cpu_s for s in within]).slope
    return Steady(rate, cores / rate * 1e6, span)


def _longest_silence(samples: Sequence[Sample]) -> float:
    """Seconds in which the events stood still."""
    longest, since = 0.0, samples[0] if samples else None
    for sample in samples:
        assert since is not None
        longest = max(longest, sample.at_s - since.at_s)
        if sample.events > since.events:
            since = sample
    return longest


@dataclass(frozen=True, slots=True)
class Spread:
    """What several repeats gave."""

    median: float
    least: float
    most: float

    def text(self, digits: int = 0) -> str:
        """As it stands in a table: median (least – most)."""
        if self.least == self.most:
            return f"{self.median:,.{digits}f}"
        return f"{self.median:,.{digits}f} ({self.least:,.{digits}f} – {self.most:,.{digits}f})"


def spread(values: Sequence[float]) -> Spread:
    """Median, least and most of at least one value."""
    return Spread(statistics.median(values), min(values), max(values))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Ours by theirs, repeat by repeat; repeats that one of them lacks are left out."""
    return [a / b for a, b in zip(ours, theirs, strict=False)]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def memory_steps(samples: Sequence[Sample], warm_up: int, total: int, steps: int = 10) -> list[Sample]:
    """The first sample at or past each step of the way from `warm_up` to `total` events."""
    wanted = [warm_up + (total - warm_up) * step // steps for step in range(steps + 1)]
    return [next((s for s in samples if s.events >= events), samples[-1]) for events in wanted]
