"""Limits of Avro schemas: values that recurse, and values of a few bytes that fill the memory."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

# A value of n bytes may hold about ten times as many records and nulls, which take no bytes themselves.
MAX_WITHOUT_BYTES = 10

Named = Mapping[str, Any]
_BYTES = {"null": 0, "float": 4, "double": 8}


class Cost(NamedTuple):
    """What a value of a schema takes at least.

    Attributes:
        without_bytes: the number of records, nulls and fixed values of size 0 in it.
        least_bytes: the number of its bytes.
    """

    without_bytes: int
    least_bytes: int


def is_recursive(schema: Any, named: Named) -> bool:
    """Return True if a value of a schema can hold itself, to any depth.

    Args:
        schema: a schema as fastavro has parsed it.
        named: the parsed schemas of its named types.
    """
    return _recurs(schema, named, frozenset(), set())


def is_amplified(schema: Any, named: Named) -> bool:
    """Return True if a few bytes can stand for any number of values, or for very many."""
    costs = _Costs(named)
    items = [found for part in (schema, *named.values()) for found in _repeated(part)]
    if any(is_item and costs.of(found).least_bytes == 0 for found, is_item in items):
        return True
    # The length of a block, or the index of a branch, is one byte more.
    found_costs = [costs.of(schema), *(costs.of(found) for found, _ in items)]
    return any(cost.without_bytes > MAX_WITHOUT_BYTES * (1 + cost.least_bytes) for cost in found_costs)


class _Costs:
    """The costs of schemas; that of a named type is computed once, since it may occur very often."""

    def __init__(self, named: Named) -> None:
        self._named = named
        self._known: dict[str, Cost] = {}

    def of(self, schema: Any) -> Cost:
        if isinstance(schema, str):
            return self._of_name(schema)
        if isinstance(schema, list):
            # Its branches are checked by themselves.
            return Cost(0, 1)
        if schema.get("type") == "fixed":
            return Cost(int(schema["size"] == 0), schema["size"])
        if "fields" in schema:
            fields = [self.of(field["type"]) for field in schema["fields"]]
            return Cost(1 + sum(cost.without_bytes for cost in fields), sum(c.least_bytes for c in fields))
        if "symbols" in schema or "items" in schema or "values" in schema:
            return Cost(0, 1)
        return self.of(schema["type"])

    def _of_name(self, name: str) -> Cost:
        if name not in self._named:
            least = _BYTES.get(name, 1)
            return Cost(int(least == 0), least)
        if name not in self._known:
            # A record that holds itself without a union has no finite value.
            self._known[name] = Cost(0, 1)
            self._known[name] = self.of(self._named[name])
        return self._known[name]


def _recurs(schema: Any, named: Named, within: frozenset[str], known: set[str]) -> bool:
    if isinstance(schema, str):
        if schema in within:
            return True
        if schema not in named or schema in known:
            return False
        found = _recurs(named[schema], named, within, known)
        known.add(schema)
        return found
    if isinstance(schema, dict) and isinstance(schema.get("name"), str) and "fields" in schema:
        within |= {schema["name"]}
    return any(_recurs(part, named, within, known) for part in _parts(schema))


def _repeated(schema: Any) -> Iterator[tuple[Any, bool]]:
    """Yield the schemas whose values may occur often: branches of unions, items and values of maps.

    The second member is True for the items of an array, whose values may occur without a byte beside them.
    """
    if isinstance(schema, list):
        yield from ((branch, False) for branch in schema)
    elif isinstance(schema, dict):
        if "items" in schema:
            yield schema["items"], True
        if "values" in schema:
            yield schema["values"], False
    for part in _parts(schema):
        yield from _repeated(part)


def _parts(schema: Any) -> Iterator[Any]:
    """Yield the schemas that a schema contains; names of types stand for themselves."""
    if isinstance(schema, list):
        yield from schema
    elif isinstance(schema, dict):
        yield from (field["type"] for field in schema.get("fields", ()))
        yield from (schema[name] for name in ("type", "items", "values") if name in schema)
