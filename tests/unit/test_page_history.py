"""Rates, percentiles and progress from scrapes, with times that the test sets."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.observe.metrics import SECONDS, Metrics
from stream.observe.quantile import quantile
from stream.web.page.history import History
from stream.web.page.scrape import AGE, Scrape, scrape


def scraped(at_s: float, finished: float = 0, lag: float = 0) -> Scrape:
    return Scrape(at_s, {"labelled": finished}, lag, {}, {}, 0, 0, 0)


def history(*scrapes: Scrape, max_scrapes: int = 301) -> History:
    recorded = History(scrapes[0], max_scrapes)
    for later in scrapes[1:]:
        recorded.append(later)
    return recorded


def test_rates_depend_on_the_clock_and_not_on_the_number_of_scrapes() -> None:
    recorded = history(scraped(0), scraped(1, 10), scraped(3, 50), scraped(3.5, 50))
    assert recorded.throughput() == [10, 20, 0]
    assert recorded.per_s(0.5) == 0
    assert recorded.per_s(60) == pytest.approx(50 / 3.5)


def test_the_number_of_scrapes_is_bounded() -> None:
    recorded = history(*(scraped(at, at * at) for at in range(10)), max_scrapes=4)
    assert recorded.throughput() == [13, 15, 17]
    assert recorded.before(100).at_s == 6


def test_an_interval_begins_at_the_latest_scrape_that_is_old_enough() -> None:
    recorded = history(scraped(0), scraped(1), scraped(2.5), scraped(4))
    assert recorded.before(1.5).at_s == 2.5
    assert recorded.before(1.6).at_s == 1
    assert recorded.before(0).at_s == 4


def test_a_worker_is_stuck_while_events_wait_and_none_is_finished() -> None:
    assert history(scraped(0, 1, 0), scraped(1, 1, 5), scraped(4, 1, 5)).stuck_s() == 3
    assert history(scraped(0, 1, 5), scraped(1, 2, 5), scraped(4, 2, 5)).stuck_s() == 3
    assert history(scraped(0, 1, 5), scraped(4, 2, 5)).stuck_s() == 0
    assert history(scraped(0, 1, 5), scraped(4, 1, 0)).stuck_s() == 0


def test_percentiles_cover_the_observations_within_the_window() -> None:
    metrics = Metrics()
    infer = metrics.stage.labels("infer")
    for _ in range(100):
        infer.observe(20)
    recorded = history(scrape(metrics, 0))
    for _ in range(100):
        infer.observe(0.02)
    metrics.event_age.observe("a", np.array([1_000] * 3), 1_030)
    metrics.event_age.observe("b", np.array([1_000]), 200_000)
    recorded.append(scrape(metrics, 60))
    percentiles = recorded.percentiles((AGE, "infer", "commit"))
    assert percentiles["infer"].observed == 100
    assert 0.01 < (percentiles["infer"].p50 or 0) < (percentiles["infer"].p99 or 0) <= 0.025
    assert percentiles[AGE].observed == 4, "routes are counted together"
    assert 0.025 < (percentiles[AGE].p50 or 0) <= 0.05
    assert percentiles[AGE].p99 is None, "beyond the last bound there is no number"
    assert (percentiles["commit"].observed, percentiles["commit"].p50) == (0, None)


@settings(deadline=None)
@given(st.lists(st.floats(0.0001, 59.9), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(values: Sequence[float], share: float) -> None:
    cumulated = [float(sum(value <= bound for value in values)) for bound in (*SECONDS, np.inf)]
    exact = float(np.quantile(values, share, method="inverted_cdf"))
    upper = next(bound for bound in SECONDS if exact <= bound)
    lower = max((bound for bound in SECONDS if bound < exact), default=0)
    estimate = quantile(cumulated, share, SECONDS)
    assert estimate is not None
    assert lower <= estimate <= upper * (1 + 1e-9)
