"""The lines of an export, and the check of an edited file."""

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stream.dlq.edited_file import EditedFile
from stream.dlq.export import LineError, decode_line, encode_line
from stream.dlq.letters import Origin, Position
from stream.dlq.replay import ReplayPlan, replayed
from stream.errors import UsageError
from tests.dead_letters import letter
from tests.unit.records import contents

PLAN = ReplayPlan("texts.dead", {"texts"})
JSON = st.recursive(
    st.text() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.booleans() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
VALUES = st.none() | st.binary() | st.builds(orjson.dumps, JSON) | st.text().map(str.encode)
NAMES = st.binary(min_size=1, max_size=9).map(lambda name: name.decode("utf-8", "surrogateescape"))
HEADERS = st.lists(st.tuples(NAMES, st.none() | st.binary(max_size=9))).map(tuple)


@given(VALUES, st.none() | st.binary(max_size=9), HEADERS, st.text(min_size=1, max_size=9))
@example(b" {}", None, (), "a")
@example(b"{}\n", None, (), "a")
@example(b'{"a": 1,\n"a": 2.50}', None, (), "a")
@example(b'{"a":  1, "a": 2.50e0}', None, (), "a")
@example(b"null", None, (), "a")
@example(b'"\\ud800"', None, (), "a")
@example(b"[" * 2000 + b"]" * 2000, None, (), "a")
@example(b"NaN", None, (), "a")
@example(b"\xef\xbb\xbf{}", None, (), "a")
@example(b'{"x":1},"y":{"z":2}', None, (), "a")
def test_an_unedited_line_gives_the_event_of_a_replay(
    value: bytes | None, key: bytes | None, headers: Any, event_id: str
) -> None:
    found = letter(value, key=key, headers=headers, event_id=event_id, attempt=b"2")
    line = encode_line("texts.dead", found)
    assert line.count(b"\n") == 1
    assert orjson.loads(line)["dead_letter"] == {"topic": "texts.dead", "partition": 3, "offset": 17}
    edited = decode_line(line)
    expected, event = replayed(found, PLAN), edited.event()
    assert (edited.topic, edited.reason) == ("texts.dead", "schema")
    assert event[:3] == expected[:3]
    assert contents(event.record) == contents(expected.record)


def test_a_value_that_is_json_is_a_member_of_the_line() -> None:
    line = encode_line("texts.dead", letter(b'{"a":  [1.50]}', key=b"\xff"))
    assert line.endswith(b'"value":{"json":{"a":  [1.50]}}}\n')
    assert orjson.loads(line)["key"] == {"base64": "/w=="}
    assert b'"value":{"text":"hi"}' in encode_line("texts.dead", letter(b"hi"))
    assert b'"value":{"base64":"/w=="}' in encode_line("texts.dead", letter(b"\xff"))
    assert b'"value":null' in encode_line("texts.dead", letter(None))


def edited(**changed: Any) -> bytes:
    """Return a line with other members; an ellipsis removes one."""
    members = orjson.loads(encode_line("texts.dead", letter())) | changed
    return orjson.dumps({name: value for name, value in members.items() if value is not Ellipsis})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{broken", "not JSON"),
        (b"[]", "not a JSON object"),
        (edited(value=...), "no member value"),
        (edited(vaule=1), "unknown member 'vaule'"),
        (edited(truncated=True), "does not hold the whole record"),
        (edited(value="hi"), "value is neither"),
        (edited(value={}), "value is neither"),
        (edited(value={"json": 1, "text": "a"}), "value is neither"),
        (edited(value={"base64": "?"}), "value.base64 is not base64"),
        (edited(value={"text": 7}), "value.text is neither"),
        (edited(value={"xml": "a"}), "value is neither"),
        (edited(key=7), "key is neither"),
        (edited(headers={}), "headers is not a list of pairs"),
        (edited(headers=[["a"]]), "headers is not a list of pairs"),
        (edited(headers=[["a", 7]]), "the value of a header is neither"),
        (edited(id=""), "id is not a string"),
        (edited(id="x" * 1025), "id is not a string"),
        (edited(id=7), "id is not a string"),
        (edited(attempt=0), "attempt is not a number"),
        (edited(attempt=True), "attempt is not a number"),
        (edited(timestamp="now"), "timestamp is not a number"),
        (edited(origin=None), "topic in dead_letter and origin"),
        (
            edited(origin={"topic": "texts", "partition": -1, "offset": 1}),
            "partition in dead_letter and origin",
        ),
        (edited(dead_letter={"topic": "texts.dead", "partition": 1}), "offset in dead_letter and origin"),
    ],
)
def test_an_invalid_line_is_refused(line: bytes, message: str) -> None:
    with pytest.raises(LineError, match=message):
        decode_line(line)


@given(st.binary() | st.builds(orjson.dumps, JSON))
def test_any_other_line_is_refused_with_an_error_of_the_line(line: bytes) -> None:
    with pytest.raises(LineError):
        decode_line(line)


def test_an_edited_line_keeps_the_rest() -> None:
    found = decode_line(edited(value={"json": {"text": "hi"}}, id="new", timestamp=...))
    assert (found.position, found.origin) == (Position(3, 17), Origin("texts", 3, 1041))
    assert (found.value, found.id, found.timestamp) == (b'{"text":"hi"}', "new", -1)
    assert found.event("retry").topic == "retry"


def write(folder: Path, *lines: bytes) -> Path:
    file = folder / "edited.jsonl"
    file.write_bytes(b"\n".join(lines))
    return file


def position(partition: int, offset: int) -> bytes:
    return edited(dead_letter={"topic": "texts.dead", "partition": partition, "offset": offset})


def test_a_checked_file_gives_its_dead_letters_in_order(tmp_path: Path) -> None:
    with EditedFile(write(tmp_path, position(1, 9), b"", position(0, 3), position(1, 4))) as file:
        assert file.check("texts.dead", {0: 4, 1: 10}, {"texts"}) == {0: 3, 1: 4}
        assert [found.position for found in file.letters()] == [(1, 9), (0, 3), (1, 4)]
        assert file.position == file.size


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        ((), "the file is empty"),
        ((position(0, 1), position(0, 1)), "line 2: the dead letter 0@1 is in an earlier line too"),
        ((b"", b"{", position(0, 9)), "line 2: the line is not JSON"),
        ((position(0, 9),), "line 1: texts.dead has no dead letter 0@9"),
        ((position(7, 0),), "line 1: texts.dead has no dead letter 7@0"),
        ((position(0, 2**62),), "line 1: texts.dead has no dead letter"),
        (
            (edited(origin={"topic": "none", "partition": 0, "offset": 0}),),
            "the input topic none does not exist",
        ),
        ((edited(dead_letter={"topic": "other", "partition": 0, "offset": 0}),), "is in topic other"),
        ((b"{",) * 9, "line 5: the line is not JSON.*; and 4 more lines"),
    ],
)
def test_a_file_with_an_invalid_line_is_refused_with_its_number(
    tmp_path: Path, lines: tuple[bytes, ...], cause: str
) -> None:
    with EditedFile(write(tmp_path, *lines)) as file, pytest.raises(UsageError) as refusal:
        file.check("texts.dead", {0: 4, 3: 18}, {"texts"})
    assert re.search(cause, refusal.value.cause)
    assert "nothing was sent" in refusal.value.fix


def test_a_file_that_changes_after_its_check_is_refused(tmp_path: Path) -> None:
    file_path = write(tmp_path, position(0, 1))
    with EditedFile(file_path) as file:
        file.check("texts.dead", {0: 4}, {"texts"})
        with file_path.open("ab") as other:
            other.write(b"\n" + position(0, 2))
        with pytest.raises(UsageError, match="has changed since it was checked"):
            list(file.letters())


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"), EditedFile(tmp_path / "none.jsonl"):
        pass
    with pytest.raises(UsageError, match="cannot read"), EditedFile(tmp_path):
        pass
