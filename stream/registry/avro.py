"""Avro values: their schemas, parsing, and writing."""

import base64
import io
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import orjson

from stream.errors import Poison, Reason, missing_module
from stream.registry.avro_limits import is_amplified, is_recursive
from stream.registry.registered import RegisteredSchema

# Values of these types are read as the number or the string that holds them: a Unix time, a UUID's text.
_PLAIN_LOGICAL_TYPES = frozenset(
    (
        "timestamp-millis",
        "timestamp-micros",
        "timestamp-nanos",
        "local-timestamp-millis",
        "local-timestamp-micros",
        "local-timestamp-nanos",
        "time-millis",
        "time-micros",
    )
)
# The logical type of decimals in the schemas that fastavro reads with.
_DECIMAL = "labelstream-decimal"
MAX_DECIMAL_BYTES = 1_000
_PRIMITIVES_OF_JSON = frozenset(("null", "boolean", "int", "long", "float", "double", "string"))


class AvroParser:
    """Parses Avro values of one schema.

    Records become objects, a union its value, an enum its symbol. Bytes, fixed values and durations become
    base64, decimals and dates strings.
    """

    type = "AVRO"

    def __init__(self, schema: RegisteredSchema) -> None:
        """
        Args:
            schema: the schema that the values were written with.

        Raises:
            UsageError: the library fastavro is not installed.
            ValueError: a few bytes could stand for very many values.
        """
        fastavro = load_fastavro()
        from fastavro.read import LOGICAL_READERS

        LOGICAL_READERS.update({f"bytes-{_DECIMAL}": _read_decimal, f"fixed-{_DECIMAL}": _read_decimal})
        named: dict[str, Any] = {}
        schemas = [_load(text) for text in (*schema.references.values(), schema.text)]
        # A reference comes before the schemas that use it, so its names are known by then.
        for reference in schemas[:-1]:
            fastavro.parse_schema(_as_read(reference), named)
        # fastavro keeps named types for the schema of a record only; a name without a namespace gives the
        # types inside none either.
        fields = [{"name": "value", "type": _as_read(schemas[-1])}]
        wrapped = {"type": "record", "name": "labelstream_registered_value", "fields": fields}
        self._schema = fastavro.parse_schema(wrapped, named)
        self._schema_id = schema.schema_id
        if is_amplified(self._schema, named):
            raise ValueError("values of the schema may be much larger than their bytes")
        self._read = fastavro.schemaless_reader
        if is_recursive(self._schema, named):
            # The compiled reader recurses without a limit: a deeply nested value would end the process.
            from fastavro._read_py import schemaless_reader

            self._read = schemaless_reader
        self._is_json = all(map(_is_json, schemas))

    def parse(self, payload: bytes) -> Any:
        """See `ValueParser.parse`."""
        stream = io.BytesIO(payload)
        try:
            found = self._read(stream, self._schema, None)["value"]
        except Exception as exc:  # noqa: BLE001 - fastavro raises errors of many classes
            raise self._misfit(type(exc).__name__) from None
        if stream.tell() < len(payload):
            raise self._misfit(f"{len(payload) - stream.tell()} bytes are left")
        return found if self._is_json else _as_json(found)

    def _misfit(self, cause: str) -> Poison:
        message = f"the value does not fit Avro schema {self._schema_id} ({cause})"
        return Poison(Reason.DECODE, message)


class AvroWriter:
    """Writes values with an Avro schema."""

    def __init__(self, text: str) -> None:
        """
        Args:
            text: the schema.

        Raises:
            UsageError: the library fastavro is not installed.
        """
        fastavro = load_fastavro()
        self._schema = fastavro.parse_schema(_load(text))
        self._write = fastavro.schemaless_writer

    def write(self, value: Mapping[str, Any]) -> bytes:
        """Return a value as Avro; members that the schema does not name are left out."""
        stream = io.BytesIO()
        self._write(stream, self._schema, value)
        return stream.getvalue()


def load_fastavro() -> Any:
    """Return the library fastavro.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import fastavro
    except ModuleNotFoundError as exc:
        raise missing_module("Avro needs a library", exc, "schemas") from exc
    return fastavro


def _load(text: str) -> Any:
    """Return a schema's JSON; some clients register a primitive type as its bare name."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _as_read(schema: Any) -> Any:
    """Return a schema without the logical types whose plain values are read, and with decimals of our own."""
    if isinstance(schema, list):
        return [_as_read(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        name: _as_read(value) if name in ("type", "items", "values") else value
        for name, value in schema.items()
        if name != "default"
    }
    if kept.get("logicalType") in _PLAIN_LOGICAL_TYPES or (
        kept.get("logicalType") == "uuid" and kept.get("type") == "string"
    ):
        del kept["logicalType"]
    elif kept.get("logicalType") == "decimal":
        kept["logicalType"] = _DECIMAL
    if isinstance(kept.get("fields"), list):
        kept["fields"] = [_as_read(field) for field in kept["fields"]]
    return kept


def _is_json(schema: Any) -> bool:
    """Return True if fastavro reads every value of a schema as JSON's types, except references."""
    if isinstance(schema, str):
        return schema not in ("bytes", "fixed")
    if isinstance(schema, list):
        return all(map(_is_json, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") in ("bytes", "fixed") or schema.get("logicalType"):
        plain = schema.get("logicalType") in _PLAIN_LOGICAL_TYPES
        return plain and schema.get("type") in _PRIMITIVES_OF_JSON
    inner = [schema[name] for name in ("type", "items", "values") if name in schema]
    return all(map(_is_json, [*inner, *schema.get("fields", ())]))


def _read_decimal(value: bytes, schema: Mapping[str, Any], _reader_schema: Any = None) -> str:
    """Return a decimal's text. fastavro reads one in a time that grows with the square of its length.

    Raises:
        ValueError: it is longer than any decimal of practical use.
    """
    if len(value) > MAX_DECIMAL_BYTES:
        raise ValueError(f"a decimal has {len(value)} bytes, {MAX_DECIMAL_BYTES} are allowed")
    return str(Decimal(f"{int.from_bytes(value, signed=True)}E{-schema.get('scale', 0)}"))


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _as_json(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, date):
        return value.isoformat()
    return value if isinstance(value, str | int | float | None) else str(value)
