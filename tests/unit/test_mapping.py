"""Mapped events: the fields that a route reads by paths, and the dead letters that say what is missing."""

import json
import sys
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import Reason, UsageError
from stream.records import DeadLetter, Decoder, Event
from stream.routes import RouteOptions
from tests.unit.decoding import BINARY, ENVELOPE, POSITION, STRUCTURED, Headers
from tests.unit.json_cases import ACCEPTED, LEFT_OPEN, MALFORMED
from tests.unit.record_path import record_path
from tests.unit.records import SOURCE, FakeRecord, as_read

__all__ = ["record_path"]

TICKET = {
    "ticket": {
        "id": 35436,
        "subject": "Refund",
        "description": "Please send the money back.",
        "created_at": "2026-11-20T10:00:00Z",
        "tags": ["billing", "urgent"],
        "comments": [{"body": "first"}, {"body": "second"}],
        "priority": 2,
        "requester": {"plan": "gold", "age": 41, "note": None},
    }
}


def decode(value: Any, headers: Headers = (), *, takes_pair: bool = False, **options: Any) -> Any:
    """Decode a record of a route with these options; both paths of the decoder must agree."""
    data = value if isinstance(value, bytes) else orjson.dumps(value)
    decoder = Decoder(
        RouteOptions(**options), max_event_bytes=1 << 20, max_text_chars=1000, takes_pair=takes_pair
    )
    (decoded,) = decoder.decode_all(SOURCE, [as_read(FakeRecord(data, headers=headers))])
    slow = decoder._slow_path(SOURCE, FakeRecord(data, headers=headers))
    assert summary(decoded) == summary(slow)
    return decoded


def summary(decoded: Any) -> tuple[Any, ...]:
    """Return what an event or a dead letter says, without its record."""
    if isinstance(decoded, DeadLetter):
        return decoded.id, decoded.reason, decoded.message
    return decoded.id, decoded.text, decoded.text_pair, decoded.metadata, decoded.time


def message(value: Any, **options: Any) -> str:
    """Return the message of a dead letter with the reason `schema`."""
    dead = decode(value, **options)
    assert isinstance(dead, DeadLetter), dead
    assert dead.reason is Reason.SCHEMA
    return dead.message


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("ticket.description", "Please send the money back."),
        ("/ticket/description", "Please send the money back."),
        ("ticket.comments.0.body", "first"),
        ("ticket.comments.*.body", "first\nsecond"),
        ("/ticket/comments/*/body", "first\nsecond"),
        ("ticket.tags.1", "urgent"),
        ("ticket.tags.*", "billing\nurgent"),
    ],
)
@pytest.mark.usefixtures("record_path")
def test_the_text_is_read_by_its_path(path: str, text: str) -> None:
    assert decode(TICKET, text_field=path).text == text


def test_a_template_joins_fields() -> None:
    template = "{ticket.subject}\n\n{ticket.description} ({ticket.priority})"
    event = decode(TICKET, text_template=template)
    assert event.text == "Refund\n\nPlease send the money back. (2)"


@pytest.mark.parametrize("missing", [{}, {"note": None}])
def test_a_field_of_a_template_may_be_optional(missing: dict[str, Any]) -> None:
    assert decode({"a": "x", **missing}, text_template="{a}{note?}").text == "x"
    assert decode({"a": "x", "note": "y"}, text_template="{a}{note?}").text == "xy"
    assert "has no member 'note'" in message({"a": "x"}, text_template="{a}{note}")
    assert "null" in message({"a": "x", "note": None}, text_template="{a}{note}")


def test_id_time_and_metadata_are_read_by_their_paths() -> None:
    event = decode(
        TICKET,
        text_field="ticket.description",
        id_field="ticket.id",
        time_field="ticket.created_at",
        metadata_fields="plan=ticket.requester.plan,age=/ticket/requester/age,none=ticket.requester.x.y",
    )
    assert (event.id, event.time) == ("35436", "2026-11-20T10:00:00Z")
    assert event.metadata == {"plan": "gold", "age": 41, "none": None}


def test_fields_without_a_setting_keep_their_names() -> None:
    event = decode(
        {"id": 7, "body": "x", "time": "2026-01-02T03:04:05Z", "metadata": {"a": 1}}, text_field="body"
    )
    assert summary(event) == ("7", "x", None, {"a": 1}, "2026-01-02T03:04:05Z")
    assert decode({"text": "x", "key": "k-1"}, id_field="key").id == "k-1"


def test_a_field_that_no_setting_names_may_have_any_type() -> None:
    """A foreign event may use the names of labelstream's own events for something else."""
    odd = {"id": {"a": 1}, "time": ["x"], "metadata": 3, "text_pair": 4, "body": "x"}
    assert summary(decode(odd, text_field="body")) == (POSITION, "x", None, None, None)
    assert isinstance(decode({"id": {}, "text": "x"}), DeadLetter)


@pytest.mark.parametrize(
    ("written", "time"),
    [
        (1_763_632_800, "2025-11-20T10:00:00Z"),
        (1_763_632_800.5, "2025-11-20T10:00:00.500000Z"),
        (1_763_632_800_123, "2025-11-20T10:00:00.123000Z"),
        (1_763_632_800_123_456, "2025-11-20T10:00:00.123456Z"),
        (1_763_632_800_123_456_789, "2025-11-20T10:00:00.123456Z"),
        (0, "1970-01-01T00:00:00Z"),
        (-1, None),
        (1e300, None),
        (True, None),
        ("Wed Oct 10 20:19:24 +0000 2018", None),
        ("2026-11-20T10:00:00+02:00", "2026-11-20T10:00:00+02:00"),
        ({"s": 1}, None),
        (None, None),
    ],
)
def test_a_time_is_rfc_3339_or_a_unix_time(written: Any, time: str | None) -> None:
    assert decode({"text": "x", "at": written}, time_field="at").time == time


@pytest.mark.parametrize(
    ("event_id", "shown"),
    [
        (7, "7"),
        ("7", "7"),
        (10**40, str(10**40)),
        (-(2**63) - 1, str(-(2**63) - 1)),
        ("", POSITION),
        (None, POSITION),
    ],
)
def test_an_id_is_exact(event_id: Any, shown: str) -> None:
    value = json.dumps({"data": {"key": event_id}, "text": "x"}).encode()
    assert decode(value, id_field="data.key").id == shown


@pytest.mark.parametrize("event_id", [True, 1.5, [], {}])
def test_an_id_of_another_type_is_a_dead_letter(event_id: Any) -> None:
    assert message({"key": event_id, "text": "x"}, id_field="key").startswith("id_field key: the value is a")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("data.text", "the event has no member 'data'; it has 'ticket'"),
        ("ticket.text.x", "ticket has no member 'text'; it has 'id', 'subject', "),
        ("ticket.subject.x", "ticket.subject is a string, not an object"),
        ("ticket.priority", "the value is a number, not a string"),
        ("ticket.requester", "the value is an object, not a string"),
        ("ticket.requester.note", "the value is null, not a string"),
        ("ticket.tags", "the path of its first element is ticket.tags.0, of all elements ticket.tags.*"),
        (
            "ticket.comments.body",
            "an array; the path of its first element is ticket.comments.0.body",
        ),
        ("ticket.comments.2.body", "ticket.comments has 2 elements, no element 2"),
        ("ticket.subject.*", "ticket.subject is a string, not an array"),
        ("ticket.comments.*.text", "has no member 'text'; it has 'body'"),
        (f"ticket.tags.{'9' * 5000}", "no element"),
    ],
)
def test_a_missing_path_says_what_the_event_has(path: str, said: str) -> None:
    found = message(TICKET, text_field=path)
    assert found.startswith(f"text_field {path}: ")
    assert said in found
    assert "money back" not in found


def test_a_dead_letter_keeps_the_id_of_its_event() -> None:
    dead = decode(TICKET, text_field="ticket.text", id_field="ticket.id")
    assert dead.id == "35436"


@pytest.mark.parametrize("value", [b"[1]", b'"text"', b"1", b"null", b"{", b"\xff"])
def test_a_value_that_is_no_object_is_a_dead_letter(value: bytes) -> None:
    assert isinstance(decode(value, text_field="a.b"), DeadLetter)


def test_an_empty_or_long_text_is_a_dead_letter() -> None:
    assert decode({"a": " \n"}, text_field="a").reason is Reason.EMPTY
    assert decode({"a": []}, text_field="a.*").reason is Reason.EMPTY
    assert decode({"a": "x" * 1001}, text_field="a").reason is Reason.TOO_LARGE
    assert decode({"key": "k" * 1025, "text": "x"}, id_field="key").reason is Reason.SCHEMA


def test_the_second_text_of_a_pair_has_a_path() -> None:
    value = {"q": {"a": "one"}, "r": {"b": "two"}, "text_pair": "three"}
    event = decode(value, takes_pair=True, text_field="q.a", text_pair_field="r.b")
    assert (event.text, event.text_pair) == ("one", "two")
    assert decode(value, takes_pair=True, text_field="q.a").text_pair == "three"
    assert decode(value, text_field="q.a", text_pair_field="r.b").text_pair is None
    dead = decode(value, takes_pair=True, text_field="q.a", text_pair_field="r.c")
    assert dead.message == "text_pair_field r.c: r has no member 'c'; it has 'b'"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>Hello <b>world</b></p><p>again</p>", "Hello world\n\nagain"),
        ("<script>alert(1)</script><style>p{}</style>fine &amp; good", "fine & good"),
        ("no markup", "no markup"),
        ("a &lt; b", "a < b"),
        ("<p>unclosed <i>mark", "unclosed mark"),
        ("NUL \x00 inside", "NUL inside"),
    ],
)
def test_html_is_read_as_its_visible_text(html: str, text: str) -> None:
    assert decode({"body": html}, text_field="body", text_format="html").text == text
    assert decode({"text": html}, text_format="html").text == text
    assert (
        decode({"s": html, "b": ["x", html]}, text_template="{s}|{b.*}", text_format="html").text
        == f"{text}|x\n{text}"
    )
    assert decode(html.encode(), input_format="text", text_format="html").text == text
    data = orjson.dumps(html)
    assert decode(data, BINARY, text_format="html").text == text


def test_html_whose_tag_has_very_many_attributes_is_too_large() -> None:
    many = " ".join(f"a{number}" for number in range(120_000))
    # To a search for tags, the attributes of the last one are text.
    for html in (f"<p {many}>hi", f'<p b" c="> " {many}>hi</p>'):
        for dead in (
            decode({"text": html}, text_format="html"),
            decode(html.encode(), input_format="text", text_format="html"),
        ):
            assert (dead.reason, "500 are allowed" in dead.message) == (Reason.TOO_LARGE, True)
    long = "".join(f"<p class='a' id='{number}'></p>" for number in range(5_000))
    assert decode({"text": f"{long}hi"}, text_format="html").text == "hi"


def test_html_without_text_is_empty() -> None:
    assert decode({"text": "<br><img src=x>"}, text_format="html").reason is Reason.EMPTY


def test_html_needs_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "html_text", None)
    with pytest.raises(UsageError, match="text_format = html") as refusal:
        decode({"text": "x"}, text_format="html")
    assert "[html]" in refusal.value.fix


def test_the_data_of_a_cloud_event_is_mapped() -> None:
    envelope = orjson.dumps(ENVELOPE | {"data": TICKET})
    for value, headers in ((orjson.dumps(TICKET), BINARY), (envelope, STRUCTURED)):
        event = decode(value, headers, text_field="ticket.subject", id_field="ticket.id")
        assert (event.id, event.text) == ("35436", "Refund")
        assert decode(value, headers, text_field="ticket.subject").id == "ce-7"


def test_plain_text_in_a_mapped_route_is_the_text() -> None:
    assert decode(b"bare", (("content-type", b"text/plain"),), text_field="a.b").text == "bare"


@pytest.mark.parametrize("data", [*(ACCEPTED | LEFT_OPEN).values()], ids=[*(ACCEPTED | LEFT_OPEN)])
@pytest.mark.usefixtures("record_path")
def test_both_paths_read_unusual_json_alike(data: tuple[bytes, Any]) -> None:
    """`decode` compares the two paths of the decoder."""
    for place in (
        b'{"a":{"b":"hi"},"id":%b}',
        b'{"a":{"b":"hi","c":%b}}',
        b'{"a":%b,"a":{"b":"hi"}}',
        b'{"a":{"b":%b}}',
    ):
        decode(place % data[0], text_field="a.b", metadata_fields="m=a.c")


@pytest.mark.parametrize("data", [*MALFORMED.values()], ids=[*MALFORMED])
@pytest.mark.usefixtures("record_path")
def test_malformed_json_is_a_dead_letter(data: bytes) -> None:
    for place in (b'{"a":{"b":"hi"},"x":%b}', b'{"a":{"b":"hi","c":%b}}'):
        assert isinstance(decode(place % data, text_field="a.b"), DeadLetter)


NAMES = st.sampled_from(["a", "b", "id", "0", "*", "metadata", "text", "time", "a.b", 'q"', "\\", ""])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
POINTER = st.lists(NAMES, min_size=1, max_size=3).map(
    lambda steps: "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)
)


@given(st.dictionaries(NAMES, JSON, max_size=4), POINTER, POINTER, POINTER)
def test_any_event_and_any_path_has_one_outcome(
    event: dict[str, Any], text: str, event_id: str, column: str
) -> None:
    decoded = decode(
        json.dumps(event).encode(), text_field=text, id_field=event_id, metadata_fields={"m": column}
    )
    assert isinstance(decoded, Event | DeadLetter)
