"""The values of events that have a schema of the schema registry."""

from typing import Any

import msgspec

from stream.codec import Record
from stream.errors import Poison, Reason
from stream.registry import SCHEMA_TYPES, SchemaCache, check_no_header_id
from stream.routes import RouteOptions


class RegistryValues:
    """Parses the values of one route's events. `SchemaCache.resolve` has fetched their schemas before."""

    def __init__(self, options: RouteOptions, schemas: SchemaCache) -> None:
        """
        Args:
            options: the options of a route whose input format is one of the schema registry.
            schemas: the schemas of the events.
        """
        self._schemas = schemas
        self._type = SCHEMA_TYPES[options.input_format]

    def parse(self, record: Record) -> dict[str, Any]:
        """Return the value of a record as a parsed JSON object.

        Raises:
            Poison: the value has no frame, does not fit its schema, or is not an object.
        """
        if record.headers:
            check_no_header_id(record.headers)
        found = self._schemas.parse(record.value or b"", self._type)
        if not isinstance(found, dict):
            raise Poison(Reason.SCHEMA, "the value fits its schema, but is not an object with fields")
        return found

    def json(self, record: Record) -> bytes:
        """Return the value of a record as JSON, for output that copies fields of it."""
        # Unlike orjson, msgspec writes integers of any size.
        return msgspec.json.encode(self.parse(record))
