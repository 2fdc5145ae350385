"""Which events are traced, and the header `traceparent` of their records; both codecs give the same."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.codec import Headers, Record, load_codec
from stream.tracing.context import SpanContext, format_traceparent, parse_traceparent
from stream.tracing.sampling import EventSampler
from tests.unit.record_path import record_path
from tests.unit.records import FakeRecord, as_read

__all__ = ["record_path"]
pytestmark = pytest.mark.usefixtures("record_path")

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{SPAN}-01".encode()
NOT_SAMPLED = f"00-{TRACE}-{SPAN}-00".encode()


def record(*headers: tuple[str, bytes | None], offset: int = 7) -> Record:
    return as_read(FakeRecord(b'{"text":"hi"}', b"k", headers, offset))  # type: ignore[arg-type]


def sampled(*records: Record, ratio: float = 0.0, seed: int = 1) -> list[int]:
    return sorted(event.at for event in EventSampler(ratio, Random(seed)).sample([*records]))


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        (SAMPLED, 1),
        (NOT_SAMPLED, 0),
        (f"00-{TRACE}-{SPAN}-ff".encode(), 0xFF),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-brings".encode(), 1),
        (f"cc-{TRACE}-{SPAN}-01".encode(), 1),
    ],
)
def test_a_valid_traceparent_is_read(value: bytes, flags: int) -> None:
    assert parse_traceparent(value) == SpanContext(bytes.fromhex(TRACE), bytes.fromhex(SPAN), flags)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"??",
        b"\xff" * 55,
        f"ff-{TRACE}-{SPAN}-01".encode(),
        f"00-{TRACE}-{SPAN}-01-more".encode(),
        f"00-{TRACE}-{SPAN}-01 ".encode(),
        f"01-{TRACE}-{SPAN}-01more".encode(),
        f"00-{TRACE.upper()}-{SPAN}-01".encode(),
        f"00-{'0' * 32}-{SPAN}-01".encode(),
        f"00-{TRACE}-{'0' * 16}-01".encode(),
        f"00-{TRACE}-{SPAN}-0g".encode(),
        f"00-{TRACE}-{SPAN}-1".encode(),
    ],
)
def test_a_malformed_traceparent_is_none_and_is_not_followed(value: bytes | None) -> None:
    assert parse_traceparent(value) is None
    assert sampled(record(("traceparent", value))) == []
    assert sampled(record(("traceparent", value)), ratio=1.0) == [0]


def test_an_event_is_traced_if_its_parent_is_sampled() -> None:
    records = [record(("traceparent", SAMPLED)), record(("traceparent", NOT_SAMPLED)), record(("h", b"1"))]
    assert sampled(*records) == [0]
    assert sampled(*records, ratio=1.0) == [0, 2]


def test_the_last_of_several_headers_counts() -> None:
    first = record(("traceparent", SAMPLED), ("h", b"1"), ("traceparent", NOT_SAMPLED))
    last = record(("traceparent", NOT_SAMPLED), ("traceparent", SAMPLED))
    assert sampled(first, last, ratio=1.0) == [1]


def test_an_event_continues_its_trace_in_a_span_of_its_own() -> None:
    value = f"00-{TRACE}-{SPAN}-fb".encode()
    (event,) = EventSampler(0.0, Random(1)).sample([record(("traceparent", value), ("tracestate", b"a=1"))])
    assert (event.offset, event.state) == (7, b"a=1")
    assert event.parent is not None
    assert event.parent.span_id.hex() == SPAN
    assert event.span.trace_id.hex() == TRACE
    assert event.span.span_id.hex() != SPAN
    assert format_traceparent(event.span).endswith(b"-03"), "flags without a meaning are not passed on"


def test_the_ratio_is_the_share_of_traced_events() -> None:
    sampler, one = EventSampler(0.02, Random(3)), [record()]
    traced = [sampler.sample(one * 50) for _ in range(2_000)]
    assert 1_800 < sum(map(len, traced)) < 2_200
    spans = [event.span for events in traced for event in events]
    assert len({span.trace_id for span in spans}) == len({span.span_id for span in spans}) == len(spans)
    assert all(span.flags == 1 for span in spans)


def test_a_long_tracestate_is_not_in_the_span() -> None:
    for length, kept in ((512, True), (513, False), (1_000_000, False)):
        state = b"a=" + b"1" * (length - 2)
        records = [record(("traceparent", SAMPLED), ("tracestate", state))]
        (event,) = EventSampler(0.0, Random(1)).sample(records)
        assert event.state == (state if kept else b"")


@pytest.mark.parametrize("ratio", [1e-17, 1e-300, 5e-324])
def test_a_tiny_ratio_traces_almost_nothing(ratio: float) -> None:
    assert sampled(*[record()] * 1000, ratio=ratio) == []


NAMES = st.sampled_from(["traceparent", "tracestate", "h", "Traceparent", "n\udcff"])
VALUES = st.none() | st.sampled_from([SAMPLED, NOT_SAMPLED, SAMPLED + b"-x"]) | st.binary(max_size=70)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=6)


def last_flags(headers: Headers) -> bool:
    """Return the sampled flag as the interface of the codec describes it."""
    values = [value for name, value in headers if name == "traceparent"]
    if not values or values[-1] is None or len(values[-1]) < 55:
        return False
    digit = values[-1][54:55]
    return (int(digit, 16) if digit in b"abcdef" else digit[0] - ord("0")) % 2 == 1


@given(st.lists(HEADERS, max_size=5))
def test_both_codecs_find_the_sampled_records(each: list[Headers]) -> None:
    records = [record(*headers) for headers in each]
    expected = [at for at, headers in enumerate(each) if last_flags(headers)]
    assert load_codec().sampled_traces(records) == expected


@given(HEADERS, st.binary(max_size=300))
def test_both_codecs_replace_the_header_and_nothing_else(headers: Headers, value: bytes) -> None:
    before = record(*headers, offset=12)
    after = load_codec().with_trace(before, value)
    kept = [header for header in headers if header[0] != "traceparent"]
    assert [*after.headers] == [*kept, ("traceparent", value)]
    assert (after.key, after.value, after.offset) == (before.key, before.value, 12)
    assert (after.timestamp, after.damaged) == (before.timestamp, False)
    assert [*before.headers] == [*headers]
    texts = load_codec().json_texts([after], frozenset(), 100)
    assert texts in (['{"text":"hi"}'], [None])
