"""Schemas of tickets in the formats of a schema registry, each with a reference to another schema."""

from functools import cache
from typing import Any

from stream.registry.protobuf import ProtobufParser
from stream.registry.registered import RegisteredSchema

CUSTOMER_AVRO = """{"type": "record", "name": "Customer", "namespace": "dev.shop", "fields": [
  {"name": "plan", "type": ["null", "string"], "default": null}]}"""
TICKET_AVRO = """{"type": "record", "name": "Ticket", "namespace": "dev.shop", "fields": [
  {"name": "id", "type": "string"},
  {"name": "body", "type": "string"},
  {"name": "customer", "type": "dev.shop.Customer"},
  {"name": "time", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}"""
CUSTOMER_JSON = '{"type": "object", "properties": {"plan": {"type": "string"}}}'
TICKET_JSON = """{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "title": "Ticket",
  "properties": {"id": {"type": "string"}, "body": {"type": "string"}, "time": {"type": "integer"},
  "customer": {"$ref": "customer.json"}}, "required": ["body"]}"""
ADDRESS_PROTO = """syntax = "proto3"; package shop; message Customer { string plan = 1; }"""
TICKET_PROTO = """syntax = "proto3"; package shop; import "shop/address.proto";
  import "google/protobuf/timestamp.proto";
  message Other { int32 number = 1; }
  message Ticket { message Envelope { string id = 1; string body = 2; Customer customer = 3;
    google.protobuf.Timestamp time = 4; } }"""
ENVELOPE = (1, 0)


@cache
def ticket_parser() -> ProtobufParser:
    """Return the parser of TICKET_PROTO."""
    references = {"shop/address.proto": ADDRESS_PROTO}
    return ProtobufParser(RegisteredSchema(9, "PROTOBUF", TICKET_PROTO, references))


def ticket_message(ticket: dict[str, Any]) -> Any:
    """Return a ticket as a message of the nested type in TICKET_PROTO."""
    message = ticket_parser()._message(ENVELOPE)
    message.id, message.body = ticket["id"], ticket["body"]
    message.customer.plan = ticket["customer"]["plan"]
    message.time.FromMilliseconds(ticket["time"])
    return message
