"""The schemas of a worker's routes."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import methodcaller
from time import monotonic

from stream.registry.cache import SchemaCache
from stream.registry.client import RegistryClient
from stream.registry.fetch import SchemaFetcher
from stream.registry.formats import SCHEMA_TYPES, check_libraries
from stream.registry.labels import LabelSchema, label_schema
from stream.routes import REGISTRY_INPUTS, Route


@dataclass(frozen=True, slots=True)
class RouteSchemas:
    """The schemas of one route.

    Attributes:
        inputs: the schemas of its events; None if they have none.
        label: the schema of its label events; None if they have none.
    """

    inputs: SchemaCache | None = None
    label: LabelSchema | None = None


async def open_schemas(client: RegistryClient, routes: Sequence[Route]) -> dict[str, RouteSchemas]:
    """Look up the schemas of label events, and return the schemas of each route by its name.

    Args:
        client: the client of the registry.
        routes: the routes.

    Raises:
        RegistryError: the registry is not available, or lacks the schema of a route's label events.
        UsageError: a library of a format is not installed.
    """
    for route in routes:
        if route.input_format in REGISTRY_INPUTS:
            check_libraries(SCHEMA_TYPES[route.input_format])
    # A wrong address or password ends the start, not the first record.
    await client.call(methodcaller("get_schema_types"))
    cache = SchemaCache(SchemaFetcher(client).fetch, monotonic)
    return {
        route.name: RouteSchemas(
            cache if route.input_format in REGISTRY_INPUTS else None,
            None
            if (output := route.registry_output) is None
            else await label_schema(client, route.output_topic, output),
        )
        for route in routes
    }
