"""A snapshot says what the metrics say."""

import orjson

from stream.observe.metrics import Metrics
from stream.settings import Route, Settings
from stream.web.page.composer import PARTITIONS_SHOWN, Composer
from stream.web.page.first_look import first_look
from stream.web.page.history import History
from stream.web.page.readings import read
from stream.web.page.recent import DeadLetterSample, Labelled, Recent
from stream.web.page.snapshot import Snapshot, as_json

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
        self.recent = Recent(show_texts=show_texts, clock=lambda: 0.0)
        self.history = History(read(self.metrics, 0.0))
        self.composer = Composer(
            Settings(routes=ROUTES, group="g"),
            self.metrics,
            self.history,
            self.recent,
            waiting_for=lambda: self.waiting_for,
            host="box",
            now_ms=lambda: NOW_MS,
        )

    def after(self, seconds: float) -> Snapshot:
        self.history.note(read(self.metrics, seconds))
        return self.composer.snapshot()


def test_every_figure_is_the_metrics() -> None:
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
    found = setup.after(10.0)
    assert found.outcomes == {"labelled": 90, "dead": 10}
    assert (found.per_s, found.line) == (10.0, [10.0])
    assert found.dead_reasons == {"decode": 8, "empty": 2}
    assert ("local", 30, 90, 30 / 90) in [(t.tier, t.hits, t.lookups, t.ratio) for t in found.cache]
    assert (found.batches.per_s, found.batches.rows, found.batches.fill) == (0.2, 30, 0.5)
    assert (found.queue_events, found.queue_bytes, found.in_flight_events) == (5, 900, 12)
    assert [(lag.topic, lag.partition, lag.events) for lag in found.lag] == [("chat", 1, 4), ("mail", 0, 3)]
    assert found.lag_total == 7
    assert [(r.name, r.bundle, r.variant, r.provider) for r in found.routes] == [
        ("mail", "support@3", "int8", "CPU"),
        ("chat", "support@4", "fp32", "CPU"),
    ]
    assert found.standing.state == "keeping up"


def test_cache_and_batches_are_of_the_last_minute() -> None:
    setup = Setup()
    setup.metrics.cache_result("redis", "miss", 50)
    setup.metrics.inferred(rows=1, real_tokens=1, padded_tokens=1)
    setup.after(10.0)
    setup.metrics.cache_result("redis", "hit", 30)
    setup.metrics.cache_result("redis", "error", 10)
    (tier,) = (found for found in setup.after(70.0).cache if found.tier == "redis")
    assert (tier.hits, tier.lookups, tier.ratio) == (30, 40, 0.75)
    assert (tier.hits_total, tier.lookups_total) == (30, 90)
    assert setup.after(71.0).batches.rows is None


def test_partitions_are_bounded_and_those_with_most_waiting_stay() -> None:
    setup = Setup()
    for partition in range(PARTITIONS_SHOWN + 5):
        setup.metrics.lag.labels("mail", str(partition)).set(partition)
    found = setup.after(1.0)
    assert [lag.partition for lag in found.lag] == [*range(5, PARTITIONS_SHOWN + 5)]
    assert found.lag_more == 5


def test_what_waits_is_the_same_everywhere_though_the_reading_is_older() -> None:
    setup = Setup()
    setup.metrics.assigned.set(1)
    setup.after(1.0)
    setup.metrics.lag.labels("mail", "0").set(3)
    found = setup.composer.snapshot()
    assert (found.lag_total, found.lag[0].events) == (3, 3)
    assert "3 events are waiting" in found.standing.reason


def test_what_a_worker_waits_for_is_told_until_it_is_ready() -> None:
    setup = Setup()
    setup.waiting_for = "the model to load"
    standing = setup.after(1.0).standing
    assert (standing.state, standing.reason) == ("not ready", "Waiting for the model to load.")
    setup.waiting_for = None
    assert setup.after(2.0).standing.state == "standing by"


def test_a_snapshot_is_one_line_of_json_with_objects_for_its_parts() -> None:
    setup = Setup(show_texts=True)
    setup.recent.labelled(
        Labelled("mail", "mail", 0, 7, HOSTILE, HOSTILE, 0.5, 20, 4, "a\n\ndata: b"), [HOSTILE]
    )
    setup.recent.dead_letters(DeadLetterSample("mail", "mail", 0, 8, "empty", NOW_MS))
    encoded = as_json(setup.after(1.0))
    assert b"\n" not in encoded
    read_back = orjson.loads(encoded)
    assert read_back["events"][0]["id"] == HOSTILE
    assert read_back["events"][0]["text"] == "a\n\ndata: b"
    assert read_back["dead"][0]["reason"] == "empty"
    assert read_back["routes"][0]["tally"] == {"sampled": 1, "counts": [[HOSTILE, 1]], "others": 0}
    assert read_back["durations"]["infer"] == {"observed": 0, "p50": None, "p95": None, "p99": None}


def test_the_first_look_is_escaped() -> None:
    setup = Setup()
    setup.metrics.bundle.labels("mail", HOSTILE, "3", "d", "int8", "CPUExecutionProvider").set(1)
    html = first_look(setup.after(1.0))
    assert "<img" not in html
    assert "&lt;img src=x" in html
