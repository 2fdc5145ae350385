"""What is published for a record: values that fit the schemas, headers as they came with ours added."""

from datetime import UTC, datetime

import jsonschema
import orjson

from stream import __version__
from stream.errors import Reason
from stream.records import DeadLetter, Event, LabelEncoder, Tombstone, dead_letter, tombstone
from stream.schemas import load_schema
from tests.unit.records import FakeRecord

NOW = datetime(2026, 11, 20, 10, 0, 1, 234567, UTC)
ENCODER = LabelEncoder(name="support", version="3", digest="sha256:" + "a" * 64, variant="fp32")
FIELDS = {"label": "billing", "score": 0.981, "scores": {"billing": 0.981, "refund": 0.019}}
TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def label_value(event: Event) -> dict[str, object]:
    value: dict[str, object] = orjson.loads(ENCODER.value(event, FIELDS, cached=True, labelled_at=NOW))
    return value


def test_a_label_event_fits_its_schema() -> None:
    value = label_value(Event(FakeRecord(b"{}"), "t-42", "hi", time="2026-11-20T10:00:00Z"))
    jsonschema.validate(value, load_schema("label.v1"))
    assert value["id"] == "t-42"
    assert value["time"] == "2026-11-20T10:00:00Z"
    assert value["labelled_at"] == "2026-11-20T10:00:01.234Z"
    assert value["source"] == {"topic": "texts", "partition": 3, "offset": 1041}
    assert value["cached"] is True
    assert list(value["scores"]) == ["billing", "refund"]  # type: ignore[call-overload]


def test_without_a_time_the_record_timestamp_stands_in() -> None:
    assert label_value(Event(FakeRecord(b"{}"), "t-42", "hi"))["time"] == "2025-11-20T10:00:00.000Z"


def test_input_headers_are_kept_in_order_and_namesakes_replaced() -> None:
    headers = (
        ("h", b"1"),
        ("content-type", b"text/plain"),
        ("other", b""),
        ("h", b"2"),
        ("labelstream-id", b"x"),
    )
    found = ENCODER.headers(Event(FakeRecord(b"{}", headers=headers), "t-42", "hi"))
    assert list(found) == [
        ("h", b"1"),
        ("other", b""),
        ("h", b"2"),
        ("labelstream-id", b"t-42"),
        ("labelstream-model", b"support@3"),
        ("labelstream-schema", b"label.v1"),
        ("content-type", b"application/json"),
    ]


def test_a_trace_is_continued_with_a_span_of_our_own() -> None:
    found = dict(ENCODER.headers(Event(FakeRecord(b"{}", headers=(("traceparent", TRACE),)), "t", "hi")))
    assert found["traceparent"] != TRACE
    assert found["traceparent"].split(b"-")[1] == TRACE.split(b"-")[1]
    assert len(found["traceparent"]) == len(TRACE)


def test_a_broken_traceparent_is_passed_on_untouched() -> None:
    found = dict(ENCODER.headers(Event(FakeRecord(b"{}", headers=(("traceparent", b"??"),)), "t", "hi")))
    assert found["traceparent"] == b"??"


def test_dead_letter_headers_fit_their_schema() -> None:
    record = FakeRecord(b"{broken", headers=(("h", b"1"), ("h", b"2")))
    found = dead_letter(DeadLetter(record, "t-1", Reason.DECODE, "not JSON: at 1"), "group-a")
    ours = {name: value.decode() for name, value in found if name.startswith("labelstream-")}
    jsonschema.validate(ours, load_schema("dead-letter-headers.v1"))
    assert list(found)[:2] == [("h", b"1"), ("h", b"2")]
    assert ours["labelstream-error-offset"] == "1041"
    assert ours["labelstream-error-attempt"] == "1"
    assert ours["labelstream-error-version"] == __version__


def test_a_replayed_dead_letter_counts_its_attempts() -> None:
    first = dead_letter(DeadLetter(FakeRecord(b"x"), "t-1", Reason.DECODE, "m"), "g")
    again = dead_letter(DeadLetter(FakeRecord(b"x", headers=tuple(first)), "t-1", Reason.DECODE, "m"), "g")
    assert dict(again)["labelstream-error-attempt"] == b"2"
    assert len(again) == len(first)


def test_a_tombstone_keeps_its_headers() -> None:
    found = tombstone(Tombstone(FakeRecord(None, headers=(("h", b"1"),)), "t-1"))
    assert list(found) == [("h", b"1"), ("labelstream-id", b"t-1")]
