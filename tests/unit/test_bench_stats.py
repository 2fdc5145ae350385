"""Tests of the benchmark statistics."""

import math

import pytest

from benchmarks.speed.scrape import Scrape
from benchmarks.speed.stats import Sample, memory_steps, percentile, ratios, spread, steady_state


def run(rate: float, cores: float, seconds: float, step: int = 1, start_s: float = 3.0) -> list[Sample]:
    """Return 10 samples per second of a process that starts, then writes its output in steps."""
    samples = []
    for tick in range(int((start_s + seconds) * 10) + 1):
        time_s = tick / 10
        working_s = max(0.0, time_s - start_s)
        done = int(working_s * rate + 1e-6) // step * step
        samples.append(Sample(100 + time_s, done, 2.0 + cores * working_s, 1_000))
    return samples


def test_the_steady_state_excludes_the_start() -> None:
    results = steady_state(run(rate=1_000, cores=0.5, seconds=20))
    assert results.rate == pytest.approx(1_000, rel=0.01)
    assert results.cpu_us == pytest.approx(500, rel=0.01)
    assert results.seconds == pytest.approx(17, abs=0.2)


@pytest.mark.parametrize("step", [250, 1_000, 1_700])
def test_steps_of_output_hardly_change_the_rate(step: int) -> None:
    results = steady_state(run(rate=1_000, cores=0.5, seconds=24, step=step))
    assert results.rate == pytest.approx(1_000, rel=0.05)


@pytest.mark.parametrize("samples", [[], run(1_000, 1, 0), run(1_000, 1, 12, step=4_000)])
def test_bursts_too_large_for_the_run_are_rejected(samples: list[Sample]) -> None:
    with pytest.raises(ValueError, match="too large"):
        steady_state(samples)


def test_spread_is_median_minimum_and_maximum() -> None:
    assert spread([3, 1, 2]).text() == "2 (1 – 3)"
    assert spread([1234.5]).text(1) == "1,234.5"


def test_ratios_are_computed_repeat_by_repeat() -> None:
    assert ratios([10, 30, 5], [5, 10]) == [2, 3]


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1)])
def test_percentile_is_the_nearest_rank(share: float, expected: int) -> None:
    assert percentile(range(100, 0, -1), share) == expected


def test_memory_steps_are_tenths_after_the_warm_up() -> None:
    samples = [Sample(n, n * 10, 0, n) for n in range(23)]
    assert [s.events for s in memory_steps(samples, 20, 220)] == list(range(20, 221, 20))


HISTOGRAM = """\
# TYPE seconds histogram
seconds_bucket{{stage="infer",le="0.01"}} {0}
seconds_bucket{{stage="infer",le="0.02"}} {1}
seconds_bucket{{stage="infer",le="+Inf"}} {2}
seconds_bucket{{stage="other",le="0.01"}} 1000
seconds_bucket{{stage="other",le="+Inf"}} 1000
"""


def test_median_of_the_difference_of_two_scrapes() -> None:
    before, after = (Scrape.read(HISTOGRAM.format(*counts)) for counts in [(90, 90, 90), (100, 120, 130)])
    difference = after.since(before)
    # Of 40 values 10 are at most 10 ms and 20 more at most 20 ms; the 20th is halfway into the second bucket.
    assert difference.median("seconds", stage="infer") == pytest.approx(0.015)
    assert math.isnan(difference.median("seconds", stage="none"))
    assert difference.total("seconds_bucket", stage="infer", le="+Inf") == 40
