"""Every record of a route with several output topics has one outcome, in the right topic and order."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.classify import Prediction
from stream.errors import Poison, Reason
from stream.observe.metrics import OUTCOMES, Metrics
from stream.pipeline.batch_output import BatchOutput
from stream.pipeline.outcomes import OutcomeWriter
from stream.records import DeadLetter, Decoded, Event, LabelEncoder, Outgoing, Tombstone
from stream.routes import Route
from tests.unit.record_path import record_path
from tests.unit.records import SOURCE, FakeRecord, as_read

__all__ = ["record_path"]
pytestmark = pytest.mark.usefixtures("record_path")

TOPICS = ("labels.a", "labels.b", "review")
ROUTE = Route(
    name="r", input_topic="texts", output_topic="labels.{label}", review_topic="review", bundle="b"
).with_label_topics(TOPICS[:2])
KINDS = st.lists(st.sampled_from([*TOPICS, "dropped", "poison", "dead", "tombstone"]), max_size=20)


class FakeChooser:
    """Chooses the topic that a prediction holds."""

    def choose(self, predictions: Sequence[Prediction]) -> list[str | None]:
        return [prediction.stored.decode() or None for prediction in predictions]


class Setup:
    def __init__(self) -> None:
        self.metrics = Metrics()
        encoder = LabelEncoder(name="b", version="1", digest="sha256:" + "0" * 64, variant="fp32")
        chooser: Any = FakeChooser()
        self.writer = OutcomeWriter(ROUTE, "g", encoder, self.metrics, lambda: 2_000, chooser=chooser)

    def write(self, kinds: Sequence[str]) -> BatchOutput:
        """Write a batch of records of these kinds; each key is the record's offset."""
        decoded: list[Decoded] = []
        results: list[Prediction | Poison] = []
        for at, kind in enumerate(kinds):
            record = as_read(FakeRecord(b"raw", key=b"%d" % at, offset=at, timestamp=1000 + at))
            if kind == "tombstone":
                decoded.append(Tombstone(record, f"t-{at}"))
            elif kind == "dead":
                decoded.append(DeadLetter(record, SOURCE, f"t-{at}", Reason.DECODE, "not JSON"))
            else:
                decoded.append(Event(record, f"t-{at}", "hi"))
                topic = b"" if kind == "dropped" else kind.encode()
                good = Prediction(b'"label":"good"', topic)
                results.append(Poison(Reason.MODEL, "failed") if kind == "poison" else good)
        return self.writer.write(SOURCE, decoded, results)

    def counted(self, outcome: str) -> float:
        labels = {"route": "r", "outcome": outcome}
        return self.metrics.registry.get_sample_value("labelstream_events_total", labels) or 0


def offsets(records: Sequence[Outgoing]) -> list[int]:
    return [int(record.key or b"") for record in records]


def of_kinds(kinds: Sequence[str], *wanted: str) -> list[int]:
    return [at for at, kind in enumerate(kinds) if kind in wanted]


@given(KINDS)
def test_each_topic_has_its_label_events_and_all_tombstones_in_offset_order(kinds: list[str]) -> None:
    written = Setup().write(kinds).records
    for topic in TOPICS:
        assert offsets(written.get(topic, [])) == of_kinds(kinds, topic, "tombstone")
    assert offsets(written.get("texts.dead", [])) == of_kinds(kinds, "dead", "poison")
    assert written.keys() <= {*TOPICS, "texts.dead"}


@given(KINDS)
def test_every_record_is_counted_with_one_outcome(kinds: list[str]) -> None:
    setup = Setup()
    setup.writer.count(setup.write(kinds))
    assert {outcome: setup.counted(outcome) for outcome in OUTCOMES} == {
        "labelled": len(of_kinds(kinds, *TOPICS)),
        "dead": len(of_kinds(kinds, "dead", "poison")),
        "tombstone": kinds.count("tombstone"),
        "dropped": kinds.count("dropped"),
    }


@given(KINDS, st.data())
def test_a_record_that_one_of_its_topics_refuses_becomes_one_dead_letter(
    kinds: list[str], data: st.DataObject
) -> None:
    setup = Setup()
    output = setup.write(kinds)
    written = dict(output.records)
    refused = {
        topic: sorted(data.draw(st.sets(st.integers(0, len(written[topic]) - 1))))
        for topic in TOPICS
        if topic in written
    }
    refused = {topic: indices for topic, indices in refused.items() if indices}
    lost = {offsets(written[topic])[at] for topic, indices in refused.items() for at in indices}
    dead = setup.writer.reject(output, refused)
    expected = sorted({*of_kinds(kinds, "dead", "poison"), *lost})
    assert dead.keys() == {"texts.dead"}
    assert offsets(dead["texts.dead"]) == expected
    for record in dead["texts.dead"]:
        too_large = dict(record.headers)["labelstream-error-reason"] == b"too-large"
        assert too_large == (int(record.key or b"") in lost)
    for topic in TOPICS:
        kept = [at for at in of_kinds(kinds, topic, "tombstone") if at not in lost]
        assert offsets(output.records.get(topic, [])) == kept
    setup.writer.count(output)
    assert sum(setup.counted(outcome) for outcome in OUTCOMES) == len(kinds)
    assert setup.counted("dead") == len(expected)
    assert setup.counted("dropped") == kinds.count("dropped")


def test_a_batch_of_dropped_events_has_no_output() -> None:
    setup = Setup()
    output = setup.write(["dropped"] * 3)
    assert output.records == {}
    assert setup.writer.reject(output, {}) == {"texts.dead": []}
    setup.writer.count(output)
    assert setup.counted("dropped") == 3
