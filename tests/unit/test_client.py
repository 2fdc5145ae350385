"""The clients without a broker: typed label events, duplicates, refused settings."""

import subprocess
import sys
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from stream.client import (
    Classification,
    LabelClient,
    LabelEvent,
    Reason,
    RowError,
    SyncLabelClient,
    TextSpan,
    Tombstone,
    UnreadableRecord,
    UsageError,
)
from stream.client.duplicates import DuplicateDetector, SeenOffsets
from stream.client.label_events import Position, correlation_id, read_label_event, read_reply
from stream.errors import LabelstreamError
from tests.unit.records import FakeRecord

LABEL: dict[str, Any] = {
    "id": "t-1",
    "label": "billing",
    "score": 0.9,
    "scores": {"billing": 0.9},
    "model": {"name": "support", "version": "1", "digest": "sha256:0", "variant": "fp32"},
    "cached": False,
    "source": {"topic": "texts", "partition": 1, "offset": 7},
    "time": "2026-11-20T10:00:00Z",
    "labelled_at": "2026-11-20T10:00:01Z",
    "later": "ignored",
}


PARTITION = TopicPartition("labels", 0)


def record(value: bytes | None, *headers: tuple[str, bytes]) -> FakeRecord:
    return FakeRecord(value, b"k", headers, offset=3)


def read(value: Any, label_field: str = "") -> Any:
    data = value if isinstance(value, bytes) or value is None else orjson.dumps(value)
    return read_label_event(record(data), PARTITION, label_field)


def test_a_label_event_is_typed() -> None:
    event = read(LABEL | {"event": {"text": "hi"}})
    assert isinstance(event, LabelEvent)
    assert (event.id, event.prediction.label, event.prediction.score) == ("t-1", "billing", 0.9)
    assert event.source == ("texts", 1, 7)
    assert (event.position, event.key, event.event) == (("labels", 0, 3), b"k", {"text": "hi"})
    assert not event.duplicate


def test_every_head_has_its_attributes() -> None:
    base = {name: value for name, value in LABEL.items() if name not in ("label", "score", "scores")}
    spans = [{"type": "PER", "start": 0, "end": 4, "text": "Anna", "score": 0.5, "later": 1}]
    assert read(base | {"spans": spans}).prediction.spans == (TextSpan("PER", 0, 4, "Anna", 0.5),)
    assert read(base | {"labels": ["a"], "scores": {"a": 0.5}}).prediction.labels == ("a",)
    assert read(base | {"value": 1.5}).prediction.value == 1.5
    abstained = read(base | {"label": None, "abstained": True, "scores": {"a": 0.5}}).prediction
    assert (abstained.label, abstained.abstained) == (None, True)


def test_label_events_in_other_forms_are_read() -> None:
    envelope = {"specversion": "1.0", "id": "x", "data": LABEL}
    assert read(envelope).id == "t-1"
    assert read({"text": "hi", "mood": LABEL}, "mood").id == "t-1"
    assert read({"specversion": "1.0", "data": {"text": "hi", "mood": LABEL}}, "mood").id == "t-1"


@pytest.mark.parametrize(
    "value", [b"", b"{", b"[]", b"7", b"{}", b'{"id": "t"}', orjson.dumps(LABEL | {"source": 7}), b"\xff"]
)
@pytest.mark.parametrize("label_field", ["", "mood"])
def test_any_other_value_is_unreadable_and_kept(value: bytes, label_field: str) -> None:
    found = read(value, label_field)
    assert isinstance(found, UnreadableRecord)
    assert (found.value, found.position) == (value, ("labels", 0, 3))
    assert "not a label event" in found.error


@pytest.mark.parametrize(
    "members",
    [
        {"source": {"topic": "texts", "partition": "1", "offset": 7}},
        {"source": {"topic": "texts", "partition": 1, "offset": [7]}},
        {"source": {"topic": None, "partition": 1, "offset": 7}},
        {"source": {"topic": "texts", "partition": 1, "offset": True}},
        {"id": 7},
        {"model": "support"},
        {"event": []},
        {"label": {"a": 1}},
        {"score": "high"},
        {"scores": ["a"]},
        {"labels": "a"},
        {"spans": [1]},
        {"abstained": "no"},
        {"cached": None},
    ],
)
def test_members_of_other_types_are_unreadable(members: dict[str, Any]) -> None:
    found = read(LABEL | members)
    assert isinstance(found, UnreadableRecord)
    assert found.position == ("labels", 0, 3)


def test_a_damaged_record_is_unreadable() -> None:
    damaged = FakeRecord(b"\x01", damaged=True, offset=3)
    found = read_label_event(damaged, PARTITION)
    assert found == UnreadableRecord(b"\x01", "the record is damaged", Position("labels", 0, 3))


@pytest.mark.parametrize("options", [{"timeout_s": 0}, {"timeout_s": -1}, {"max_in_flight": 0}])
def test_a_client_that_could_not_answer_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="out of range"):
        LabelClient(**options)


async def test_one_text_is_not_several() -> None:
    with pytest.raises(UsageError, match="several texts"):
        await LabelClient().classify_many("refund")


def test_a_record_of_an_enriched_topic_hints_at_the_setting() -> None:
    hint = "; if the route has output = enrich, pass its label_field"
    assert f"missing required field `id`{hint}" in unreadable({})
    assert f"it is not an object{hint}" in unreadable([])
    assert "pass its label_field" in unreadable({"id": "t", "source": "web"})
    assert "has no member 'mood'" in unreadable({"id": "t"}, "mood")


def unreadable(value: object, label_field: str = "") -> str:
    found = read(value, label_field)
    assert isinstance(found, UnreadableRecord)
    return found.error


def test_a_tombstone_is_a_deletion() -> None:
    assert read(None) == Tombstone(b"k", ("labels", 0, 3))  # type: ignore[arg-type]


def test_a_reply_is_a_prediction_or_a_row_error() -> None:
    prediction = read_reply(record(orjson.dumps(LABEL)), PARTITION)
    assert isinstance(prediction, Classification)
    dead = record(b"{}", ("labelstream-error-reason", b"empty"), ("labelstream-error-message", b"no text"))
    assert read_reply(dead, PARTITION) == RowError(Reason.EMPTY, "no text")
    other = record(b"{}", ("labelstream-error-reason", b"of a later version"))
    for unknown in (record(b"[]"), record(None), other):
        assert isinstance(read_reply(unknown, PARTITION), LabelstreamError)


def test_the_last_id_header_is_the_correlation_id() -> None:
    headers = (("labelstream-id", b"a"), ("other", b"x"), ("labelstream-id", b"b"))
    assert correlation_id(record(b"", *headers)) == "b"
    assert correlation_id(record(b"")) is None


@given(st.lists(st.integers(0, 40), max_size=200))
def test_offsets_are_seen_exactly(offsets: list[int]) -> None:
    seen, expected = SeenOffsets(), set[int]()
    for offset in offsets:
        assert seen.add(offset) == (offset in expected)
        expected.add(offset)


@given(st.lists(st.integers(0, 60), max_size=200), st.integers(1, 5))
def test_a_bounded_memory_takes_no_new_event_for_a_duplicate(offsets: list[int], ranges: int) -> None:
    seen, expected = SeenOffsets(ranges), set[int]()
    for offset in offsets:
        assert not seen.add(offset) or offset in expected
        expected.add(offset)
    assert len(seen._starts) <= ranges


def test_sources_of_other_partitions_are_no_duplicates() -> None:
    detector = DuplicateDetector()
    found = [
        detector.is_duplicate(*source) for source in (("a", 0, 1), ("a", 1, 1), ("b", 0, 1), ("a", 0, 1))
    ]
    assert found == [False, False, False, True]


async def test_a_client_that_is_not_open_refuses_requests() -> None:
    with pytest.raises(UsageError, match="not open"):
        await LabelClient().classify("hi")
    with pytest.raises(UsageError, match="not open"):
        SyncLabelClient().classify("hi")


def test_a_route_with_several_topics_is_refused() -> None:
    several: list[dict[str, Any]] = [{"output_topic": "labels.{label}"}, {"review_topic": "review"}]
    for settings in several:
        with pytest.raises(UsageError, match="one label topic"):
            LabelClient(**settings)
    with pytest.raises(UsageError, match="brokr"):
        LabelClient(brokr="x:1")


def test_the_clients_load_no_inference_library() -> None:
    program = (
        "import sys, stream.client;"
        "print([m for m in ('onnxruntime', 'tokenizers', 'faust') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
