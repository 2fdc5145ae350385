"""Rates, percentiles and progress out of readings, with a clock of the test's own."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.observe.metrics import SECONDS, Metrics
from stream.observe.quantile import quantile
from stream.web.page.history import History
from stream.web.page.readings import AGE, Reading, read


def reading(at_s: float, finished: float = 0, lag: float = 0) -> Reading:
    return Reading(at_s, {"labelled": finished}, lag, {}, {}, 0, 0, 0)


def history(*readings: Reading, kept: int = 301) -> History:
    made = History(readings[0], kept)
    for one in readings[1:]:
        made.note(one)
    return made


def test_rates_follow_the_clock_and_not_the_number_of_readings() -> None:
    made = history(reading(0), reading(1, 10), reading(3, 50), reading(3.5, 50))
    assert made.line() == [10, 20, 0]
    assert made.per_s(0.5) == 0
    assert made.per_s(60) == pytest.approx(50 / 3.5)


def test_only_so_many_readings_are_kept() -> None:
    made = history(*(reading(at, at * at) for at in range(10)), kept=4)
    assert made.line() == [13, 15, 17]
    assert made.before(100).at_s == 6


def test_an_interval_begins_at_the_last_reading_that_is_old_enough() -> None:
    made = history(reading(0), reading(1), reading(2.5), reading(4))
    assert made.before(1.5).at_s == 2.5
    assert made.before(1.6).at_s == 1
    assert made.before(0).at_s == 4


def test_a_worker_is_stuck_while_events_wait_and_none_is_finished() -> None:
    assert history(reading(0, 1, 0), reading(1, 1, 5), reading(4, 1, 5)).stuck_s() == 3
    assert history(reading(0, 1, 5), reading(1, 2, 5), reading(4, 2, 5)).stuck_s() == 3
    assert history(reading(0, 1, 5), reading(4, 2, 5)).stuck_s() == 0
    assert history(reading(0, 1, 5), reading(4, 1, 0)).stuck_s() == 0


def test_percentiles_are_of_what_was_observed_within_the_window() -> None:
    metrics = Metrics()
    infer = metrics.stage.labels("infer")
    for _ in range(100):
        infer.observe(20)
    made = history(read(metrics, 0))
    for _ in range(100):
        infer.observe(0.02)
    metrics.event_age.observe("a", np.array([1_000] * 3), 1_030)
    metrics.event_age.observe("b", np.array([1_000]), 200_000)
    made.note(read(metrics, 60))
    found = made.percentiles((AGE, "infer", "commit"))
    assert found["infer"].observed == 100
    assert 0.01 < (found["infer"].p50 or 0) < (found["infer"].p99 or 0) <= 0.025
    assert found[AGE].observed == 4, "routes are counted together"
    assert 0.025 < (found[AGE].p50 or 0) <= 0.05
    assert found[AGE].p99 is None, "beyond the last bound there is no number"
    assert (found["commit"].observed, found["commit"].p50) == (0, None)


@settings(deadline=None)
@given(st.lists(st.floats(0.0001, 59.9), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(values: Sequence[float], share: float) -> None:
    cumulated = [float(sum(value <= bound for value in values)) for bound in (*SECONDS, np.inf)]
    true = float(np.quantile(values, share, method="inverted_cdf"))
    upper = next(bound for bound in SECONDS if true <= bound)
    lower = max((bound for bound in SECONDS if bound < true), default=0)
    found = quantile(cumulated, share, SECONDS)
    assert found is not None
    assert lower <= found <= upper * (1 + 1e-9)
