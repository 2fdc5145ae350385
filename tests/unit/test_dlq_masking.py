"""Masked values show no character of the text; every reason has a fix."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.dlq.advice import FIXES, FOREIGN, INCOMPLETE, UNKNOWN, fix_of
from stream.dlq.letters import read_letter
from stream.dlq.masking import mask_bytes, mask_value
from stream.errors import Reason
from tests.dead_letters import letter
from tests.unit.records import FakeRecord

# Letters that the words of a masked value do not have.
SECRET = st.text("ÄÖÜßéè漢字🙂ЖЯ", min_size=1)
JSON = st.recursive(
    SECRET | st.integers(10**6, 10**9) | st.booleans() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(SECRET, inner),
)


@given(JSON)
def test_no_character_of_a_json_value_is_shown(value: object) -> None:
    shown = mask_value(orjson.dumps(value))
    assert (set(shown) - {"…"}) <= set(map(chr, range(32, 127)))


@given(st.binary())
def test_a_value_that_is_not_json_is_a_length(value: bytes) -> None:
    shown = mask_value(b"\xc3\x84" + value)
    assert shown in (
        f"<{len(value) + 2:,} bytes, not JSON>",
        f"<{len(value) + 2:,} bytes, not UTF-8>",
    )


def test_the_form_of_a_value_is_shown() -> None:
    value = (
        b'{"id": 7, "text": "hi", "tags": ["a", true, null], "metadata": {"deep": {"er": {"x": {"y": 1}}}}}'
    )
    assert mask_value(value) == (
        '{"id": <number>, "text": <string, 2 characters>, <name, 4 characters>: '
        "[<string, 1 character>, <boolean>, null], "
        '"metadata": {<name, 4 characters>: {<name, 2 characters>: {<name, 1 character>: {…}}}}} (97 bytes)'
    )
    assert mask_value(None) == "null"
    assert mask_value(b"[]") == "[] (2 bytes)"
    assert mask_bytes(None) == "null"
    assert mask_bytes(b"key") == "<3 bytes>"


def test_a_long_value_is_cut() -> None:
    assert mask_value(orjson.dumps(list(range(1000)))).count("<number>") == 20


def test_every_reason_has_a_fix() -> None:
    assert set(FIXES) == set(Reason)
    for reason in Reason:
        assert fix_of(letter(reason=reason.encode())) == FIXES[reason]


@pytest.mark.parametrize(
    ("added", "fix"),
    [({"reason": b"new-reason"}, UNKNOWN), ({"truncated": b"true"}, INCOMPLETE)],
)
def test_other_dead_letters_have_a_fix_too(added: dict[str, Any], fix: str) -> None:
    assert fix_of(letter(**added)) == fix
    assert fix_of(read_letter(0, FakeRecord(b"{}"))) == FOREIGN
