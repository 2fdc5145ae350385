"""Limits of Avro schemas whose values could end the process: recursion, and arrays of nothing."""

from collections.abc import Iterator, Mapping
from typing import Any

Named = Mapping[str, Any]


def is_recursive(schema: Any, named: Named) -> bool:
    """Return True if a value of a schema can hold itself, to any depth.

    Args:
        schema: a schema as fastavro has parsed it.
        named: the parsed schemas of its named types.
    """
    return _recurs(schema, named, frozenset(), set())


def has_arrays_of_nothing(schema: Any, named: Named) -> bool:
    """Return True if an array has items without bytes, so that a few bytes stand for any number of them."""
    return any(
        _is_empty(found["items"], named, frozenset())
        for item in (schema, *named.values())
        for found in _arrays(item)
    )


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


def _is_empty(schema: Any, named: Named, within: frozenset[str]) -> bool:
    if isinstance(schema, str):
        if schema in within:
            return False
        return schema == "null" or (schema in named and _is_empty(named[schema], named, within | {schema}))
    if not isinstance(schema, dict):
        return False
    if schema.get("type") == "fixed":
        return bool(schema.get("size") == 0)
    if "fields" in schema:
        return all(_is_empty(field["type"], named, within) for field in schema["fields"])
    return _is_empty(schema.get("type"), named, within)


def _arrays(schema: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(schema, dict) and "items" in schema:
        yield schema
    for part in _parts(schema):
        yield from _arrays(part)


def _parts(schema: Any) -> Iterator[Any]:
    """Yield the schemas that a schema contains; names of types stand for themselves."""
    if isinstance(schema, list):
        yield from schema
    elif isinstance(schema, dict):
        yield from (field["type"] for field in schema.get("fields", ()))
        yield from (schema[name] for name in ("type", "items", "values") if name in schema)
