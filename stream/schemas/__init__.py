"""The schemas of the records, for consumers: JSON Schemas, and an Avro schema of label events."""

from importlib.resources import files
from typing import Any, Literal

import orjson

Name = Literal["event.v1", "label.v1", "dead-letter-headers.v1"]


def load_schema(name: Name) -> dict[str, Any]:
    """Return a schema as a dictionary, JSON Schema draft 2020-12."""
    schema: dict[str, Any] = orjson.loads((files(__name__) / f"{name}.json").read_bytes())
    return schema


def schema_text(file: Literal["label.v1.avsc", "label.v1.json"]) -> str:
    """Return the text of a schema's file, as it is registered in a schema registry."""
    return (files(__name__) / file).read_text(encoding="utf-8")
