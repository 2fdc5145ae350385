"""One log line per interval with the increases since the last one, and none while the worker is idle."""

import math
from collections.abc import MutableMapping
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from stream.observe.metrics import Metrics
from stream.observe.summary import IntervalSummary, Samples

Line = MutableMapping[str, Any]


class Setup:
    def __init__(self, *routes: str) -> None:
        self.metrics = Metrics()
        for route in routes:
            self.metrics.register_route(route)
        self.now = 0.0
        self.summary = IntervalSummary(self.metrics.registry, lambda: self.now)

    def after(self, seconds: float) -> list[Line]:
        self.now += seconds
        with capture_logs() as lines:
            self.summary.log_interval()
        return lines

    def label(self, route: str, events: int) -> None:
        self.metrics.events_in.labels(route).inc(events)
        self.metrics.events.labels(route, "labelled").inc(events)


def test_a_line_has_the_increases_of_the_interval() -> None:
    setup = Setup("r")
    setup.label("r", 40)
    assert setup.after(10)[0]["events"] == {"labelled": 40}
    metrics = setup.metrics
    setup.label("r", 90)
    metrics.events.labels("r", "dead").inc(10)
    metrics.dead_letters.labels("r", "decode").inc(10)
    metrics.inferred(8, 60, 80)
    metrics.inferred(4, 15, 20)
    metrics.cache_result("local", "hit", 30)
    metrics.cache_result("local", "miss", 10)
    metrics.event_age.observe("r", np.zeros(100, dtype=np.int64), 2_000)
    metrics.stage.labels("infer").observe(0.004)
    metrics.retried("publish")
    metrics.lag.labels("texts", "0").set(5)
    metrics.lag.labels("texts", "1").set(7)
    metrics.in_flight_events.set(3)
    metrics.queue_events.set(2)
    metrics.assigned.set(2)
    (line,) = setup.after(20)
    assert (line["event"], line["log_level"]) == ("interval", "info")
    assert {name: line[name] for name in ("seconds", "events_in", "events_per_s", "batches", "rows")} == {
        "seconds": 20,
        "events_in": 90,
        "events_per_s": 5,
        "batches": 2,
        "rows": 12,
    }
    assert line["events"] == {"labelled": 90, "dead": 10}
    assert line["dead_letters"] == {"decode": 10}
    assert line["fill_ratio"] == 0.75
    assert line["cache_hit_ratio"] == {"local": 0.75}
    assert all(1 < line["age_s"][name] <= 2.5 for name in ("p50", "p95", "p99"))
    assert line["stages_ms"].keys() == {"infer"}
    assert 2.5 < line["stages_ms"]["infer"]["p50"] <= 5
    assert line["retries"] == {"publish": 1}
    assert (line["lag"], line["in_flight"], line["queued"], line["partitions"]) == (12, 3, 2, 2)
    assert "labelled" not in line, "a single route is not listed"


def test_several_routes_are_listed() -> None:
    setup = Setup("mail", "chat")
    setup.label("chat", 3)
    assert setup.after(1)[0]["labelled"] == {"chat": 3, "mail": 0}


def test_idle_is_logged_once() -> None:
    setup = Setup("r")
    events = [[line["event"] for line in setup.after(60)] for _ in range(3)]
    assert events == [["idle"], [], []]
    setup.label("r", 1)
    assert [line["event"] for line in setup.after(60)] == ["interval"]
    assert [line["event"] for line in setup.after(60)] == ["idle"]


def test_a_worker_with_waiting_events_is_not_idle() -> None:
    setup = Setup("r")
    setup.metrics.lag.labels("texts", "0").set(5)
    assert [line["event"] for _ in range(2) for line in setup.after(60)] == ["interval", "interval"]


def test_the_final_line_covers_the_time_since_the_last_interval() -> None:
    setup = Setup("r")
    setup.label("r", 5)
    setup.after(60)
    setup.label("r", 2)
    setup.now += 1
    with capture_logs() as lines:
        setup.summary.log_final()
        setup.summary.log_final()
    (line,) = lines
    assert line["last"] is True
    assert line["events"] == {"labelled": 2}


@pytest.mark.parametrize(("share", "expected"), [(0.25, 0.0175), (0.5, 0.025), (0.75, 0.0375), (1.0, 0.05)])
def test_quantiles_are_interpolated_within_their_bucket(share: float, expected: float) -> None:
    metrics = Metrics()
    for seconds in (0.02, 0.02, 0.03, 0.04):
        metrics.stage.labels("infer").observe(seconds)
    samples = Samples.read(metrics.registry)
    assert samples.quantile("stage_duration_seconds", share, stage="infer") == pytest.approx(expected)


def test_a_quantile_beyond_the_last_bound_is_that_bound() -> None:
    metrics = Metrics()
    metrics.stage.labels("infer").observe(500)
    samples = Samples.read(metrics.registry)
    assert samples.quantile("stage_duration_seconds", 0.5, stage="infer") == 60
    assert math.isnan(samples.quantile("stage_duration_seconds", 0.5, stage="decode"))
