"""Label records, dead letters and tombstones: values fit the schemas, headers are kept and ours added."""

from datetime import UTC, datetime, timedelta

import jsonschema
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stream import __version__
from stream.codec import EncodedRecords, load_codec
from stream.codec.rfc3339 import LATEST_MS, Rfc3339
from stream.codec.wire import varint
from stream.errors import Reason
from stream.records import (
    DeadLetter,
    Event,
    Headers,
    LabelEncoder,
    Outgoing,
    Source,
    Tombstone,
    dead_letter_headers,
    tombstone_headers,
)
from stream.schemas import load_schema
from tests.unit.record_path import record_path
from tests.unit.records import SOURCE, FakeRecord, as_read, contents

__all__ = ["record_path"]
pytestmark = pytest.mark.usefixtures("record_path")

NOW = datetime(2026, 11, 20, 10, 0, 1, 234567, UTC)
NOW_MS = int(NOW.timestamp() * 1000)
DIGEST = "sha256:" + "a" * 64
FIELDS = {"label": "billing", "score": 0.981, "scores": {"billing": 0.981, "refund": 0.019}}
MEMBERS = orjson.dumps(FIELDS)[1:-1]
OURS = [
    ("labelstream-id", b"t-42"),
    ("labelstream-model", b"support@3"),
    ("labelstream-schema", b"label.v1"),
    ("content-type", b"application/json"),
]
TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


def encoder() -> LabelEncoder:
    return LabelEncoder(name="support", version="3", digest=DIGEST, variant="fp32")


def label_of(event: Event, cached: bool = True, source: Source = SOURCE) -> Outgoing:
    read = event._replace(record=as_read(event.record))  # type: ignore[arg-type]
    (label,) = encoder().write(source, NOW_MS, [read], [(MEMBERS, b"", cached)])
    return label


def label_value(event: Event, cached: bool = True, source: Source = SOURCE) -> dict[str, object]:
    value: dict[str, object] = orjson.loads(label_of(event, cached, source).value or b"")
    return value


def label_headers(event: Event) -> Headers:
    return label_of(event).headers


def rfc3339(ms: int) -> str:
    """Format a time with the standard library."""
    time = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.mark.parametrize("cached", [False, True])
def test_a_label_event_fits_its_schema(cached: bool) -> None:
    value = label_value(Event(FakeRecord(b"{}"), "t-42", "hi", time="2026-11-20T10:00:00Z"), cached)
    jsonschema.validate(value, load_schema("label.v1"))
    assert value["id"] == "t-42"
    assert value["time"] == "2026-11-20T10:00:00Z"
    assert value["labelled_at"] == "2026-11-20T10:00:01.234Z"
    assert value["source"] == {"topic": "texts", "partition": 3, "offset": 1041}
    assert value["cached"] is cached
    assert list(value["scores"]) == ["billing", "refund"]  # type: ignore[call-overload]


@given(
    TEXT,
    TEXT,
    st.none() | TEXT,
    st.integers(0, 10_000),
    st.integers(0, 2**62),
    st.integers(-5, LATEST_MS),
    st.booleans(),
)
@example("100%", "texts%b", "%d", 0, 0, 0, False)
def test_a_value_equals_the_object_of_the_contract(
    event_id: str, topic: str, time: str | None, partition: int, offset: int, timestamp: int, cached: bool
) -> None:
    record = FakeRecord(b"{}", offset=offset, timestamp=timestamp)
    value = label_value(Event(record, event_id, "hi", time=time), cached, Source(topic, partition))
    assert value == {
        "id": event_id,
        **FIELDS,
        "model": {"name": "support", "version": "3", "digest": DIGEST, "variant": "fp32"},
        "cached": cached,
        "source": {"topic": topic, "partition": partition, "offset": offset},
        "time": time or rfc3339(max(timestamp, 0)),
        "labelled_at": "2026-11-20T10:00:01.234Z",
    }
    jsonschema.validate(value, load_schema("label.v1"))


def test_labels_of_a_batch_are_in_order() -> None:
    # The fourth takes the fallback, since it has a header that ours replaces.
    records = [
        FakeRecord(
            b"{}", offset=at, timestamp=1000 * (at // 2), headers=(("labelstream-id", b""),) * (at == 3)
        )
        for at in range(6)
    ]
    events = [Event(as_read(record), f"t-{at}", "hi") for at, record in enumerate(records)]
    predictions = [(MEMBERS, b"", bool(at % 2)) for at in range(6)]
    values = [
        orjson.loads(label.value or b"") for label in encoder().write(SOURCE, NOW_MS, events, predictions)
    ]
    assert [value["id"] for value in values] == [f"t-{at}" for at in range(6)]
    assert [value["source"]["offset"] for value in values] == list(range(6))
    assert [value["cached"] for value in values] == [False, True] * 3
    assert [value["time"][17:] for value in values] == [f"0{at // 2}.000Z" for at in range(6)]


def test_an_event_without_a_time_gets_the_record_timestamp() -> None:
    assert label_value(Event(FakeRecord(b"{}"), "t-42", "hi"))["time"] == "2025-11-20T10:00:00.000Z"


@given(st.lists(st.integers(-10_000, 3_000) | st.integers(-(2**63), 2**63 - 1), max_size=20))
def test_times_equal_those_of_the_standard_library(timestamps: list[int]) -> None:
    time = Rfc3339()
    for timestamp in timestamps:
        expected = rfc3339(min(max(timestamp, 0), LATEST_MS))
        assert [orjson.loads(time.json(timestamp)) for _ in range(2)] == [expected, expected]


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [(-1, "1970-01-01T00:00:00.000Z"), (1_763_632_800_000_000, "9999-12-31T23:59:59.999Z")],
)
def test_a_timestamp_out_of_range_is_clamped(timestamp: int, expected: str) -> None:
    assert label_value(Event(FakeRecord(b"{}", timestamp=timestamp), "t", "hi"))["time"] == expected


def test_input_headers_keep_their_order_and_those_with_our_names_are_replaced() -> None:
    headers = (
        ("h", b"1"),
        ("content-type", b"text/plain"),
        ("other", b""),
        ("h", b"2"),
        ("labelstream-id", b"x"),
    )
    output_headers = label_headers(Event(FakeRecord(b"{}", headers=headers), "t-42", "hi"))
    assert output_headers == [("h", b"1"), ("other", b""), ("h", b"2"), *OURS]


@given(st.lists(st.tuples(st.sampled_from(["h", "other", "Content-Type"]), st.binary(max_size=3))))
def test_other_input_headers_are_kept_including_repeated_ones(headers: list[tuple[str, bytes]]) -> None:
    output_headers = label_headers(Event(FakeRecord(b"{}", headers=tuple(headers)), "t-42", "hi"))
    assert type(output_headers) is list, "aiokafka accepts only a list"
    assert output_headers == [*headers, *OURS]


@pytest.mark.parametrize("name", [name for name, _ in OURS])
def test_every_input_header_with_our_name_is_replaced(name: str) -> None:
    headers = ((name, b"theirs"), ("h", b"1"), (name, b"theirs again"))
    output_headers = label_headers(Event(FakeRecord(b"{}", headers=headers), "t-42", "hi"))
    assert type(output_headers) is list
    assert output_headers == [("h", b"1"), *OURS]


def test_events_do_not_share_headers() -> None:
    one = label_headers(Event(FakeRecord(b"{}"), "t-1", "hi"))
    two = label_headers(Event(FakeRecord(b"{}"), "t-2", "hi"))
    assert (one[0], two[0]) == (("labelstream-id", b"t-1"), ("labelstream-id", b"t-2"))


@pytest.mark.parametrize("value", [TRACE, b"??"])
def test_the_headers_of_a_trace_are_copied_unchanged(value: bytes) -> None:
    trace = [("traceparent", value), ("tracestate", b"v=1")]
    record = FakeRecord(b"{}", headers=tuple(trace))
    label = label_of(Event(record, "t-42", "hi"))
    assert [*label.headers] == [*trace, *OURS]
    dead = DeadLetter(as_read(record), SOURCE, "t-42", Reason.MODEL, "m")
    assert [*dead_letter_headers(dead, "g")][:2] == trace
    assert [*tombstone_headers(Tombstone(as_read(record), "t-42"))][:2] == trace


def test_dead_letter_headers_fit_their_schema() -> None:
    record = FakeRecord(b"{broken", headers=(("h", b"1"), ("h", b"2")))
    headers = dead_letter_headers(
        DeadLetter(record, SOURCE, "t-1", Reason.DECODE, "not JSON: at 1"), "group-a"
    )
    ours = {name: value.decode() for name, value in headers if name.startswith("labelstream-")}
    jsonschema.validate(ours, load_schema("dead-letter-headers.v1"))
    assert list(headers)[:2] == [("h", b"1"), ("h", b"2")]
    assert ours["labelstream-error-offset"] == "1041"
    assert ours["labelstream-error-attempt"] == "1"
    assert ours["labelstream-error-version"] == __version__


def test_a_replayed_dead_letter_counts_its_attempts() -> None:
    first = dead_letter_headers(DeadLetter(FakeRecord(b"x"), SOURCE, "t-1", Reason.DECODE, "m"), "g")
    again = dead_letter_headers(
        DeadLetter(FakeRecord(b"x", headers=tuple(first)), SOURCE, "t-1", Reason.DECODE, "m"), "g"
    )
    assert dict(again)["labelstream-error-attempt"] == b"2"
    assert len(again) == len(first)


@pytest.mark.parametrize(
    ("counted", "attempt"),
    [
        (b"1", b"2"),
        (b"0", b"1"),
        (b"007", b"8"),
        (b"999999998", b"999999999"),
        (b"999999999", b"999999999"),
        (b"1000000000", b"1"),
        (b"9" * 5000, b"1"),
        (b"", b"1"),
        (b"-1", b"1"),
        (b"+1", b"1"),
        (b" 1", b"1"),
        (b"1\n", b"1"),
        (b"1_0", b"1"),
        (b"1e3", b"1"),
        (b"\xff", b"1"),
        ("٣".encode(), b"1"),
        ("²".encode(), b"1"),
        (None, b"1"),
    ],
)
def test_an_attempt_is_a_number_of_at_most_nine_digits_or_counts_as_none(
    counted: bytes, attempt: bytes
) -> None:
    record = FakeRecord(b"x", headers=(("labelstream-error-attempt", counted),))
    headers = dead_letter_headers(DeadLetter(record, SOURCE, "t-1", Reason.DECODE, "m"), "g")
    assert [value for name, value in headers if name == "labelstream-error-attempt"] == [attempt]


def test_a_tombstone_keeps_its_headers() -> None:
    headers = tombstone_headers(Tombstone(FakeRecord(None, headers=(("h", b"1"),)), "t-1"))
    assert list(headers) == [("h", b"1"), ("labelstream-id", b"t-1")]


RECORDS = st.builds(
    FakeRecord,
    st.just(b"{}"),
    st.none() | st.binary(max_size=9),
    st.lists(st.tuples(st.text(max_size=3), st.binary(max_size=3)), max_size=3).map(tuple),
    st.integers(0, 2**62),
    st.integers(-5, LATEST_MS),
)


@given(st.lists(st.tuples(RECORDS, TEXT, st.none() | TEXT, st.booleans()), max_size=5))
def test_packed_and_plain_records_give_the_same_label(
    rows: list[tuple[FakeRecord, str, str | None, bool]],
) -> None:
    predictions = [(MEMBERS, b"", cached) for _, _, _, cached in rows]
    plain = [Event(record, event_id, "hi", time=time) for record, event_id, time, _ in rows]
    packed = [event._replace(record=as_read(event.record)) for event in plain]  # type: ignore[arg-type]
    plain_labels, packed_labels = (
        encoder().write(SOURCE, NOW_MS, events, predictions) for events in (plain, packed)
    )
    assert [*map(contents, plain_labels)] == [*map(contents, packed_labels)]
    assert [label.timestamp for label in packed_labels] == [record.timestamp for record, _, _, _ in rows]


@pytest.mark.parametrize("replaced", [(), (("labelstream-id", b"old"),), (("traceparent", TRACE),)])
def test_a_header_name_that_is_not_utf_8_is_copied_unchanged(replaced: tuple[tuple[str, bytes], ...]) -> None:
    kept = [("n\udcffe", b"1"), ("\udc80", b"")]
    record = FakeRecord(b"{}", headers=(*kept, *replaced))
    label = label_of(Event(record, "t-42", "hi"))
    assert [*label.headers][:2] == kept
    read = as_read(record)
    assert [*dead_letter_headers(DeadLetter(read, SOURCE, "t-42", Reason.MODEL, "m"), "g")][:2] == kept
    assert [*tombstone_headers(Tombstone(read, "t-42"))][:2] == kept
    buffer = bytearray()
    load_codec().append(buffer, [label], 0, 1 << 20, 0)
    assert b"\x06n\xffe\x021\x02\x80\0" in buffer


def test_a_label_record_has_the_usual_length_of_null() -> None:
    null = varint(-2)
    body = null + varint(2) + b"{}" + varint(1) + varint(1) + b"h" + null
    data = varint(3 + len(body)) + b"\0\0\0" + body
    ((record,),) = load_codec().unpack(EncodedRecords(data, 0, len(data), 1, 7, 5, False, 0), 0)
    (label,) = encoder().write(SOURCE, NOW_MS, [Event(record, "t-42", "hi")], [(MEMBERS, b"", False)])
    assert label.key is None
    assert dict(label.headers)["h"] is None
    buffer = bytearray()
    load_codec().append(buffer, [label], 0, 1 << 20, 0)
    assert b"\x02h" + null not in buffer
    assert b"\x02h" + varint(-1) in buffer
