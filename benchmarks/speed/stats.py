"""Statistics of a measurement: the steady state of a run, medians and percentiles."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """A process and its output at one moment.

    Attributes:
        at_s: the monotonic time in seconds.
        events: the number of records in the output topic.
        cpu_s: the user and system seconds of the process so far, over all threads.
        rss_bytes: the resident memory of the process.
    """

    at_s: float
    events: int
    cpu_s: float
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class SteadyState:
    """The steady state of a run, without its start and its end.

    Attributes:
        rate: the events per second.
        cpu_us: the CPU microseconds per event.
        seconds: the duration.
    """

    rate: float
    cpu_us: float
    seconds: float


MAX_IDLE_SHARE = 1 / 5
"""The share of the span without output above which the fitted slope may deviate by more than 5%."""


def steady_state(samples: Sequence[Sample], first: float = 0.10, last: float = 0.95) -> SteadyState:
    """Compute the rate between two shares of the events of a run.

    Output arrives in steps as large as the batches that a system publishes at once. The slope of the line
    fitted to all samples hardly depends on where within a step the span begins and ends; the difference
    between the first and the last sample does.

    Args:
        samples: the samples in order of time, evenly spaced.
        first: the share of the last sample's events at which the span begins.
        last: the share at which the span ends.

    Raises:
        ValueError: the output arrived in bursts too large for the duration of the run.
    """
    total = samples[-1].events if samples else 0
    steady_samples = [s for s in samples if total and first * total <= s.events <= last * total]
    times = [s.at_s for s in steady_samples]
    span = times[-1] - times[0] if times else 0.0
    idle_s = _longest_idle_s(steady_samples)
    if not span or idle_s > MAX_IDLE_SHARE * span:
        raise ValueError(
            f"{total:,} events arrived in bursts too large to compute a rate:"
            f" no output in {idle_s:.1f} of {span:.1f} s"
        )
    rate = statistics.linear_regression(times, [s.events for s in steady_samples]).slope
    cores = statistics.linear_regression(times, [s.cpu_s for s in steady_samples]).slope
    return SteadyState(rate, cores / rate * 1e6, span)


def _longest_idle_s(samples: Sequence[Sample]) -> float:
    """Return the longest time in seconds without a new event."""
    longest, since = 0.0, samples[0] if samples else None
    for sample in samples:
        assert since is not None
        longest = max(longest, sample.at_s - since.at_s)
        if sample.events > since.events:
            since = sample
    return longest


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, minimum and maximum of several repeats."""

    median: float
    minimum: float
    maximum: float

    def text(self, digits: int = 0) -> str:
        """Format the spread for a table: median (min – max)."""
        if self.minimum == self.maximum:
            return f"{self.median:,.{digits}f}"
        return f"{self.median:,.{digits}f} ({self.minimum:,.{digits}f} – {self.maximum:,.{digits}f})"


def spread(values: Sequence[float]) -> Spread:
    """Compute median, minimum and maximum of at least one value."""
    return Spread(statistics.median(values), min(values), max(values))


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """Divide values repeat by repeat; repeats without a counterpart are dropped."""
    return [a / b for a, b in zip(numerators, denominators, strict=False)]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of all values does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def memory_steps(samples: Sequence[Sample], warm_up: int, total: int, steps: int = 10) -> list[Sample]:
    """Return the first sample at or after each of `steps` equal steps from `warm_up` to `total` events."""
    thresholds = [warm_up + (total - warm_up) * step // steps for step in range(steps + 1)]
    return [next((s for s in samples if s.events >= events), samples[-1]) for events in thresholds]
