"""JSON values that are validated by their JSON Schema."""

from typing import Any

import msgspec
import orjson

from stream.errors import Poison, Reason, missing_module
from stream.registry.registered import RegisteredSchema

_parse_exactly = msgspec.json.Decoder().decode


class JsonSchemaParser:
    """Parses JSON values and validates them by one schema, in the draft that the schema names."""

    type = "JSON"

    def __init__(self, schema: RegisteredSchema) -> None:
        """
        Args:
            schema: the schema of the values.

        Raises:
            UsageError: the library jsonschema-rs is not installed.
        """
        library = load_jsonschema()
        known = {name: orjson.loads(text) for name, text in schema.references.items()}
        self._schema_id = schema.schema_id
        self._validator = library.validator_for(
            orjson.loads(schema.text), retriever=lambda uri: _find(known, uri)
        )

    def parse(self, payload: bytes) -> Any:
        """See `ValueParser.parse`."""
        try:
            # Unlike orjson, msgspec keeps integers of any size.
            found = _parse_exactly(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Poison(
                Reason.DECODE, f"the value after the frame of schema {self._schema_id} is not JSON"
            ) from None
        try:
            broken = None if self._validator.is_valid(found) else self._describe(found)
        except (ValueError, RecursionError):
            message = f"the value has too many levels for JSON Schema {self._schema_id}"
            raise Poison(Reason.DECODE, message) from None
        if broken is not None:
            raise Poison(Reason.SCHEMA, broken)
        return found

    def _describe(self, found: Any) -> str:
        """Return the place in the schema that a value breaks; a place in the value could hold its text."""
        error = next(self._validator.iter_errors(found))
        place = "/".join(map(str, error.schema_path))
        return f"the value breaks JSON Schema {self._schema_id} at #/{place}"[:200]


def load_jsonschema() -> Any:
    """Return the library jsonschema-rs.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import jsonschema_rs
    except ModuleNotFoundError as exc:
        raise missing_module("JSON Schema needs a library", exc, "schemas") from exc
    return jsonschema_rs


def _find(known: dict[str, Any], uri: str) -> Any:
    """Return the referenced schema for a URI, whose end is the name of the reference if that is relative."""
    if uri in known:
        return known[uri]
    for name, schema in known.items():
        if uri.endswith(f"/{name}"):
            return schema
    raise KeyError(uri)
