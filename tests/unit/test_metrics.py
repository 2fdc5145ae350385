"""Ages counted by the batch are what `prometheus_client` counts one by one."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.parser import text_string_to_metric_families

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
    """Every sample of the histogram but the moment it was made."""
    return {
        (sample.name, sample.labels["route"], sample.labels.get("le", "")): sample.value
        for family in registry.collect()
        if family.name == NAME
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


@given(BATCHES)
def test_buckets_and_sums_are_those_of_a_plain_histogram(batches: list[tuple[str, list[int]]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    ages = AgeHistogram(ours)
    plain = Histogram(NAME, "", ["route"], registry=theirs, buckets=SECONDS)
    for route, timestamps in batches:
        ages.observe(route, timestamps, NOW)
        for timestamp in timestamps:
            plain.labels(route).observe(max(NOW - timestamp, 0) / 1000)
    found, wanted = samples(ours), samples(theirs)
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        assert abs(found[key] - value) < 1e-6, key


def test_the_ages_are_exposed_under_their_name_and_type() -> None:
    metrics = Metrics()
    metrics.event_age.observe("r", [NOW - 300, NOW - 20], NOW)
    families = {f.name: f for f in text_string_to_metric_families(metrics.exposition().decode())}
    assert families[NAME].type == "histogram"
    buckets = {s.labels["le"]: s.value for s in families[NAME].samples if s.name == f"{NAME}_bucket"}
    assert [buckets[le] for le in ("0.01", "0.025", "0.25", "0.5", "60.0", "+Inf")] == [0, 1, 1, 2, 2, 2]
