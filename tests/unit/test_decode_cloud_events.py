"""CloudEvents: the data is read as its content type says, and attributes that are not read do no harm."""

from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from cloudevents.core.bindings.kafka import to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from stream.errors import Reason
from stream.records import Event
from tests.unit.decoding import (
    BINARY,
    ENVELOPE,
    POSITION,
    STRUCTURED,
    Headers,
    dead_letter,
    decoder,
    event,
    typed,
)
from tests.unit.record_path import record_path
from tests.unit.records import SOURCE, FakeRecord

__all__ = ["record_path"]
pytestmark = pytest.mark.usefixtures("record_path")

EVENT = b'{"id":"own","text":"hi"}'
AVRO = b"Obj\x01\x04\x14avro.codec"


def structured(**members: Any) -> bytes:
    return orjson.dumps({**ENVELOPE, **members})


def base64_data(data: bytes, content_type: str | None = None) -> bytes:
    members = {} if content_type is None else {"datacontenttype": content_type}
    return structured(data_base64=b64encode(data).decode(), **members)


@pytest.mark.parametrize(
    ("data", "content_type", "text", "event_id"),
    [
        (EVENT, "application/json", "hi", "own"),
        (EVENT, "application/json; charset=utf-8", "hi", "own"),
        (EVENT, "application/vnd.shop+json", "hi", "own"),
        (EVENT, "text/json", "hi", "own"),
        (b'{"text":"hi"}', "application/json", "hi", "ce-7"),
        (b'"hi"', "application/json", "hi", "ce-7"),
        (EVENT, None, "hi", "own"),
        (b" \n" + EVENT, None, "hi", "own"),
        (b"hi", None, "hi", "ce-7"),
        (EVENT, "text/plain", EVENT.decode(), "ce-7"),
        ("grüße".encode("utf-16"), "text/plain; charset=utf-16", "grüße", "ce-7"),
        ("返金".encode("shift_jis"), 'text/plain; charset="Shift_JIS"', "返金", "ce-7"),
        (b"<p>hi</p>", "text/html", "<p>hi</p>", "ce-7"),
    ],
)
def test_base64_data_follows_its_content_type(
    data: bytes, content_type: str | None, text: str, event_id: str
) -> None:
    found = event(base64_data(data, content_type), STRUCTURED)
    assert (found.text, found.id) == (text, event_id)
    old = {
        **ENVELOPE,
        "specversion": "0.3",
        "datacontentencoding": "base64",
        "data": b64encode(data).decode(),
    }
    if content_type is not None:
        old["datacontenttype"] = content_type
    found = event(orjson.dumps(old), STRUCTURED)
    assert (found.text, found.id) == (text, event_id)
    if content_type is not None:
        found = event(data, (*BINARY, *typed(content_type.encode())))
        assert (found.text, found.id) == (text, event_id)


@pytest.mark.parametrize(
    "content_type",
    ["application/avro", "avro/binary", "application/octet-stream", "application/xml", "image/png", "?"],
)
def test_other_data_is_a_dead_letter_that_names_its_type(content_type: str) -> None:
    expected = f"data of the type '{content_type}' is neither JSON nor text"
    for value in (AVRO, b"readable text", EVENT):
        for written, headers in (
            (base64_data(value, content_type), STRUCTURED),
            (value, (*BINARY, *typed(content_type.encode()))),
        ):
            dead = dead_letter(written, headers, Reason.SCHEMA)
            assert dead.message == expected
    for data in ("<text/>", {"text": "hi"}):
        dead = dead_letter(structured(data=data, datacontenttype=content_type), STRUCTURED, Reason.SCHEMA)
        assert dead.message == expected


def test_a_long_type_is_cut_in_the_message() -> None:
    dead = dead_letter(AVRO, (*BINARY, *typed(b"application/\xff\n" + b"x" * 900)), Reason.SCHEMA)
    assert len(dead.message) < 130
    assert dead.message.isprintable()
    assert dead.message.isascii()


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"data": {"text": "hi"}}, "hi"),
        ({"data": {"text": "hi"}, "datacontenttype": "application/json"}, "hi"),
        ({"data": "hi", "datacontenttype": "application/json"}, "hi"),
        ({"data": '{"text":"hi"}', "datacontenttype": "application/json"}, '{"text":"hi"}'),
        ({"data": "hi", "datacontenttype": "text/plain; charset=utf-16"}, "hi"),
        ({"data": "hi", "data_base64": None}, "hi"),
        ({"data": None, "data_base64": "aGk="}, "hi"),
        ({"data": "hi", "time": None, "datacontenttype": None}, "hi"),
        ({"data": "hi", "subject": "", "dataschema": 7, "Extension_Name": {"deep": [1]}}, "hi"),
        ({"data": "aGk=", "datacontentencoding": "base64"}, "aGk="),
    ],
)
def test_the_data_of_an_envelope_is_read(members: dict[str, Any], text: str) -> None:
    assert event(structured(**members), STRUCTURED).text == text


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"specversion": "2.0"}, "not a CloudEvent: specversion must be 1.0 or 0.3"),
        ({"specversion": 1.0}, "not a CloudEvent: specversion must be 1.0 or 0.3"),
        ({"specversion": None}, "not a CloudEvent: specversion must be 1.0 or 0.3"),
        ({"id": ""}, "not a CloudEvent: id must be a string that is not empty"),
        ({"id": None}, "not a CloudEvent: id must be a string that is not empty"),
        ({"id": 7}, "not a CloudEvent: id must be a string that is not empty"),
        ({"id": ["a"]}, "not a CloudEvent: id must be a string that is not empty"),
        ({"type": None}, "not a CloudEvent: type must be a string that is not empty"),
        ({"source": {}}, "not a CloudEvent: source must be a string that is not empty"),
        ({"id": "i" * 1025}, "id has 1025 characters, 1024 are allowed"),
        ({"datacontenttype": 7}, "not a CloudEvent: datacontenttype must be a string"),
        (
            {"datacontenttype": "text/plain"},
            "not a CloudEvent: data must be a string, since its type is 'text/plain'",
        ),
        ({"data_base64": "aGk="}, "not a CloudEvent: data and data_base64 exclude each other"),
        ({"data": None, "data_base64": "a$Gk="}, "not a CloudEvent: the data is not Base64"),
        ({"data": None, "data_base64": "aGk"}, "not a CloudEvent: the data is not Base64"),
        ({"data": None, "data_base64": "äää"}, "not a CloudEvent: the data is not Base64"),
        ({"data": None, "data_base64": {"a": 1}}, "not a CloudEvent: the data is not Base64"),
        ({"data": None}, "text is missing: the event has no data"),
        ({"data": 7}, "the event's data is a number, not an object"),
    ],
)
def test_an_invalid_envelope_is_a_dead_letter(members: dict[str, Any], message: str) -> None:
    value = structured(**{"data": {"text": "hi"}, **members})
    assert dead_letter(value, STRUCTURED, Reason.SCHEMA).message == message


@pytest.mark.parametrize("name", ["ce_id", "ce_type", "ce_source"])
def test_a_required_header_is_utf_8_and_not_empty(name: str) -> None:
    others = tuple(pair for pair in BINARY if pair[0] != name)
    for value in (b"", b"\xff", None):
        dead = dead_letter(EVENT, (*others, (name, value)), Reason.SCHEMA)  # type: ignore[arg-type]
        assert dead.message.startswith("not a CloudEvent: ")
    assert dead_letter(EVENT, others, Reason.SCHEMA).id == POSITION


@pytest.mark.parametrize(
    "foreign",
    [
        ("other", None),
        ("other", b"\xff\xfe"),
        ("ce_extension", b"\xff"),
        ("ce_extension", None),
        ("ce_Not-A-Name", b"1"),
        ("ce_data", b"1"),
        ("ce_", b"1"),
        ("grüße", b"1"),
    ],
)
def test_foreign_headers_of_a_binary_cloud_event_do_no_harm(foreign: tuple[str, Any]) -> None:
    for headers in ((*BINARY, foreign), (foreign, *BINARY)):
        assert event(EVENT, headers).text == "hi"
    assert event(structured(data={"text": "hi"}), (*STRUCTURED, foreign)).text == "hi"


def test_a_header_name_that_is_not_utf_8_does_no_harm() -> None:
    name = b"n\xff".decode("utf-8", "surrogateescape")
    for value, headers in ((EVENT, BINARY), (structured(data={"text": "hi"}), STRUCTURED)):
        (found,) = decoder().decode_all(SOURCE, [FakeRecord(value, headers=((name, b"\xff"), *headers))])
        assert isinstance(found, Event)


@pytest.mark.parametrize("kind", ["avro", "protobuf", "xml"])
def test_another_event_format_is_a_dead_letter_that_names_it(kind: str) -> None:
    for media in (f"application/cloudevents+{kind}", "application/cloudevents-batch+json"):
        dead = dead_letter(AVRO, typed(media.encode()), Reason.SCHEMA)
        assert f"'{media}'" in dead.message


def test_an_empty_own_id_gives_way_to_that_of_the_cloud_event() -> None:
    assert event(b'{"id":"","text":"hi"}', BINARY).id == "ce-7"
    assert event(structured(data={"id": "", "text": "hi"}), STRUCTURED).id == "ce-7"


@pytest.mark.parametrize(
    "time",
    [
        "9999-12-31T24:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-01-02T03:04:05+99:99",
        "2026-01-02T03:04:61Z",
        "2026-06-15T12:00:60Z",
        "2026-01-02T03:04:05",
        "2026-01-02",
        "2026-W01-1T00:00:00Z",
        "٢٠٢٦-01-02T03:04:05Z",
        "",
        "tomorrow",
        "9" * 5000,
    ],
)
def test_a_time_that_is_not_rfc_3339_is_not_a_cloud_event(time: str) -> None:
    message = "not a CloudEvent: time must be a date-time of RFC 3339"
    assert dead_letter(EVENT, (*BINARY, ("ce_time", time.encode())), Reason.SCHEMA).message == message
    assert dead_letter(structured(time=time, data="hi"), STRUCTURED, Reason.SCHEMA).message == message


def test_a_time_that_is_not_a_string_is_not_a_cloud_event() -> None:
    times: list[Any] = [12, True, ["2026-01-02T03:04:05Z"], {}]
    for time in times:
        dead_letter(structured(time=time, data="hi"), STRUCTURED, Reason.SCHEMA)


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05+00:00"),
        ("2026-01-02T03:04:05.123456789-08:00", "2026-01-02T03:04:05.123456789-08:00"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:60+00:00"),
        ("0000-01-01t00:00:00z", "0000-01-01T00:00:00+00:00"),
    ],
)
def test_the_time_of_a_cloud_event_is_copied(time: str, shown: str) -> None:
    assert event(EVENT, (*BINARY, ("ce_time", time.encode()))).time == shown
    assert event(structured(time=time, data="hi"), STRUCTURED).time == shown


def test_the_time_of_the_data_takes_precedence_if_it_is_rfc_3339() -> None:
    headers: Headers = (*BINARY, ("ce_time", b"2026-01-02T03:04:05Z"))
    assert event(b'{"text":"hi","time":"2025-01-01T00:00:00Z"}', headers).time == "2025-01-01T00:00:00Z"
    assert event(b'{"text":"hi","time":"yesterday"}', headers).time == "2026-01-02T03:04:05+00:00"


@pytest.mark.parametrize(
    ("data", "content_type", "text"),
    [
        ({"id": "own", "text": "hi"}, "application/json", "hi"),
        ({"id": "own", "text": "hi"}, None, "hi"),
        ("hi", "text/plain", "hi"),
        (b"hi", "text/plain", "hi"),
        (EVENT, "application/json", "hi"),
    ],
)
def test_what_the_cloudevents_library_writes_is_read(data: Any, content_type: str | None, text: str) -> None:
    attributes: dict[str, Any] = {
        "id": "ce-7",
        "type": "t",
        "source": "/shop",
        "subject": "s",
        "traceparent": "x",
        "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    }
    if content_type is not None:
        attributes["datacontenttype"] = content_type
    for write in (to_binary, to_structured):
        message = write(CloudEvent(dict(attributes), data), JSONFormat())
        found = event(message.value, tuple(message.headers.items()))
        assert (found.text, found.time) == (text, "2026-01-02T03:04:05+00:00")
        assert found.id == ("own" if "own" in str(data) else "ce-7")
