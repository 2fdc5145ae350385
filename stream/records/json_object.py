"""JSON objects of events and CloudEvents."""

from re import DOTALL
from re import compile as pattern
from typing import Any

import msgspec
import orjson

from stream.errors import Poison, Reason
from stream.records.lookup import kind_of

# Half of what the parser takes, so that no later step of any model meets its own limit of recursion.
MAX_LEVELS = 512

_INTEGER = pattern(rb"-?[0-9]+")
# A string without an end takes the rest: a search that began again at each of its escaped quotes would need
# minutes for a value of 1 MiB.
_STRING = pattern(rb'"(?:[^"\\]++|\\.)*+"?', DOTALL)
_BRACKET = pattern(rb"[\[\]{}]")
# A part of orjson's message for a number whose absolute value is larger than every double.
_TOO_LARGE = "infinity"
_parse_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def as_object(found: Any) -> dict[str, Any]:
    """Return parsed JSON that is an object.

    Raises:
        Poison: it is not an object.
    """
    if not isinstance(found, dict):
        raise Poison(Reason.SCHEMA, f"the value is {kind_of(found)}, not a JSON object")
    return found


def parse_json(value: bytes, data: str | None = None) -> Any:
    """Parse JSON. An integer `id` of an event that 64 bits do not hold becomes a string of its digits.

    Args:
        value: the JSON.
        data: the member that holds the event; None if the value is the event.

    Raises:
        Poison: the value is not JSON, or beyond the limits of the parser.
    """
    _check_levels(value)
    try:
        found = orjson.loads(value)
    except orjson.JSONDecodeError as exc:
        _check_utf8(value)
        exact = _with_exact_id(value, data)
        if exact is None:
            raise Poison(Reason.DECODE, _describe(exc, value)) from None
        return exact
    event = found.get(data) if data is not None and isinstance(found, dict) else found
    # orjson reads an integer that 64 bits do not hold as a float.
    if isinstance(event, dict) and type(event.get("id")) is float:
        return _with_exact_id(value, data) or found
    return found


def _describe(error: orjson.JSONDecodeError, value: bytes) -> str:
    if not value:
        return "the value is empty, not JSON"
    if _TOO_LARGE in error.msg:
        return f"the number at character {error.pos} is beyond the range of a double"
    return f"not JSON at character {error.pos}"


def _check_levels(value: bytes) -> None:
    if value.count(b"[") + value.count(b"{") <= MAX_LEVELS:
        return
    level = 0
    for bracket in _BRACKET.finditer(_STRING.sub(b"", value)):
        level += 1 if bracket[0] in b"[{" else -1
        if level > MAX_LEVELS:
            raise Poison(Reason.DECODE, f"the JSON has more than {MAX_LEVELS} levels")


def _check_utf8(value: bytes) -> None:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise Poison(Reason.DECODE, f"not UTF-8 at byte {exc.start}") from None


def _with_exact_id(value: bytes, data: str | None) -> dict[str, Any] | None:
    """Parse an object whose id is an integer of any size; return None if it has no such id."""
    try:
        members = _parse_members(value)
        if data is not None:
            kept: Any = _with_exact_id(bytes(members[data]), None)
        else:
            number = bytes(members["id"])
            kept = number.decode() if _INTEGER.fullmatch(number) else None
        if kept is None:
            return None
        name_kept = "id" if data is None else data
        return {
            name: kept if name == name_kept else orjson.loads(memoryview(raw))
            for name, raw in members.items()
        }
    except (msgspec.DecodeError, orjson.JSONDecodeError, KeyError, RecursionError):
        return None
