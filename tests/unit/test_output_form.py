"""Forms of label records: copied fields, enriched events, and CloudEvents with an identity of their own."""

import json
from base64 import b64encode
from typing import Any

import orjson
import pytest
from cloudevents.v1.conversion import to_dict
from cloudevents.v1.kafka import KafkaMessage, from_binary, from_structured
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import Reason
from stream.records import (
    DeadLetter,
    Decoder,
    Event,
    LabelEncoder,
    Outgoing,
    Tombstone,
    dead_letter_headers,
    make_output_form,
    pack_record,
    tombstone_headers,
)
from stream.records.cloud_event_output import CloudEventWriter
from stream.routes import Route
from tests.unit.decoding import BINARY, ENVELOPE, STRUCTURED, Headers, typed
from tests.unit.record_path import record_path
from tests.unit.records import SOURCE, FakeRecord, as_read
from tests.unit.test_encode import DIGEST, MEMBERS, NOW_MS

__all__ = ["record_path"]
pytestmark = pytest.mark.usefixtures("record_path")

PRETTY = b'{\n  "b" : 1.50,\t"text": "hi",\n  "a": [1e3, {"x": "\\u00e9"}]\n}\n'


def route(**options: Any) -> Route:
    return Route(name="mail", input_topic="texts", output_topic="labels", bundle="b", **options)


def label(value: Any, headers: Headers = (), **options: Any) -> Outgoing:
    """Return the label record of an event of a route with these options."""
    data = value if isinstance(value, bytes) else orjson.dumps(value)
    chosen = route(**options)
    decoder = Decoder(chosen, max_event_bytes=1 << 20, max_text_chars=1000)
    (event,) = decoder.decode_all(SOURCE, [as_read(FakeRecord(data, headers=headers, key=b"k"))])
    assert isinstance(event, Event), event
    form = make_output_form(chosen, "group 1")
    encoder = LabelEncoder(name="support", version="3", digest=DIGEST, variant="fp32", output=form)
    (record,) = encoder.write(SOURCE, NOW_MS, [event], [(MEMBERS, b"", False)])
    return record


def value_of(record: Outgoing) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(record.value or b"")
    return found


def attributes(record: Outgoing) -> dict[str, str]:
    return {name: value.decode() for name, value in record.headers if name.startswith("ce_")}


def test_fields_of_the_input_are_copied_under_event() -> None:
    event = {"text": "hi", "customer": {"id": 7, "name": "Ada", "plan": {"a": 1.0}}, "x.y": [1], "z": None}
    include = "text,customer.id,customer.plan,/x.y,z,missing.a,customer.none,text.x"
    copied = value_of(label(event, include=include))["event"]
    assert copied == {"customer": {"id": 7, "plan": {"a": 1.0}}, "x.y": [1], "z": None, "text": "hi"}


def test_the_text_that_is_copied_is_the_one_that_the_model_read() -> None:
    event = {"body": "<b>hi</b>", "text": "other"}
    assert value_of(label(event, text_field="body", text_format="html", include="text"))["event"] == {
        "text": "hi"
    }
    assert value_of(label(event, text_field="body", include="/text"))["event"] == {"text": "other"}


@pytest.mark.parametrize("include", ["a,a.b", "a.b,a"])
def test_a_whole_object_includes_its_members(include: str) -> None:
    assert value_of(label({"text": "x", "a": {"b": 1, "c": 2}}, include=include))["event"] == {
        "a": {"b": 1, "c": 2}
    }


def test_copied_numbers_stay_byte_for_byte() -> None:
    value = b'{"text":"x","n":[1.50,1e2,12345678901234567890123]}'
    assert b'"event":{"n":[1.50,1e2,12345678901234567890123]}' in (label(value, include="n").value or b"")


def test_a_text_has_only_its_text_to_copy() -> None:
    copied = value_of(label(b'{"a":1}', input_format="text", include="text,a"))["event"]
    assert copied == {"text": '{"a":1}'}
    assert value_of(label(b"bare", typed(b"text/plain"), include="text,a"))["event"] == {"text": "bare"}


def test_a_label_event_has_no_member_event_without_include() -> None:
    assert "event" not in value_of(label({"text": "x", "event": 1}))


def test_an_enriched_event_is_the_input_with_one_more_member() -> None:
    record = label(PRETTY, output="enrich")
    written = record.value or b""
    assert written.startswith(PRETTY.rstrip()[:-1] + b',"labelstream":{"id":"texts-3-1041","label":"billing"')
    assert written.endswith(b"}}")
    assert list(value_of(record)) == ["b", "text", "a", "labelstream"]
    assert value_of(record)["labelstream"] == value_of(label(PRETTY))
    assert record.key == b"k"


def test_the_added_member_has_the_name_of_its_setting() -> None:
    assert list(value_of(label({"text": "x"}, output="enrich", label_field='my "label"'))) == [
        "text",
        'my "label"',
    ]


@pytest.mark.parametrize("old", [b'"labelstream":{"label":"old"},', b'"label\\u0073tream": 7 ,'])
def test_a_member_of_this_name_is_replaced(old: bytes) -> None:
    record = label(b'{%b"text":"x","n":1.50}' % old, output="enrich")
    pairs = json.loads(record.value or b"", object_pairs_hook=list)
    assert [name for name, _ in pairs] == ["text", "n", "labelstream"]
    assert b"1.50" in (record.value or b"")


def test_the_name_in_a_string_is_no_member() -> None:
    value = b'{"text":"x", "about" : "labelstream" }'
    assert (label(value, output="enrich").value or b"").startswith(value[:-1])


@pytest.mark.parametrize("written", [b"a/b", b"a\\/b", b"a\\u002fb", b"\\u0061/b"])
def test_an_earlier_member_is_replaced_however_its_name_is_written(written: bytes) -> None:
    record = label(b'{"%b":{"label":"old"},"text":"x"}' % written, output="enrich", label_field="a/b")
    pairs = json.loads(record.value or b"", object_pairs_hook=list)
    assert [name for name, _ in pairs] == ["text", "a/b"]
    assert value_of(record)["a/b"]["label"] == "billing"


def test_a_text_cannot_be_enriched() -> None:
    decoder = Decoder(route(output="enrich"), max_event_bytes=1000, max_text_chars=1000)
    for value, headers in ((b"hi", typed(b"text/plain")), (b'"hi"', BINARY)):
        (dead,) = decoder.decode_all(SOURCE, [as_read(FakeRecord(value, headers=headers))])
        assert isinstance(dead, DeadLetter)
        assert dead.reason is Reason.SCHEMA
        assert "output = enrich needs a JSON object" in dead.message


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
        st.none() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
        max_size=4,
    ),
    st.sampled_from([None, 1, "\t"]),
)
def test_any_event_is_kept_when_it_is_enriched(event: dict[str, Any], indent: Any) -> None:
    given_event = event | {"text": "hi"}
    given_event.pop("labelstream", None)
    given_event = {
        name: value
        for name, value in given_event.items()
        if name not in ("id", "time", "metadata", "text_pair")
    }
    value = json.dumps(given_event, indent=indent).encode()
    written = value_of(label(value, output="enrich"))
    written.pop("labelstream")
    assert written == orjson.loads(value)


def message_of(record: Outgoing) -> KafkaMessage:
    return KafkaMessage(headers=dict(record.headers), key=record.key, value=record.value or b"")


def test_a_binary_cloud_event_gets_a_label_event_with_its_own_identity() -> None:
    extensions = (*BINARY, ("ce_time", b"2026-01-02T03:04:05Z"), ("ce_tenant", b"acme"), ("other", b"1"))
    record = label({"text": "hi"}, extensions)
    assert attributes(record) == {
        "ce_specversion": "1.0",
        "ce_id": "texts-3-1041",
        "ce_source": "urn:labelstream:group%201:mail",
        "ce_type": "dev.labelstream.label.v1",
        "ce_subject": "ce-7",
        "ce_time": "2026-11-20T10:00:01.234Z",
        "ce_inputid": "ce-7",
        "ce_inputsource": "/shop",
    }
    assert ("other", b"1") in record.headers
    assert [value for name, value in record.headers if name == "content-type"] == [b"application/json"]
    parsed = to_dict(from_binary(message_of(record)))
    assert (parsed["type"], parsed["inputid"], parsed["data"]["label"]) == (
        "dev.labelstream.label.v1",
        "ce-7",
        "billing",
    )


def test_a_structured_cloud_event_gets_a_structured_label_event() -> None:
    record = label(ENVELOPE | {"data": {"text": "hi"}, "tenant": "acme"}, STRUCTURED)
    assert attributes(record) == {}
    assert [value for name, value in record.headers if name == "content-type"] == [
        b"application/cloudevents+json"
    ]
    parsed = to_dict(from_structured(message_of(record)))
    assert (parsed["id"], parsed["subject"], parsed["inputsource"]) == ("texts-3-1041", "ce-7", "/shop")
    assert parsed["data"]["label"] == "billing"
    assert "tenant" not in parsed


@pytest.mark.parametrize("mode", ["binary", "structured"])
@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (b'{"id":"t-1","text":"hi"}', ()),
        (b'{"id":"t-1","text":"hi"}', BINARY),
        (orjson.dumps(ENVELOPE | {"data": {"id": "t-1", "text": "hi"}}), STRUCTURED),
        (b"hi", typed(b"text/plain")),
    ],
    ids=["json", "binary", "structured", "text"],
)
def test_the_format_of_outputs_can_be_fixed(mode: str, value: bytes, headers: Headers) -> None:
    record = label(value, headers, output_format=f"cloudevents-{mode}")
    read = from_binary if mode == "binary" else from_structured
    parsed = to_dict(read(message_of(record)))
    assert parsed["data"]["label"] == "billing"
    assert ("inputid" in parsed) == (headers in (BINARY, STRUCTURED))
    plain = label(value, headers, output_format="json")
    assert value_of(plain)["label"] == "billing"
    assert attributes(plain) == {}
    assert ("content-type", b"application/json") in plain.headers


def test_the_data_of_a_cloud_event_is_enriched_or_copied() -> None:
    data = {"text": "hi", "customer": {"id": 7}}
    encoded = b64encode(orjson.dumps(data)).decode()
    for value, headers, output_format in (
        (orjson.dumps(data), BINARY, "json"),
        (orjson.dumps(ENVELOPE | {"data": data}), STRUCTURED, "json"),
        (
            orjson.dumps(ENVELOPE | {"data_base64": encoded}),
            STRUCTURED,
            "json",
        ),
    ):
        enriched = value_of(label(value, headers, output="enrich", output_format=output_format))
        assert enriched.pop("labelstream")["label"] == "billing"
        assert enriched == data
        copied = value_of(label(value, headers, include="customer.id", output_format=output_format))
        assert copied["event"] == {"customer": {"id": 7}}
    structured = value_of(label(orjson.dumps(ENVELOPE | {"data": data}), STRUCTURED, output="enrich"))
    assert list(structured["data"]) == ["text", "customer", "labelstream"]


def test_headers_that_look_like_attributes_are_copied_without_a_cloud_event() -> None:
    record = label({"text": "hi"}, (("ce_tenant", b"acme"),))
    assert attributes(record) == {"ce_tenant": "acme"}


def test_a_tombstone_has_no_attributes_and_a_dead_letter_keeps_them() -> None:
    """A dead letter has the bytes of the input, so it is that event."""
    record = as_read(FakeRecord(None, headers=(*BINARY, ("h", b"1"))))
    assert [name for name, _ in tombstone_headers(Tombstone(record, "t-1"))] == ["h", "labelstream-id"]
    dead = DeadLetter(as_read(FakeRecord(b"{", headers=BINARY)), SOURCE, "t-1", Reason.DECODE, "m")
    assert [*dead_letter_headers(dead, "g")][: len(BINARY)] == [*BINARY]


VERSION_0_3 = ENVELOPE | {"specversion": "0.3", "datacontentencoding": "Base64"}


@pytest.mark.parametrize(
    "envelope",
    [
        ENVELOPE | {"data": {"text": "hi"}, "data_base64": None},
        ENVELOPE | {"data": None, "data_base64": "eyJ0ZXh0IjoiaGkifQ=="},
        ENVELOPE | {"data": {"text": "hi"}, "datacontentencoding": "base64"},
        VERSION_0_3 | {"data": "eyJ0ZXh0IjoiaGkifQ=="},
        VERSION_0_3 | {"data": {"text": "hi"}, "datacontentencoding": None},
    ],
)
def test_the_data_of_every_structured_form_is_found(envelope: dict[str, Any]) -> None:
    """The output reads the data as the decoder does."""
    value = orjson.dumps(envelope)
    enriched = value_of(label(value, STRUCTURED, output="enrich", output_format="json"))
    assert enriched.pop("labelstream")["label"] == "billing"
    assert enriched == {"text": "hi"}
    assert value_of(label(value, STRUCTURED, include="text,/text", output_format="json"))["event"] == {
        "text": "hi"
    }


def test_of_repeated_attributes_the_last_one_counts() -> None:
    value = b'{"id":1,"source":[],' + orjson.dumps(ENVELOPE | {"data": {"text": "hi"}})[1:]
    written = value_of(label(value, STRUCTURED))
    assert (written["inputid"], written["inputsource"]) == ("ce-7", "/shop")


@pytest.mark.parametrize(
    ("value", "headers", "copied"),
    [
        (b'{"text":"hi","a":1}', typed(b"application/json"), {"a": 1}),
        (b'{"text":"hi","a":1}', (), {}),
        (b'{"text":"hi","a":1}', typed(b"text/html"), {}),
        (b'{"text":"hi","a":1}', BINARY, {"a": 1}),
    ],
)
def test_the_content_type_decides_what_a_route_of_texts_copies(
    value: bytes, headers: Headers, copied: dict[str, Any]
) -> None:
    record = label(value, headers, input_format="text", include="a", output_format="json")
    assert value_of(record)["event"] == copied


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_attributes_that_nothing_has_checked_may_be_missing(mode: Any) -> None:
    """The decoder of a value with a schema does not look at the headers of CloudEvents."""
    headers = (("ce_specversion", b"1.0"), ("ce_id", b"\xff"))
    event = Event(as_read(FakeRecord(b"\x00frame", headers=headers)), "t-1", "hi")
    plain = pack_record(b"k", b"{}", [("h", b"1")], NOW_MS)
    value, written = CloudEventWriter("g", "r").write("binary", mode, SOURCE, NOW_MS, event, plain)
    found = {name: text.decode() for name, text in written if name.startswith("ce_input")}
    assert (value, found) == (b"{}", {"ce_inputid": "\N{REPLACEMENT CHARACTER}"} if mode == "binary" else {})
