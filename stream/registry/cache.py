"""The schemas of a worker by id: fetched once, ahead of the records that need them."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from math import inf
from typing import Any

from stream.errors import Poison, Reason
from stream.registry.formats import UnusableSchema, ValueParser
from stream.registry.frame import framed_ids, read_frame

CAPACITY = 1_000
# An id that the registry does not know may be registered later, and a producer may send it in every record.
UNKNOWN_S = 30.0
CONCURRENT_REQUESTS = 8


@dataclass(frozen=True, slots=True)
class _Entry:
    parser: ValueParser
    expires_at: float


class SchemaCache:
    """The parsers of the schemas that the records of a worker name.

    `resolve` fetches the schemas of a record batch, `parse` then reads its values without waiting. The cache
    drops the schemas that were not used for longest; those of the batches in work stay.
    """

    def __init__(
        self,
        fetch: Callable[[int], Awaitable[ValueParser]],
        clock: Callable[[], float],
        capacity: int = CAPACITY,
    ) -> None:
        """
        Args:
            fetch: returns the parser for a schema id, an `UnusableSchema` if the registry has no such schema.
            clock: returns monotonic seconds.
            capacity: the number of schemas that stay in memory between two batches.
        """
        self._fetch = fetch
        self._clock = clock
        self._capacity = capacity
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._fetching = asyncio.Lock()

    async def resolve(self, values: Iterable[bytes | None]) -> None:
        """Fetch the schemas of values that are not known yet.

        The schemas are known when this returns, and until the event loop runs another task.

        Raises:
            RegistryError: the registry is not available.
        """
        needed = framed_ids(values)
        if not self._missing(needed):
            return
        # One batch at a time asks, so that two batches do not fetch the same schema, and none is dropped here
        # while this batch waits.
        async with self._fetching:
            missing = self._missing(needed)
            self._trim(needed)
            await self._add_all(missing)

    def parse(self, value: bytes, schema_type: str) -> Any:
        """Return a framed value as parsed JSON.

        Args:
            value: the value of a record.
            schema_type: the type of schema that the route reads: AVRO, JSON or PROTOBUF.

        Raises:
            Poison: the value has no frame, its schema does not exist, or it does not fit its schema.
        """
        schema_id, payload = read_frame(value)
        entry = self._entries.get(schema_id)
        if entry is None:
            # Output that copies fields parses a value again, when later batches may have filled the cache.
            raise Poison(Reason.SCHEMA, f"schema {schema_id} was dropped from the cache of schemas")
        parser = entry.parser
        if parser.type and parser.type != schema_type:
            message = f"schema {schema_id} is of type {parser.type}, the route reads {schema_type}"
            raise Poison(Reason.SCHEMA, message)
        return parser.parse(payload)

    def _missing(self, needed: Iterable[int]) -> list[int]:
        """Return the ids without a valid entry, and mark the others as used."""
        missing = []
        for schema_id in needed:
            entry = self._entries.get(schema_id)
            if entry is None or self._clock() >= entry.expires_at:
                missing.append(schema_id)
            else:
                self._entries.move_to_end(schema_id)
        return missing

    async def _add_all(self, ids: Collection[int]) -> None:
        """Fetch schemas, a few at a time; a batch may name as many as it has records."""
        waiting = iter(ids)

        async def fetch() -> None:
            for schema_id in waiting:
                parser = await self._fetch(schema_id)
                may_appear = isinstance(parser, UnusableSchema) and parser.may_appear
                expires_at = self._clock() + UNKNOWN_S if may_appear else inf
                self._entries[schema_id] = _Entry(parser, expires_at)
                self._entries.move_to_end(schema_id)

        tasks = [asyncio.create_task(fetch()) for _ in range(min(len(ids), CONCURRENT_REQUESTS))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    def _trim(self, needed: Collection[int]) -> None:
        """Drop the schemas that were not used for longest, except needed ones.

        Ids without a schema go first: anyone who writes to the topic can make them up.
        """
        surplus = len(self._entries) - self._capacity
        if surplus <= 0:
            return
        droppable = (schema_id for schema_id in self._entries if schema_id not in needed)
        # Sorting keeps the order of use within both groups.
        in_order = sorted(droppable, key=lambda schema_id: bool(self._entries[schema_id].parser.type))
        for schema_id in in_order[:surplus]:
            del self._entries[schema_id]
