"""The JSON Schemas of the records, for consumers."""

from importlib.resources import files
from typing import Any, Literal

import orjson

Name = Literal["event.v1", "label.v1", "dead-letter-headers.v1"]


def load_schema(name: Name) -> dict[str, Any]:
    """Return a schema as a dictionary, JSON Schema draft 2020-12."""
    schema: dict[str, Any] = orjson.loads((files(__name__) / f"{name}.json").read_bytes())
    return schema
