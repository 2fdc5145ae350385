"""A snapshot agrees with the metrics."""

import orjson

from stream.observe.metrics import Metrics
from stream.routes import Route
from stream.settings import Settings
from stream.web.page.history import History
from stream.web.page.noscript import noscript_html
from stream.web.page.recent import DeadLetterSample, LabelledSample, RecentOutcomes
from stream.web.page.scrape import scrape
from stream.web.page.snapshot import Snapshot, as_json
from stream.web.page.snapshot_builder import PARTITIONS_SHOWN, SnapshotBuilder

NOW_MS = 1_763_632_800_000
HOSTILE = "<img src=x onerror=alert(1)>"
ROUTES = (
    Route(name="mail", input_topic="mail", output_topic="mail.labels", bundle="support"),
    Route(name="chat", input_topic="chat", output_topic="chat.labels", bundle="support"),
)


class Setup:
    def __init__(self, show_texts: bool = False) -> None:
        self.waiting_for: str | None = None
        self.metrics = Metrics()
        self.recent = RecentOutcomes(show_texts=show_texts, clock=lambda: 0.0)
        self.history = History(scrape(self.metrics, 0.0))
        self.builder = SnapshotBuilder(
            Settings(routes=ROUTES, group="g"),
            self.metrics,
            self.history,
            self.recent,
            waiting_for=lambda: self.waiting_for,
            host="box",
            now_ms=lambda: NOW_MS,
        )

    def after(self, seconds: float) -> Snapshot:
        self.history.append(scrape(self.metrics, seconds))
        return self.builder.snapshot()


def test_every_figure_matches_the_metrics() -> None:
    setup = Setup()
    metrics = setup.metrics
    metrics.events.labels("mail", "labelled").inc(70)
    metrics.events.labels("chat", "labelled").inc(20)
    metrics.events.labels("mail", "dead").inc(10)
    metrics.dead_letters.labels("mail", "decode").inc(7)
    metrics.dead_letters.labels("chat", "decode").inc(1)
    metrics.dead_letters.labels("mail", "empty").inc(2)
    metrics.cache_result("local", "hit", 30)
    metrics.cache_result("local", "miss", 60)
    metrics.inferred(rows=40, real_tokens=300, padded_tokens=400)
    metrics.inferred(rows=20, real_tokens=100, padded_tokens=400)
    metrics.queue_events.set(5)
    metrics.queue_bytes.set(900)
    metrics.in_flight_events.set(12)
    metrics.assigned.set(2)
    metrics.lag.labels("mail", "0").set(3)
    metrics.lag.labels("chat", "1").set(4)
    metrics.bundle.labels("mail", "support", "3", "sha256:0", "int8", "CPUExecutionProvider").set(1)
    metrics.bundle.labels("chat", "support", "4", "sha256:1", "fp32", "CPUExecutionProvider").set(1)
    snapshot = setup.after(10.0)
    assert snapshot.outcomes == {"labelled": 90, "dead": 10}
    assert (snapshot.per_s, snapshot.throughput) == (10.0, [10.0])
    assert snapshot.dead_reasons == {"decode": 8, "empty": 2}
    assert ("local", 30, 90, 30 / 90) in [(t.tier, t.hits, t.lookups, t.ratio) for t in snapshot.cache]
    assert (snapshot.batches.per_s, snapshot.batches.rows, snapshot.batches.fill) == (0.2, 30, 0.5)
    assert (snapshot.queue_events, snapshot.queue_bytes, snapshot.in_flight_events) == (5, 900, 12)
    assert [(lag.topic, lag.partition, lag.events) for lag in snapshot.lag] == [
        ("chat", 1, 4),
        ("mail", 0, 3),
    ]
    assert snapshot.lag_total == 7
    assert [(r.name, r.bundle, r.variant, r.provider) for r in snapshot.routes] == [
        ("mail", "support@3", "int8", "CPU"),
        ("chat", "support@4", "fp32", "CPU"),
    ]
    assert snapshot.state.name == "keeping up"


def test_cache_and_batches_cover_the_last_minute() -> None:
    setup = Setup()
    setup.metrics.cache_result("redis", "miss", 50)
    setup.metrics.inferred(rows=1, real_tokens=1, padded_tokens=1)
    setup.after(10.0)
    setup.metrics.cache_result("redis", "hit", 30)
    setup.metrics.cache_result("redis", "error", 10)
    (tier,) = (entry for entry in setup.after(70.0).cache if entry.tier == "redis")
    assert (tier.hits, tier.lookups, tier.ratio) == (30, 40, 0.75)
    assert (tier.hits_total, tier.lookups_total) == (30, 90)
    assert setup.after(71.0).batches.rows is None


def test_only_the_partitions_with_the_largest_lag_are_kept() -> None:
    setup = Setup()
    for partition in range(PARTITIONS_SHOWN + 5):
        setup.metrics.lag.labels("mail", str(partition)).set(partition)
    snapshot = setup.after(1.0)
    assert [lag.partition for lag in snapshot.lag] == [*range(5, PARTITIONS_SHOWN + 5)]
    assert snapshot.lag_more == 5


def test_the_lag_is_current_although_the_scrape_is_older() -> None:
    setup = Setup()
    setup.metrics.assigned.set(1)
    setup.after(1.0)
    setup.metrics.lag.labels("mail", "0").set(3)
    snapshot = setup.builder.snapshot()
    assert (snapshot.lag_total, snapshot.lag[0].events, snapshot.blocked_total) == (3, 3, 0)
    assert "3 events are waiting" in snapshot.state.reason


def test_events_behind_open_transactions_are_no_lag_and_are_counted() -> None:
    setup = Setup()
    setup.metrics.blocked.labels("mail", "0").set(500)
    setup.metrics.blocked.labels("mail", "1").set(7)
    snapshot = setup.after(1.0)
    assert (snapshot.lag_total, snapshot.blocked_total) == (0, 507)


def test_the_state_names_what_is_missing_until_the_worker_is_ready() -> None:
    setup = Setup()
    setup.waiting_for = "the model to load"
    state = setup.after(1.0).state
    assert (state.name, state.reason) == ("not ready", "Waiting for the model to load.")
    setup.waiting_for = None
    assert setup.after(2.0).state.name == "standby"


def test_a_snapshot_is_one_line_of_json_with_objects_for_its_parts() -> None:
    setup = Setup(show_texts=True)
    setup.recent.add_labelled(
        LabelledSample("mail", "mail", 0, 7, HOSTILE, HOSTILE, 0.5, 20, 4, "a\n\ndata: b"), [HOSTILE]
    )
    setup.recent.add_dead_letter(DeadLetterSample("mail", "mail", 0, 8, "empty", NOW_MS))
    encoded = as_json(setup.after(1.0))
    assert b"\n" not in encoded
    read_back = orjson.loads(encoded)
    assert read_back["events"][0]["id"] == HOSTILE
    assert read_back["events"][0]["text"] == "a\n\ndata: b"
    assert read_back["dead"][0]["reason"] == "empty"
    assert read_back["routes"][0]["label_counts"] == {"sampled": 1, "counts": [[HOSTILE, 1]], "others": 0}
    assert read_back["durations"]["infer"] == {"observed": 0, "p50": None, "p95": None, "p99": None}


def test_the_noscript_html_is_escaped() -> None:
    setup = Setup()
    setup.metrics.bundle.labels("mail", HOSTILE, "3", "d", "int8", "CPUExecutionProvider").set(1)
    html = noscript_html(setup.after(1.0))
    assert "<img" not in html
    assert "&lt;img src=x" in html
