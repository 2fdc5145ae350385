"""The fields of an event before and after they are checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stream.codec import is_rfc3339
from stream.errors import Poison, Reason
from stream.records.events import MAX_ID_CHARS
from stream.records.lookup import describe_members, kind_of


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of an event as its format holds them.

    Attributes:
        id: the event's own id.
        text: the text.
        text_pair: the second text.
        metadata: the metadata.
        time: the event's own time.
        default_id: the id for an event that has none, a string.
        default_time: the time for an event that has none, a date-time of RFC 3339.
        is_object: True if the fields are those of a JSON object.
        members: the members of an event of labelstream's own form, for errors.
        problem: the error of a field that could not be read.
    """

    id: Any = None
    text: Any = None
    text_pair: Any = None
    metadata: Any = None
    time: Any = None
    default_id: str | None = None
    default_time: str | None = None
    is_object: bool = False
    members: Mapping[str, Any] | None = None
    problem: Poison | None = None

    def own_id(self) -> str | None:
        """Return the id that the event or its envelope has, None if both have none.

        Raises:
            Poison: an id is not a string or an integer, or is too long.
        """
        own = self.id
        check(
            own is None or (isinstance(own, str | int) and not isinstance(own, bool)),
            "id must be a string or an integer",
        )
        ids = [str(found) for found in (own, self.default_id) if found is not None and found != ""]
        for found in ids:
            check(len(found) <= MAX_ID_CHARS, f"id has {len(found)} characters, {MAX_ID_CHARS} are allowed")
        return ids[0] if ids else None

    def own_time(self) -> str | None:
        """Return the time that the output shows, None if the event has no date-time of RFC 3339."""
        return self.time if self.time is not None and is_rfc3339(self.time) else self.default_time

    def check_types(self, text_setting: str = "") -> None:
        """Check the types of all fields but the id.

        Args:
            text_setting: the setting that names another member as the text, for the error of a missing text.

        Raises:
            Poison: a field is missing or has another type.
        """
        if self.problem is not None:
            raise self.problem
        if self.text is None:
            raise Poison(Reason.SCHEMA, self._missing_text(text_setting))
        _check_type("text", self.text, str, "a string")
        _check_type("text_pair", self.text_pair, str, "a string")
        _check_type("metadata", self.metadata, Mapping, "an object")
        _check_type("time", self.time, str, "a string")

    def _missing_text(self, setting: str) -> str:
        if self.members is None:
            return "text is missing: the event has no data"
        hint = f"; {setting} names another member" if setting else ""
        if "text" in self.members:
            return f"text is null, not a string{hint}"
        return f"text is missing: the event has {describe_members(self.members)}{hint}"


def from_object(found: Any) -> Fields:
    """Return the fields of an event object.

    Raises:
        Poison: it is not an object.
    """
    if not isinstance(found, Mapping):
        raise Poison(Reason.SCHEMA, f"the event's data is {kind_of(found)}, not an object")
    return Fields(
        found.get("id"),
        found.get("text"),
        found.get("text_pair"),
        found.get("metadata"),
        found.get("time"),
        is_object=True,
        members=found,
    )


def _check_type(name: str, value: Any, kind: type, described: str) -> None:
    if value is not None and not isinstance(value, kind):
        raise Poison(Reason.SCHEMA, f"{name} is {kind_of(value)}, not {described}")


def check(good: bool, message: str) -> None:
    """Raise a `Poison` with the reason `schema` unless `good`."""
    if not good:
        raise Poison(Reason.SCHEMA, message)
