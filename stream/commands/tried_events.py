"""What a worker reads from a sample event, and what it does not find in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from stream.errors import Poison
from stream.field_paths import parse_path
from stream.records import DeadLetter, Decoded, Event
from stream.records.event_json import event_json, members_of
from stream.records.lookup import look_up, look_up_or_none
from stream.records.output_shape import EVENT, TEXT, IncludeShape
from stream.routes import Route


@dataclass(frozen=True, slots=True)
class TriedEvent:
    """A line of the file, and what the worker reads from it."""

    line: int
    decoded: Decoded
    route: Route

    def fields(self) -> dict[str, Any]:
        """Return the fields of the event, or the reason and the message of the dead letter."""
        found = self.decoded
        shown: dict[str, Any] = {"line": self.line, "id": found.id}
        if isinstance(found, DeadLetter):
            return shown | {"reason": found.reason.value, "message": found.message}
        assert isinstance(found, Event)
        shown["text"] = found.text
        for name in ("text_pair", "time", "metadata"):
            if (value := getattr(found, name)) is not None:
                shown[name] = value
        value = event_json(found.record, plain=self.route.input_format == "text")
        if value is None:
            return shown
        if self.route.include:
            shown["included"] = _included(self.route, found)
        if missing := list(_not_found(self.route, found, orjson.loads(value))):
            shown["not_found"] = missing
        return shown


def _included(route: Route, event: Event) -> Any:
    """Return the member `event` of the label event."""
    members = members_of(IncludeShape(route.include, event_json).apply(event, b'{"id":""}'))
    return orjson.loads(members[EVENT])


def _not_found(route: Route, event: Event, value: Any) -> Iterator[str]:
    """Yield each path of the route that the event does not have, or whose value is not used."""
    paths = [("id_field", route.id_field), ("time_field", route.time_field)]
    paths += [("metadata_fields", path) for path in route.metadata_fields.values()]
    for setting, path in paths:
        if not path:
            continue
        if look_up_or_none(value, parse_path(path), setting) is None:
            yield f"{setting} {path}"
        elif setting == "time_field" and event.time is None:
            yield f"{setting} {path}: the value is not a time of RFC 3339 or a Unix time"
    for path in route.include:
        # Unlike an id or a time, null is copied.
        if path != TEXT and not _has(value, path):
            yield f"include {path}"


def _has(value: Any, path: str) -> bool:
    try:
        look_up(value, parse_path(path), "include")
    except Poison:
        return False
    return True
