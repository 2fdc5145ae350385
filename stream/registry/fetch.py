"""Fetching of schemas, with the schemas that they refer to."""

import asyncio
from collections.abc import Sequence
from functools import partial
from operator import methodcaller
from typing import Any

from stream.registry.client import NotFoundError, RegistryClient, RejectedError
from stream.registry.formats import UnusableSchema, ValueParser, make_parser
from stream.registry.registered import RegisteredSchema
from stream.termination import in_daemon_thread

MAX_REFERENCES = 200
READ_S = 30.0


class SchemaFetcher:
    """Fetches schemas by id and makes their parsers."""

    def __init__(self, client: RegistryClient) -> None:
        """
        Args:
            client: the client of the registry.
        """
        self._client = client

    async def fetch(self, schema_id: int) -> ValueParser:
        """Return the parser of a schema's values.

        Raises:
            RegistryError: the registry is not available.
            UsageError: a library of the format is not installed.
        """
        try:
            found = await self._client.call(methodcaller("get_schema", schema_id))
        except (NotFoundError, RejectedError):
            return UnusableSchema(f"the schema registry has no schema {schema_id}", may_appear=True)
        references: dict[str, str] = {}
        try:
            await self._add_references(found.references or (), references)
        except (NotFoundError, RejectedError):
            message = f"the schema registry lacks a reference of schema {schema_id}"
            return UnusableSchema(message, may_appear=True)
        except RecursionError:
            return UnusableSchema(f"schema {schema_id} has more than {MAX_REFERENCES} references")
        schema = RegisteredSchema(schema_id, found.schema_type or "AVRO", found.schema_str, references)
        try:
            return await asyncio.wait_for(in_daemon_thread(partial(make_parser, schema)), READ_S)
        except TimeoutError:
            message = f"{schema.type} schema {schema_id} cannot be read within {READ_S:g} s"
            return UnusableSchema(message)

    async def _add_references(self, references: Sequence[Any], known: dict[str, str]) -> None:
        """Add the texts of references by name, each after those that it refers to itself."""
        for reference in references:
            if reference.name in known:
                continue
            if len(known) >= MAX_REFERENCES:
                raise RecursionError
            found = await self._client.call(methodcaller("get_version", reference.subject, reference.version))
            await self._add_references(found.schema.references or (), known)
            known[reference.name] = found.schema.schema_str
