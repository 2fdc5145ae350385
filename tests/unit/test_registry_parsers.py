"""Tests of the parsers of Avro, JSON Schema and Protobuf values, without a registry."""

import base64
import datetime
import decimal
import io
import sys
import uuid
from typing import Any

import fastavro
import grpc_tools.protoc
import orjson
import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import Poison, Reason, UsageError
from stream.registry.avro import AvroParser, AvroWriter
from stream.registry.formats import UnusableSchema, check_libraries, make_parser
from stream.registry.json_schema import JsonSchemaParser
from stream.registry.protobuf import ProtobufParser
from stream.registry.registered import RegisteredSchema
from stream.schemas import load_schema, schema_text
from tests.unit.registry_schemas import (
    CUSTOMER_AVRO,
    CUSTOMER_JSON,
    TICKET_AVRO,
    TICKET_JSON,
    TICKET_PROTO,
    ticket_message,
    ticket_parser,
)

TICKET = {"id": "t-1", "body": "refund", "customer": {"plan": "pro"}, "time": 1_763_632_800_000}
INDEXES = bytes([4, 2, 0])


def avro(text: str, **references: str) -> AvroParser:
    return AvroParser(RegisteredSchema(7, "AVRO", text, references))


def written(schema: Any, value: Any) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), value)
    return stream.getvalue()


def ticket_avro() -> bytes:
    named: dict[str, Any] = {}
    fastavro.parse_schema(orjson.loads(CUSTOMER_AVRO), named)
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(orjson.loads(TICKET_AVRO), named), TICKET)
    return stream.getvalue()


def reason_of(parser: Any, payload: bytes) -> Reason:
    with pytest.raises(Poison) as raised:
        parser.parse(payload)
    assert "refund" not in raised.value.message
    return raised.value.reason


def test_avro_with_a_reference_keeps_times_as_numbers() -> None:
    parser = avro(TICKET_AVRO, customer=CUSTOMER_AVRO)
    assert parser.parse(ticket_avro()) == TICKET


@pytest.mark.parametrize(
    "change", [lambda p: p[:-1], lambda p: p + b"\x00", lambda p: b"\xff" * 12, lambda p: b""]
)
def test_avro_bytes_that_do_not_fit_are_dead_letters(change: Any) -> None:
    assert reason_of(avro(TICKET_AVRO, customer=CUSTOMER_AVRO), change(ticket_avro())) is Reason.DECODE


@given(st.binary(max_size=60))
def test_any_bytes_are_read_as_avro_or_a_dead_letter(payload: bytes) -> None:
    try:
        found = avro(TICKET_AVRO, customer=CUSTOMER_AVRO).parse(payload)
    except Poison as error:
        assert error.reason is Reason.DECODE
    else:
        assert found.keys() == TICKET.keys()


def test_a_value_of_any_depth_does_not_end_the_process() -> None:
    parser = avro('{"type": "record", "name": "N", "fields": [{"name": "next", "type": ["null", "N"]}]}')
    assert parser.parse(b"\x02\x02\x00") == {"next": {"next": {"next": None}}}
    assert reason_of(parser, b"\x02" * 100_000 + b"\x00") is Reason.DECODE
    json = JsonSchemaParser(RegisteredSchema(7, "JSON", '{"type": "object"}'))
    for levels in (500, 100_000):
        assert reason_of(json, b"[" * levels + b"]" * levels) is Reason.DECODE


def test_avro_types_that_json_lacks_become_strings() -> None:
    fields = [
        {"name": "raw", "type": "bytes"},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "key", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
    ]
    value = {
        "raw": b"ab",
        "price": decimal.Decimal("1.25"),
        "day": datetime.date(2026, 1, 2),
        "key": uuid.UUID(int=1),
        "kind": "B",
    }
    schema = {"type": "record", "name": "R", "fields": fields}
    found = avro(orjson.dumps(schema).decode()).parse(written(schema, value))
    assert found == {
        "raw": "YWI=",
        "price": "1.25",
        "day": "2026-01-02",
        "key": "00000000-0000-0000-0000-000000000001",
        "kind": "B",
    }


@pytest.mark.parametrize(("number", "scale"), [(0, 0), (-125, 2), (-(10**40), 3), (7, 0), (5, 400)])
@pytest.mark.parametrize("kind", [{"type": "bytes"}, {"type": "fixed", "name": "F", "size": 20}])
def test_avro_decimals_are_exact(kind: dict[str, Any], number: int, scale: int) -> None:
    schema = {**kind, "logicalType": "decimal", "precision": 48, "scale": scale}
    plain = number.to_bytes(20, signed=True)
    payload = plain if kind["type"] == "fixed" else b"\x28" + plain
    found = avro(orjson.dumps(schema).decode()).parse(payload)
    assert decimal.Decimal(found) == decimal.Decimal(f"{number}E-{scale}")


def test_an_avro_decimal_of_megabytes_is_a_dead_letter_at_once() -> None:
    parser = avro('{"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}')
    assert reason_of(parser, written("bytes", b"\x7f" * 4_000_000)) is Reason.DECODE
    assert parser.parse(written("bytes", b"\x00" * 900 + b"\x7d")) == "1.25"


def nested(levels: int, width: int, last: str) -> list[Any]:
    """Return records that hold `width` records of the level below, down to `last`."""
    records: list[Any] = [{"type": "record", "name": "R0", "fields": fields(width, last)}]
    for level in range(1, levels):
        inner = fields(width, f"R{level - 1}")
        records.append({"type": "record", "name": f"R{level}", "fields": inner})
    return records


def fields(width: int, of: Any) -> list[Any]:
    return [{"name": f"f{at}", "type": of} for at in range(width)]


def schema_of(levels: int, width: int, last: str, top: Any) -> RegisteredSchema:
    references = {record["name"]: orjson.dumps(record).decode() for record in nested(levels, width, last)}
    return RegisteredSchema(7, "AVRO", orjson.dumps(top).decode(), references)


@pytest.mark.parametrize(
    "top",
    [
        "R29",
        {"type": "array", "items": ["null", "R29"]},
        {"type": "map", "values": "R29"},
        {
            "type": "record",
            "name": "T",
            "fields": [{"name": "a", "type": "string"}, {"name": "b", "type": "R29"}],
        },
    ],
)
@pytest.mark.parametrize(("width", "last"), [(2, "null"), (10, "null")])
def test_a_schema_whose_values_are_much_larger_than_their_bytes_is_refused(
    top: Any, width: int, last: str
) -> None:
    parser = make_parser(schema_of(30, width, last, top))
    assert isinstance(parser, UnusableSchema)


@pytest.mark.parametrize(("levels", "width", "last"), [(8, 4, "string"), (15, 1, "long"), (30, 2, "int")])
def test_nested_records_with_values_are_read(levels: int, width: int, last: str) -> None:
    top = {"type": "array", "items": f"R{levels - 1}"}
    parser = make_parser(schema_of(levels, width, last, top))
    assert not isinstance(parser, UnusableSchema)
    assert parser.parse(b"\x00") == []


def test_json_is_validated_by_its_schema_and_its_references() -> None:
    parser = JsonSchemaParser(RegisteredSchema(7, "JSON", TICKET_JSON, {"customer.json": CUSTOMER_JSON}))
    assert parser.parse(orjson.dumps(TICKET)) == TICKET
    assert parser.parse(b'{"body": "x", "id": "1", "time": 123456789012345678901234567890}')["time"] > 2**64
    assert reason_of(parser, b'{"body": "refund", "customer": {"plan": 1}}') is Reason.SCHEMA
    assert reason_of(parser, b'{"refund": 1}') is Reason.SCHEMA
    assert reason_of(parser, b'{"body": "refund"') is Reason.DECODE
    assert reason_of(parser, b"\xff\xfe") is Reason.DECODE


def test_protobuf_reads_the_message_that_the_frame_names() -> None:
    payload = INDEXES + ticket_message(TICKET).SerializeToString()
    assert ticket_parser().parse(payload) == {**TICKET, "time": "2025-11-20T10:00:00Z"}
    assert ticket_parser().parse(b"\x00\x08\x05") == {"number": 5}
    assert ticket_parser().parse(INDEXES) == {"id": "", "body": ""}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", Reason.DECODE),
        (INDEXES + b"\x0a\x7f", Reason.DECODE),
        (bytes([2, 8]), Reason.SCHEMA),
        (bytes([4, 2, 5]), Reason.SCHEMA),
    ],
)
def test_broken_protobuf_is_a_dead_letter(payload: bytes, reason: Reason) -> None:
    assert reason_of(ticket_parser(), payload) is reason


def test_a_protobuf_message_whose_defaults_fill_the_memory_is_a_dead_letter() -> None:
    wide = " ".join(f"int32 f{at} = {at};" for at in range(1, 2001))
    text = f'syntax = "proto3"; message L {{ repeated W w = 1; }} message W {{ {wide} }}'
    parser = ProtobufParser(RegisteredSchema(7, "PROTOBUF", text))
    assert len(parser.parse(b"\x00" + b"\x0a\x00" * 50)["w"]) == 50
    assert reason_of(parser, b"\x00" + b"\x0a\x00" * 10_000) is Reason.TOO_LARGE


@pytest.mark.parametrize(
    "name", ["--python_out=.", "--plugin=protoc-gen-x=/bin/sh", "@/etc/passwd", "-I/", "google/protobuf/../x"]
)
def test_an_import_of_a_descriptor_is_no_argument_of_protoc(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    descriptor = descriptor_pb2.FileDescriptorProto(name="a.proto", dependency=[name])
    monkeypatch.setattr(grpc_tools.protoc, "main", lambda _: pytest.fail("protoc was called"))
    text = base64.b64encode(descriptor.SerializeToString()).decode()
    with pytest.raises(ValueError, match="an import is neither"):
        ProtobufParser(RegisteredSchema(7, "PROTOBUF", text))


@pytest.mark.parametrize(
    "schema",
    [
        RegisteredSchema(7, "AVRO", '{"type": "record"}'),
        RegisteredSchema(7, "JSON", "{"),
        RegisteredSchema(7, "PROTOBUF", "message {"),
        RegisteredSchema(7, "PROTOBUF", TICKET_PROTO),
        RegisteredSchema(7, "PROTOBUF", TICKET_PROTO, {"../address.proto": ""}),
        RegisteredSchema(7, "THRIFT", ""),
        # Two bytes could stand for an array of any length.
        RegisteredSchema(7, "AVRO", '{"type": "array", "items": "null"}'),
        RegisteredSchema(
            7, "AVRO", '{"type": "array", "items": {"type": "record", "name": "E", "fields": []}}'
        ),
    ],
)
def test_a_schema_that_cannot_be_read_makes_dead_letters(schema: RegisteredSchema) -> None:
    parser = make_parser(schema)
    assert isinstance(parser, UnusableSchema)
    assert reason_of(parser, b"refund") is Reason.SCHEMA
    assert "7" in parser.message


@pytest.mark.parametrize(
    ("kind", "module"), [("AVRO", "fastavro"), ("JSON", "jsonschema_rs"), ("PROTOBUF", "grpc_tools")]
)
def test_a_missing_library_is_an_error_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, kind: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError) as raised:
        check_libraries(kind)
    assert "[schemas]" in raised.value.fix


LABEL = {
    "id": "t-1",
    "model": {"name": "m", "version": "1", "digest": "sha256:0", "variant": "fp32"},
    "cached": False,
    "source": {"topic": "texts", "partition": 3, "offset": 2**40},
    "time": "2026-01-01T00:00:00Z",
    "labelled_at": "2026-01-01T00:00:00Z",
}


@pytest.mark.parametrize(
    "members",
    [
        {"label": "a", "score": 0.75, "scores": {"a": 0.75, "b": 0.25}},
        {"label": None, "abstained": True, "scores": {"a": 0.5}},
        {"label": "4", "score": 0.5, "scores": {"4": 0.5}, "value": 4.25},
        {"labels": ["a", "b"], "scores": {"a": 0.75, "b": 0.5}},
        {"labels": [], "abstained": True, "scores": {"a": 0.25}},
        {"value": 3.5},
        {"value": 3},
        {"spans": [{"type": "PER", "start": 0, "end": 4, "text": "Anna", "score": 0.5}]},
    ],
)
def test_the_avro_schema_holds_the_label_events_of_every_head(members: dict[str, Any]) -> None:
    text = schema_text("label.v1.avsc")
    found = avro(text).parse(AvroWriter(text).write({**members, **LABEL}))
    missing = {"label", "score", "scores", "labels", "value", "spans"} - members.keys()
    assert found == {"abstained": False, **dict.fromkeys(missing), **members, **LABEL}


def test_the_avro_schema_has_the_members_of_the_json_schema() -> None:
    fields = {field["name"] for field in orjson.loads(schema_text("label.v1.avsc"))["fields"]}
    # The settings refuse `include`, which writes the member `event`, with Avro.
    assert fields == load_schema("label.v1")["properties"].keys() - {"event"}
