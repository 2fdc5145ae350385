"""The worker's metrics, and ages observed a batch at a time."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from stream.errors import Reason
from stream.observe.metrics import SECONDS, AgeHistogram, Metrics

NAME = "labelstream_event_age_seconds"
NOW = 1_763_632_800_000
EDGES = st.sampled_from([NOW - round(edge * 1000) for edge in SECONDS])
BATCHES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]), st.lists(EDGES | st.integers(NOW - 100_000, NOW + 1000), max_size=20)
    ),
    max_size=8,
)


def samples(registry: CollectorRegistry) -> dict[tuple[str, str, str], float]:
    """Return every sample of the histogram except its creation time."""
    return {
        (sample.name, sample.labels["route"], sample.labels.get("le", "")): sample.value
        for family in registry.collect()
        if family.name == NAME
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


@given(BATCHES)
def test_buckets_and_sums_equal_those_of_a_plain_histogram(batches: list[tuple[str, list[int]]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    ages = AgeHistogram(ours)
    plain = Histogram(NAME, "", ["route"], registry=theirs, buckets=SECONDS)
    for route, timestamps in batches:
        ages.observe(route, np.array(timestamps, dtype=np.int64), NOW)
        for timestamp in timestamps:
            plain.labels(route).observe(max(NOW - timestamp, 0) / 1000)
    actual, expected = samples(ours), samples(theirs)
    assert actual.keys() == expected.keys()
    for key, value in expected.items():
        assert abs(actual[key] - value) < 1e-6, key


def test_ages_are_exposed_as_a_histogram() -> None:
    metrics = Metrics()
    metrics.event_age.observe("r", np.array([NOW - 300, NOW - 20]), NOW)
    families = {f.name: f for f in text_string_to_metric_families(metrics.exposition()[0].decode())}
    assert families[NAME].type == "histogram"
    buckets = {s.labels["le"]: s.value for s in families[NAME].samples if s.name == f"{NAME}_bucket"}
    assert [buckets[le] for le in ("0.01", "0.025", "0.25", "0.5", "60.0", "+Inf")] == [0, 1, 1, 2, 2, 2]


def series(metrics: Metrics) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    return {
        (sample.name, frozenset(sample.labels.items()))
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name.startswith("labelstream_")
    }


def test_series_of_known_labels_start_at_zero() -> None:
    metrics = Metrics()
    metrics.register_route("r")
    metrics.register_redis()
    metrics.register_partitions([("texts", 3)])
    value = metrics.registry.get_sample_value
    expected = [
        *[
            ("events_total", {"route": "r", "outcome": o})
            for o in ("labelled", "dead", "tombstone", "dropped")
        ],
        *[("dead_letters_total", {"route": "r", "reason": reason.value}) for reason in Reason],
        ("events_in_total", {"route": "r"}),
        ("dead_letters_truncated_total", {"route": "r"}),
        ("event_age_seconds_count", {"route": "r"}),
        *[("commits_total", {"result": r}) for r in ("done", "failed")],
        *[
            ("retries_total", {"what": w})
            for w in ("publish", "commit", "topics", "broker", "redis", "registry")
        ],
        *[("cache_requests_total", {"tier": "local", "result": r}) for r in ("hit", "miss")],
        *[
            ("cache_requests_total", {"tier": "redis", "result": r})
            for r in ("hit", "miss", "invalid", "error")
        ],
        ("offsets_skipped_total", {"topic": "texts", "partition": "3"}),
        ("redis_up", {}),
        *[("redis_paused", {"operation": o}) for o in ("read", "write")],
        ("ready", {}),
    ]
    for name, labels in expected:
        assert value(f"labelstream_{name}", labels) == 0, (name, labels)


def test_redis_metrics_are_absent_without_redis() -> None:
    assert b"redis_up" not in Metrics().exposition()[0]
    assert b'tier="redis"' not in Metrics().exposition()[0]


def test_durations_from_a_millisecond_to_a_minute_have_buckets() -> None:
    assert SECONDS[0] == 0.001
    assert SECONDS[-1] == 60
    assert all(low < high <= 3 * low for low, high in pairwise(SECONDS))


def test_openmetrics_is_served_when_the_client_accepts_it() -> None:
    metrics = Metrics()
    metrics.register_route("r")
    metrics.register_redis()
    metrics.build.labels("1").set(1)
    accept = "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5"
    body, content_type = metrics.exposition(accept)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in openmetrics(body.decode())}
    assert families["labelstream_retries"].type == "counter"
    assert families[NAME].type == "histogram"
    assert metrics.exposition("text/html")[1].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text;version=zz",
        "application/openmetrics-text;version=1.x.0;escaping=odd",
        "text/plain;version=\udcff",
    ],
)
def test_a_version_that_is_no_number_gets_the_text_format(accept: str) -> None:
    assert Metrics().exposition(accept)[1].startswith("text/plain; version=0.0.4")
