"""The parsers of the values that were written with a registered schema."""

from dataclasses import dataclass
from typing import Any, Protocol

from stream.errors import Fatal, Poison, Reason
from stream.registry.avro import AvroParser, load_fastavro
from stream.registry.json_schema import JsonSchemaParser, load_jsonschema
from stream.registry.protobuf import ProtobufParser, load_compiler
from stream.registry.registered import RegisteredSchema

# The types of schemas as the registry names them, by the names of labelstream's formats.
SCHEMA_TYPES = {"avro": "AVRO", "json-schema": "JSON", "protobuf": "PROTOBUF"}
_PARSERS = {parser.type: parser for parser in (AvroParser, JsonSchemaParser, ProtobufParser)}
_LIBRARIES = {"AVRO": load_fastavro, "JSON": load_jsonschema, "PROTOBUF": load_compiler}


class ValueParser(Protocol):
    """Parses payloads of one schema.

    Attributes:
        type: the type of the schema; empty if the schema cannot be used.
    """

    @property
    def type(self) -> str: ...

    def parse(self, payload: bytes) -> Any:
        """Return the value as parsed JSON.

        Raises:
            Poison: the payload does not fit the schema, or the schema cannot be used.
        """


@dataclass(frozen=True, slots=True)
class UnusableSchema:
    """The parser of a schema that does not exist, or that cannot be read.

    Attributes:
        message: what is wrong.
        may_appear: True if the registry may have the schema later.
        type: empty.
    """

    message: str
    may_appear: bool = False
    type: str = ""

    def parse(self, payload: bytes) -> Any:  # noqa: ARG002 - the interface of a parser
        """See `ValueParser.parse`."""
        raise Poison(Reason.SCHEMA, self.message)


def make_parser(schema: RegisteredSchema) -> ValueParser:
    """Return the parser of a schema's values. It may take milliseconds, so the caller runs it in a thread.

    Raises:
        UsageError: a library of the format is not installed.
    """
    make = _PARSERS.get(schema.type)
    if make is None:
        return UnusableSchema(f"schema {schema.schema_id} has the unknown type {schema.type[:20]}")
    try:
        return make(schema)
    except Fatal:
        raise
    except Exception as exc:  # noqa: BLE001 - the libraries raise errors of many classes for a bad schema
        return UnusableSchema(
            f"{schema.type} schema {schema.schema_id} cannot be read ({type(exc).__name__})"
        )


def check_libraries(schema_type: str) -> None:
    """Check that the libraries of a type of schema are installed.

    Raises:
        UsageError: they are not.
    """
    _LIBRARIES[schema_type]()
