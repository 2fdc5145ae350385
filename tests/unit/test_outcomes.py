"""The output record of each record of a batch, and the metrics after its confirmation."""

from collections.abc import Sequence

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.classify import Prediction
from stream.errors import Poison, Reason
from stream.observe.metrics import Metrics
from stream.pipeline.outcomes import BatchOutput, OutcomeWriter
from stream.records import DeadLetter, Decoded, Event, LabelEncoder, Tombstone
from stream.routes import Route
from tests.unit.record_path import record_path
from tests.unit.records import SOURCE, FakeRecord, as_read

__all__ = ["record_path"]
pytestmark = pytest.mark.usefixtures("record_path")

ROUTE = Route(name="r", input_topic="texts", output_topic="labels", bundle="b")
NOW_MS = 1_763_632_800_250
GOOD = Prediction(b'"label":"good","score":1.0,"scores":{"good":1.0}', b"")
KINDS = st.lists(st.sampled_from(["labelled", "cached", "poison", "dead", "tombstone"]), max_size=20)


class Setup:
    def __init__(self) -> None:
        self.metrics = Metrics()
        encoder = LabelEncoder(name="b", version="1", digest="sha256:" + "0" * 64, variant="fp32")
        self.writer = OutcomeWriter(ROUTE, "g", encoder, self.metrics, lambda: NOW_MS)

    def write(self, kinds: Sequence[str]) -> BatchOutput:
        """Write a batch of records of these kinds; each key is the record's offset."""
        decoded: list[Decoded] = []
        results: list[Prediction | Poison] = []
        for at, kind in enumerate(kinds):
            record = as_read(
                FakeRecord(b"raw", key=b"%d" % at, headers=(("h", b"1"),), offset=at, timestamp=1000 + at)
            )
            if kind == "tombstone":
                decoded.append(Tombstone(record, f"t-{at}"))
            elif kind == "dead":
                decoded.append(DeadLetter(record, SOURCE, f"t-{at}", Reason.DECODE, "not JSON"))
            else:
                decoded.append(Event(record, f"t-{at}", "hi"))
                results.append(
                    Poison(Reason.MODEL, "failed")
                    if kind == "poison"
                    else GOOD._replace(cached=kind == "cached")
                )
        return self.writer.write(SOURCE, decoded, results)

    def sample(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"labelstream_{name}", {"route": "r", **labels}) or 0


@given(KINDS)
def test_every_record_has_one_output_record_in_offset_order(kinds: list[str]) -> None:
    records = Setup().write(kinds).records
    offsets = {topic: [int(record.key or b"") for record in written] for topic, written in records.items()}
    dead = [at for at, kind in enumerate(kinds) if kind in ("dead", "poison")]
    assert offsets.pop("texts.dead", []) == dead
    assert offsets == {"labels": [at for at in range(len(kinds)) if at not in dead]}
    for written in records.values():
        for record in written:
            assert record.timestamp == 1000 + int(record.key or b"")
            assert record.headers[0] == ("h", b"1")
            assert ("labelstream-id", b"t-%b" % (record.key or b"")) in record.headers
            assert type(record.headers) is list


def test_each_kind_of_outcome_has_its_value_and_headers() -> None:
    records = Setup().write(["labelled", "cached", "tombstone", "dead", "poison"]).records
    inferred, cached, tombstone = (record.value for record in records["labels"])
    assert tombstone is None
    for at, value in enumerate((inferred, cached)):
        label = orjson.loads(value or b"")
        assert (label["label"], label["cached"]) == ("good", bool(at))
        assert label["source"] == {"topic": "texts", "partition": 3, "offset": at}
        assert label["labelled_at"] == "2025-11-20T10:00:00.250Z"
    broken, poisoned = records["texts.dead"]
    assert broken.value == poisoned.value == b"raw"
    assert dict(broken.headers)["labelstream-error-reason"] == b"decode"
    assert dict(poisoned.headers)["labelstream-error-reason"] == b"model"
    assert dict(poisoned.headers)["labelstream-error-message"] == b"failed"


@given(KINDS)
def test_outcomes_are_counted_once_after_the_confirmation(kinds: list[str]) -> None:
    setup = Setup()
    written = setup.write(kinds)
    assert [setup.sample("events_total", outcome=o) for o in ("labelled", "dead", "tombstone")] == [0, 0, 0]
    assert setup.sample("event_age_seconds_count") == 0
    setup.writer.count(written)
    labelled = kinds.count("labelled") + kinds.count("cached")
    dead = kinds.count("dead") + kinds.count("poison")
    assert setup.sample("events_total", outcome="labelled") == labelled
    assert setup.sample("events_total", outcome="dead") == dead
    assert setup.sample("events_total", outcome="tombstone") == kinds.count("tombstone")
    assert setup.sample("dead_letters_total", reason="decode") == kinds.count("dead")
    assert setup.sample("dead_letters_total", reason="model") == kinds.count("poison")
    assert setup.sample("event_age_seconds_count") == labelled


def test_the_age_of_an_event_ends_at_the_confirmation() -> None:
    setup = Setup()
    setup.writer.count(setup.write(["labelled", "dead", "tombstone"]))
    assert setup.sample("event_age_seconds_sum") == pytest.approx((NOW_MS - 1000) / 1000)


@given(KINDS, st.data())
def test_records_that_the_output_topic_refuses_become_dead_letters_in_offset_order(
    kinds: list[str], data: st.DataObject
) -> None:
    setup = Setup()
    written = setup.write(kinds)
    labels = written.records["labels"]
    refused = sorted(data.draw(st.sets(st.sampled_from(range(len(labels))))) if labels else ())
    refused_offsets = {int(labels[at].key or b"") for at in refused}
    dead = setup.writer.reject(written, refused)
    expected = [at for at, kind in enumerate(kinds) if kind in ("dead", "poison") or at in refused_offsets]
    assert [int(record.key or b"") for record in dead["texts.dead"]] == expected
    for record in dead["texts.dead"]:
        headers = dict(record.headers)
        too_large = int(record.key or b"") in refused_offsets
        assert (headers["labelstream-error-reason"] == b"too-large") == too_large
        assert record.value == b"raw"
    setup.writer.count(written)
    kept = [kind for at, kind in enumerate(kinds) if at not in refused_offsets]
    assert setup.sample("events_total", outcome="labelled") == kept.count("labelled") + kept.count("cached")
    assert setup.sample("events_total", outcome="dead") == len(expected)
    assert setup.sample("events_total", outcome="tombstone") == kept.count("tombstone")
    assert setup.sample("dead_letters_total", reason="too-large") == len(refused)
    assert setup.sample("event_age_seconds_count") == kept.count("labelled") + kept.count("cached")
