"""A truncated dead letter fits its topic, keeps what fits, and points to the original record."""

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stream.codec import load_codec
from stream.errors import Reason
from stream.kafka.faust.packed_batch import PackedBatch
from stream.records import DeadLetter, Outgoing, pack_record
from stream.records.dead_letters import dead_letter_headers
from stream.records.truncation import max_size, truncate
from tests.unit.record_path import record_path
from tests.unit.records import SOURCE, FakeRecord

__all__ = ["record_path"]
pytestmark = pytest.mark.usefixtures("record_path")

LIMIT = 4_000
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["a", "trace", "labelstream-model", "x" * 90, "", "caf\udce9"]),
        st.none() | st.binary(max_size=3_000),
    ),
    max_size=6,
)


def dead_letter(
    key: bytes | None = b"k", value: bytes | None = b"v" * 9_000, *headers: tuple[str, Any]
) -> Outgoing:
    dead = DeadLetter(FakeRecord(value, key, headers), SOURCE, "t-1", Reason.SCHEMA, "no text")
    return pack_record(key, value, dead_letter_headers(dead, "group"), 1_000)


def packed_bytes(record: Outgoing) -> int:
    batch = PackedBatch(load_codec(), 1, 0)
    batch.fill([record], 0)
    return batch.size()


@example(None, b"v" * 9_000, [("a", None), ("a", b"h" * 9_000)])
@given(st.none() | st.binary(max_size=5_000), st.none() | st.binary(max_size=9_000), HEADERS)
def test_a_truncated_dead_letter_fits_and_points_to_the_original(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, Any]]
) -> None:
    whole = dead_letter(key, value, *headers)
    assert packed_bytes(whole) <= max_size(whole) <= packed_bytes(whole) + 200 + 10 * len(whole.headers)
    cut = truncate(whole, LIMIT)
    assert packed_bytes(cut) <= max_size(cut) <= LIMIT
    found = dict(cut.headers)
    assert found["labelstream-error-truncated"] == b"true"
    at = [found[f"labelstream-error-{name}"] for name in ("topic", "partition", "offset", "reason")]
    assert at == [b"texts", b"3", b"1041", b"schema"]
    assert cut.key in (key, None)
    assert (b"true" if cut.key != key else None) == found.get("labelstream-error-dropped-key")
    if value is None:
        assert cut.value is None
        assert "labelstream-error-original-size" not in found
    else:
        assert cut.value is not None
        assert value.startswith(cut.value)
        assert found["labelstream-error-original-size"] == b"%d" % len(value)
        assert found["labelstream-error-original-sha256"] == sha256(value).hexdigest().encode()
    dropped = int(found.get("labelstream-error-dropped-headers", b"0"))
    foreign = [pair for pair in whole.headers if not pair[0].startswith("labelstream-e")]
    kept = [pair for pair in cut.headers if not pair[0].startswith("labelstream-e")]
    assert len(kept) == len(foreign) - dropped
    assert cut.timestamp == whole.timestamp


def test_a_large_value_is_cut_to_nearly_the_whole_space() -> None:
    cut = truncate(dead_letter(b"k", b"v" * 9_000, ("h", b"1")), LIMIT)
    assert packed_bytes(cut) > LIMIT - 300
    assert cut.key == b"k"
    assert ("h", b"1") in cut.headers


def test_a_small_value_stays_whole_and_the_largest_header_is_dropped() -> None:
    cut = truncate(dead_letter(b"k", b"v" * 50, ("a", b"1" * 900), ("b", b"2" * 9_000), ("c", b"3")), LIMIT)
    assert cut.value == b"v" * 50
    assert [name for name, _ in cut.headers[:2]] == ["a", "c"]
    assert dict(cut.headers)["labelstream-error-dropped-headers"] == b"1"


def test_a_large_key_becomes_null() -> None:
    cut = truncate(dead_letter(b"k" * 9_000, b"v" * 50), LIMIT)
    assert (cut.key, cut.value) == (None, b"v" * 50)
    assert dict(cut.headers)["labelstream-error-dropped-key"] == b"true"


@pytest.mark.parametrize("limit", [0, 300, 600])
def test_the_smallest_form_has_the_pointer_only(limit: int) -> None:
    cut = truncate(dead_letter(), limit)
    assert (cut.key, cut.value) == (None, b"")
    assert {name.removeprefix("labelstream-error-") for name, _ in cut.headers} == {
        *("topic", "partition", "offset", "timestamp", "reason"),
        *("truncated", "original-size", "original-sha256", "dropped-key"),
    }
    assert packed_bytes(cut) < 700


def test_marks_of_an_earlier_truncation_are_replaced() -> None:
    cut = truncate(dead_letter(b"k", b"v" * 9_000, ("labelstream-error-original-size", b"1")), LIMIT)
    sizes = [value for name, value in cut.headers if name == "labelstream-error-original-size"]
    assert sizes == [b"9000"]
