"""The benchmarks' arithmetic."""

import math

import pytest

from benchmarks.speed.scrape import Scrape
from benchmarks.speed.stats import Sample, memory_steps, percentile, ratios, spread, steady


def run(rate: float, cores: float, seconds: float, step: int = 1, start_s: float = 3.0) -> list[Sample]:
    """A process that starts, then works at a rate and shows its output in steps; 10 samples a second."""
    samples = []
    for tick in range(int((start_s + seconds) * 10) + 1):
        at = tick / 10
        worked = max(0.0, at - start_s)
        done = int(worked * rate + 1e-6) // step * step
        samples.append(Sample(100 + at, done, 2.0 + cores * worked, 1_000))
    return samples


def test_steady_rate_and_cost_leave_out_the_start() -> None:
    found = steady(run(rate=1_000, cores=0.5, seconds=20))
    assert found.rate == pytest.approx(1_000, rel=0.01)
    assert found.cpu_us == pytest.approx(500, rel=0.01)
    assert found.seconds == pytest.approx(17, abs=0.2)


@pytest.mark.parametrize("step", [250, 1_000, 1_700])
def test_steps_of_output_hardly_move_the_rate(step: int) -> None:
    found = steady(run(rate=1_000, cores=0.5, seconds=24, step=step))
    assert found.rate == pytest.approx(1_000, rel=0.05)


@pytest.mark.parametrize("samples", [[], run(1_000, 1, 0), run(1_000, 1, 12, step=4_000)])
def test_bursts_too_large_for_the_run_give_no_rate(samples: list[Sample]) -> None:
    with pytest.raises(ValueError, match="too large"):
        steady(samples)


def test_spread_is_median_least_and_most() -> None:
    assert spread([3, 1, 2]).text() == "2 (1 – 3)"
    assert spread([1234.5]).text(1) == "1,234.5"


def test_ratios_are_taken_repeat_by_repeat() -> None:
    assert ratios([10, 30, 5], [5, 10]) == [2, 3]


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1)])
def test_percentile_is_the_nearest_rank(share: float, expected: int) -> None:
    assert percentile(range(100, 0, -1), share) == expected


def test_memory_is_read_at_tenths_after_the_warm_up() -> None:
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


def test_median_of_what_a_histogram_gained() -> None:
    before, after = (Scrape.read(HISTOGRAM.format(*counts)) for counts in [(90, 90, 90), (100, 120, 130)])
    gained = after.since(before)
    # Of 40 values 10 are at most 10 ms, 20 more at most 20 ms: the 20th lies halfway into the second bucket.
    assert gained.median("seconds", stage="infer") == pytest.approx(0.015)
    assert math.isnan(gained.median("seconds", stage="none"))
    assert gained.total("seconds_bucket", stage="infer", le="+Inf") == 40
