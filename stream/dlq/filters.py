"""The values of the filter options: times, positions, and conditions on fields."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from stream.dlq.letters import Position
from stream.errors import UsageError
from stream.field_paths import EVERY_ELEMENT, FieldPath, parse_path
from stream.records.lookup import look_up_or_none

_DURATION = re.compile(r"(\d{1,9})(ms|s|m|h|d|w)")
_UNITS = {
    "ms": "milliseconds",
    "s": "seconds",
    "m": "minutes",
    "h": "hours",
    "d": "days",
    "w": "weeks",
}
_POSITION = re.compile(r"(\d{1,9})@(\d{1,18})")
_CONDITION = re.compile(r"(?P<path>[^=!]+)(?:(?P<operator>!?=)(?P<value>.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on a field of the original value.

    Attributes:
        path: the path of the field.
        expected: the values that count as equal: the text as written, and its JSON value if it is JSON. Empty
            if the field only has to exist with a value other than null.
        negated: True if the field must not have the value.
    """

    path: FieldPath
    expected: tuple[Any, ...]
    negated: bool = False

    def holds(self, value: Any) -> bool:
        """Return True if the condition holds for parsed JSON.

        A path with `*` has several values, of which one has to match. A field that does not exist matches no
        value, so a negated condition holds.
        """
        found = look_up_or_none(value, self.path, "--where")
        values = found if EVERY_ELEMENT in self.path.steps and isinstance(found, list) else [found]
        if not self.expected:
            return any(item is not None for item in values)
        return self.negated != any(_equal(item, given) for item in values for given in self.expected)


def parse_condition(written: str) -> Condition:
    """Parse `path`, `path=value` or `path!=value`.

    Raises:
        UsageError: the condition has another form, or its path is invalid.
    """
    parts = _CONDITION.fullmatch(written)
    if parts is None:
        raise UsageError(
            f"--where {written!r} is not a condition",
            cause="it does not begin with the path of a field",
            fix="write it like customer.tier=gold, customer.tier!=gold or customer.tier",
        )
    try:
        path = parse_path(parts["path"].strip())
    except ValueError as exc:
        raise UsageError(
            f"--where {written!r} has an invalid path",
            cause=str(exc),
            fix="write it like customer.tier=gold or /customer/tier=gold",
        ) from None
    if parts["operator"] is None:
        return Condition(path, ())
    text = parts["value"].strip()
    try:
        expected: tuple[Any, ...] = (text, orjson.loads(text))
    except orjson.JSONDecodeError:
        expected = (text,)
    return Condition(path, expected, parts["operator"] == "!=")


def parse_time(written: str, option: str, now: datetime) -> int:
    """Return a time or a duration before now, in milliseconds since the epoch.

    Args:
        written: a date-time of ISO 8601, which is local without an offset, or a duration such as 30m or 2d.
        option: the name of the option, for the error.
        now: the current time, with its time zone.

    Raises:
        UsageError: the value is neither of the two.
    """
    duration = _DURATION.fullmatch(written)
    try:
        if duration:
            moment = now - timedelta(**{_UNITS[duration[2]]: int(duration[1])})
        else:
            moment = datetime.fromisoformat(written)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo)
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{option} {written!r} is neither a time nor a duration",
            fix="write it like 2026-11-30T14:00:00Z, 2026-11-30, 30m, 12h or 7d",
        ) from None


def parse_position(written: str) -> Position:
    """Parse the position of a dead letter.

    Raises:
        UsageError: the position is not PARTITION@OFFSET.
    """
    found = _POSITION.fullmatch(written)
    if found is None:
        raise UsageError(
            f"{written!r} is not the position of a dead letter",
            fix="write it as PARTITION@OFFSET, like 3@1041; labelstream dlq list shows it",
        )
    return Position(int(found[1]), int(found[2]))


def _equal(found: Any, expected: Any) -> bool:
    """Return True if two JSON values are equal; unlike in Python, true is not 1."""
    if isinstance(found, bool) or isinstance(expected, bool):
        return found is expected
    return bool(found == expected)
