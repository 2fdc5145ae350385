"""Lookup of a field by its path in parsed JSON, with errors that say what the event has instead."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from stream.errors import Poison, Reason
from stream.field_paths import EVERY_ELEMENT, FieldPath
from stream.records.content_type import show

MAX_NAMES_SHOWN = 6
MAX_NAMES_CHARS = 100
_KINDS = {str: "a string", bool: "a boolean", int: "a number", float: "a number", type(None): "null"}


def look_up(event: Any, path: FieldPath, setting: str) -> Any:
    """Return the value at a path; of a path with `*`, the list of the values.

    Args:
        event: parsed JSON.
        path: the path.
        setting: the name of the setting that has the path, for errors.

    Raises:
        Poison: the event has no such path; the message names the step that is missing.
    """
    if EVERY_ELEMENT not in path.steps:
        return _descend(event, path, setting, 0, len(path.steps))
    return list(_every(event, path, setting, 0))


def look_up_or_none(event: Any, path: FieldPath, setting: str) -> Any:
    """Return the value at a path as `look_up` does, None if the event has no such path."""
    try:
        return look_up(event, path, setting)
    except Poison:
        return None


def kind_of(value: Any) -> str:
    """Return the JSON type of a value with its article."""
    if isinstance(value, dict):
        return "an object"
    return _KINDS.get(type(value), "an array")


def describe_members(found: Mapping[str, Any]) -> str:
    """Return the names of an object's first members."""
    if not found:
        return "no members"
    names = [show(name) for name in islice(found, MAX_NAMES_SHOWN)]
    while len(names) > 1 and len(", ".join(names)) > MAX_NAMES_CHARS:
        names.pop()
    return ", ".join([*names, "..."] if len(names) < len(found) else names)


def describe_array(steps: Sequence[str], at: int) -> str:
    """Return that a node is an array, with the paths of its elements.

    Args:
        steps: a path.
        at: the number of its steps up to the node.
    """
    first, every = (".".join((*steps[:at], element, *steps[at:])) for element in ("0", EVERY_ELEMENT))
    return f"an array; the path of its first element is {first}, of all elements {every}"


def _every(event: Any, path: FieldPath, setting: str, start: int) -> Iterator[Any]:
    """Yield the values below a node, whose own steps begin at `start`."""
    try:
        stop = path.steps.index(EVERY_ELEMENT, start)
    except ValueError:
        yield _descend(event, path, setting, start, len(path.steps))
        return
    found = _descend(event, path, setting, start, stop)
    if isinstance(found, dict):
        # The name of a member may be *, too.
        yield from _every(_step(found, path, setting, stop), path, setting, stop + 1)
        return
    if not isinstance(found, list):
        raise _error(path, setting, f"{_place(path, stop)} is {kind_of(found)}, not an array")
    for element in found:
        yield from _every(element, path, setting, stop + 1)


def _descend(event: Any, path: FieldPath, setting: str, start: int, stop: int) -> Any:
    for at in range(start, stop):
        event = _step(event, path, setting, at)
    return event


def _step(event: Any, path: FieldPath, setting: str, at: int) -> Any:
    name = path.steps[at]
    if isinstance(event, dict):
        if name in event:
            return event[name]
        members = describe_members(event)
        raise _error(path, setting, f"{_place(path, at)} has no member {show(name)}; it has {members}")
    if isinstance(event, list):
        return _element(event, path, setting, at)
    raise _error(path, setting, f"{_place(path, at)} is {kind_of(event)}, not an object")


def _element(array: Sequence[Any], path: FieldPath, setting: str, at: int) -> Any:
    step = path.steps[at]
    if not (step.isascii() and step.isdecimal()):
        raise _error(path, setting, f"{_place(path, at)} is {describe_array(path.steps, at)}")
    # The number of digits is limited, since Python refuses to convert thousands of them.
    if len(step) > len(str(len(array))) or int(step) >= len(array):
        count = f"{len(array)} element{'' if len(array) == 1 else 's'}"
        raise _error(path, setting, f"{_place(path, at)} has {count}, no element {step}")
    return array[int(step)]


def _place(path: FieldPath, at: int) -> str:
    return ".".join(path.steps[:at]) or "the event"


def _error(path: FieldPath, setting: str, found: str) -> Poison:
    return Poison(Reason.SCHEMA, f"{setting} {path.written}: {found}")
