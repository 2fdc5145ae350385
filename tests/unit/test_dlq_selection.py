"""The selection of dead letters, and the values of its options."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.dlq.filters import parse_condition, parse_position, parse_time
from stream.dlq.letters import Origin, Position
from stream.dlq.selection import Selection
from stream.errors import UsageError
from tests.dead_letters import TIME, letter

NOW = datetime(2026, 11, 30, 14, 0, tzinfo=UTC)
MS = int(NOW.timestamp() * 1000)
VALUE = (
    b'{"customer": {"tier": "gold", "age": 7}, "tags": ["a", "b"], "ok": true, "none": null, "a.b": "x=y"}'
)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("customer.tier=gold", True),
        ("customer.tier = gold ", True),
        ("customer.tier=silver", False),
        ("customer.tier!=silver", True),
        ("customer.tier!=gold", False),
        ("/customer/tier=gold", True),
        ("/a.b=x=y", True),
        ("customer.age=7", True),
        ('customer.age="7"', False),
        ('customer.tier="gold"', True),
        ("customer.age=7.0", True),
        ("tags.*=b", True),
        ("tags.*=c", False),
        ("tags.0=a", True),
        ("ok=true", True),
        ("ok=1", False),
        ("none=null", True),
        ("none", False),
        ("customer", True),
        ("missing", False),
        ("missing=1", False),
        ("missing!=1", True),
        ('tags=["a","b"]', True),
        ("customer.tier=", False),
    ],
)
def test_a_condition_compares_a_field_with_a_json_value_or_a_text(condition: str, holds: bool) -> None:
    assert Selection(where=(parse_condition(condition),)).matches(letter(VALUE)) is holds


@pytest.mark.parametrize("condition", ["", "=x", "a..b=1", "$.a=1", "a[0]=1", "/a~2=1"])
def test_an_invalid_condition_is_an_error_with_an_example(condition: str) -> None:
    with pytest.raises(UsageError) as refusal:
        parse_condition(condition)
    assert "customer.tier=gold" in refusal.value.fix


@pytest.mark.parametrize("value", [None, b"", b"{broken", b"\xff"])
def test_a_value_that_is_not_json_meets_no_condition(value: bytes | None) -> None:
    assert not Selection(where=(parse_condition("a!=1"),)).matches(letter(value))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-11-30T13:00:00Z", MS - 3_600_000),
        ("2026-11-30T15:00:00+01:00", MS),
        ("2026-11-30T14:00", MS),
        ("2026-11-30", MS - 14 * 3_600_000),
        ("90s", MS - 90_000),
        ("2h", MS - 7_200_000),
        ("1w", MS - 7 * 86_400_000),
        ("250ms", MS - 250),
    ],
)
def test_a_time_is_a_date_or_a_duration_before_now(written: str, expected: int) -> None:
    assert parse_time(written, "--since", NOW) == expected


def test_a_time_without_an_offset_is_local() -> None:
    local = NOW.astimezone(timezone(timedelta(hours=2)))
    assert parse_time("2026-11-30T16:00", "--since", local) == MS


@pytest.mark.parametrize("written", ["", "soon", "2h30m", "999999999w", "2026-13-01", "-1h"])
def test_any_other_time_is_an_error(written: str) -> None:
    with pytest.raises(UsageError, match="--since"):
        parse_time(written, "--since", NOW)


def test_a_position_is_a_partition_and_an_offset() -> None:
    assert parse_position("3@1041") == Position(3, 1041)
    for written in ("3", "3@", "@1", "3@-1", "3@1@2", " 3@1"):
        with pytest.raises(UsageError, match="is not the position"):
            parse_position(written)


def test_the_headers_of_a_dead_letter_are_read() -> None:
    found = letter()
    assert (found.id, found.reason, found.message) == ("t-7", "schema", "text is missing")
    assert (found.origin, found.attempt, found.timestamp) == (Origin("texts", 3, 1041), 1, TIME)
    assert not found.incomplete
    assert found.producer_headers == []


@pytest.mark.parametrize(
    ("added", "attempt"), [({"attempt": b"3"}, 3), ({"attempt": b"many"}, 1), ({"attempt": b"9" * 12}, 1)]
)
def test_an_attempt_that_the_worker_would_not_count_is_the_first(added: dict[str, Any], attempt: int) -> None:
    assert letter(**added).attempt == attempt


def test_headers_that_name_no_position_give_no_origin() -> None:
    assert letter(topic=None).origin is None
    assert letter(topic=b"").origin is None
    assert letter(timestamp=b"now").timestamp == TIME


LETTERS = st.builds(
    letter,
    st.builds(orjson.dumps, st.dictionaries(st.sampled_from("ab"), st.integers(0, 2))),
    partition=st.integers(0, 3),
    offset=st.integers(0, 5),
    event_id=st.sampled_from(("x", "y")),
    reason=st.sampled_from((b"schema", b"model")),
    timestamp=st.integers(0, 9).map(lambda ms: b"%d" % ms),
)
SELECTIONS = st.builds(
    Selection,
    reasons=st.frozensets(st.sampled_from(("schema", "model", "empty"))),
    partitions=st.frozensets(st.integers(0, 3)),
    ids=st.frozensets(st.sampled_from(("x", "y"))),
    positions=st.frozensets(st.builds(Position, st.integers(0, 3), st.integers(0, 5))),
    since=st.none() | st.integers(0, 9),
    until=st.none() | st.integers(0, 9),
    where=st.just(()) | st.just((parse_condition("a=1"),)),
)


@given(LETTERS, SELECTIONS)
def test_a_selection_is_the_conjunction_of_its_conditions(found: Any, selection: Selection) -> None:
    value = orjson.loads(found.record.value)
    expected = (
        (not selection.reasons or found.reason in selection.reasons)
        and (not selection.partitions or found.partition in selection.partitions)
        and (not selection.ids or found.id in selection.ids)
        and (not selection.positions or (found.partition, found.record.offset) in selection.positions)
        and (selection.since is None or selection.since <= found.timestamp)
        and (selection.until is None or found.timestamp < selection.until)
        and (not selection.where or value.get("a") == 1)
    )
    assert selection.matches(found) is expected
    assert selection.wants(found.partition) or not expected
