"""Dead letters as JSON lines, for editing by hand.

A value that is JSON is a member of the line byte for byte, so that it can be edited without escapes, and an
unedited line gives the same bytes.
"""

from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any

import orjson

from stream.codec import Headers
from stream.dlq.letters import Origin, Position, StoredLetter
from stream.dlq.replay import Event, event_headers
from stream.errors import LabelstreamError
from stream.records import pack_record
from stream.records.event_json import members_of
from stream.records.events import MAX_ID_CHARS

REQUIRED = ("dead_letter", "origin", "id", "attempt", "key", "headers", "value")
OPTIONAL = ("reason", "message", "timestamp", "truncated")
MAX_ATTEMPT = 999_999_999
MAX_NUMBER = 2**63 - 1
NAME_ERRORS = "surrogateescape"


class LineError(LabelstreamError):
    """A line of a file of dead letters is invalid."""


@dataclass(frozen=True, slots=True)
class EditedLetter:
    """A dead letter from a file.

    Attributes:
        topic: the dead-letter topic.
        position: the position of the dead letter in it.
        origin: the position of the original record.
        id: the id of the event.
        attempt: the number of times that the event was processed.
        timestamp: the timestamp of the event, in milliseconds since the epoch.
        key: the key of the event.
        headers: the headers of the producer.
        value: the value of the event.
        reason: the reason of the dead letter; empty if the line has none.
    """

    topic: str
    position: Position
    origin: Origin
    id: str
    attempt: int
    timestamp: int
    key: bytes | None
    headers: Headers
    value: bytes | None
    reason: str = ""

    def event(self, to_topic: str = "") -> Event:
        """Return the event to send, to its input topic or another one."""
        headers = event_headers(self.headers, self.id, self.attempt)
        record = pack_record(self.key, self.value, headers, self.timestamp)
        return Event(self.position, to_topic or self.origin.topic, self.origin.partition, record)


def encode_line(topic: str, letter: StoredLetter) -> bytes:
    """Return the line of a dead letter, with its end.

    Args:
        topic: the dead-letter topic.
        letter: the dead letter.
    """
    origin = letter.origin
    members = {
        "dead_letter": {"topic": topic, **letter.position._asdict()},
        "reason": letter.reason,
        "message": letter.message,
        "origin": origin and origin._asdict(),
        "id": letter.id,
        "attempt": letter.attempt,
        "timestamp": letter.timestamp,
        "key": _text_or_base64(letter.record.key),
        "headers": [[_name(name), _text_or_base64(data)] for name, data in letter.producer_headers],
    }
    if letter.incomplete:
        members["truncated"] = True
    return orjson.dumps(members)[:-1] + b',"value":' + _encode_value(letter.record.value) + b"}\n"


def decode_line(line: bytes) -> EditedLetter:
    """Return the dead letter of a line.

    Raises:
        LineError: the line is invalid. The message never contains a part of the value.
    """
    try:
        members = orjson.loads(line)
    except orjson.JSONDecodeError as exc:
        raise LineError("the line is not JSON", cause=str(exc).split(":")[0]) from None
    if not isinstance(members, dict):
        raise LineError("the line is not a JSON object")
    if missing := [name for name in REQUIRED if name not in members]:
        raise LineError(f"the line has no member {missing[0]}")
    if unknown := [name for name in members if name not in REQUIRED + OPTIONAL]:
        raise LineError(f"the line has an unknown member {unknown[0]!r}")
    if members.get("truncated"):
        raise LineError(
            "the dead letter does not hold the whole record",
            fix="complete the value and remove the member truncated, or remove the line",
        )
    letter, origin = members["dead_letter"], members["origin"]
    position = Position(_number(letter, "partition"), _number(letter, "offset"))
    return EditedLetter(
        _text(letter, "topic"),
        position,
        Origin(_text(origin, "topic"), _number(origin, "partition"), _number(origin, "offset")),
        _id(members["id"]),
        _attempt(members["attempt"]),
        _timestamp(members.get("timestamp", -1)),
        _bytes(members["key"], "key"),
        _headers(members["headers"]),
        _decode_value(members["value"], members_of(members_of(line)["value"])),
        str(members.get("reason") or ""),
    )


def _text_or_base64(data: bytes | None) -> str | dict[str, str] | None:
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(data).decode()}


def _name(name: str) -> str | dict[str, str] | None:
    return _text_or_base64(name.encode("utf-8", NAME_ERRORS))


def _encode_value(value: bytes | None) -> bytes:
    if value is None:
        return b"null"
    if _is_embeddable(value):
        return b'{"json":%b}' % value
    encoded = _text_or_base64(value)
    return orjson.dumps({"text": encoded} if isinstance(encoded, str) else encoded)


def _is_embeddable(value: bytes) -> bool:
    """Return True if a value as a member of a line gives the same bytes when it is read."""
    try:
        orjson.loads(b'{"value":{"json":%b}}' % value)
    except orjson.JSONDecodeError:
        return False
    return b"\n" not in value and b"\r" not in value and members_of(b'{"json":%b}' % value) == {"json": value}


def _decode_value(value: Any, raw: Any) -> bytes | None:
    if value is None:
        return None
    if not isinstance(value, dict) or len(value) != 1 or len(raw) != 1:
        raise LineError("value is neither null nor an object with one member: json, text or base64")
    if "json" in value:
        return bytes(raw["json"])
    if "text" in value:
        return (
            _bytes(value["text"], "value.text") if isinstance(value["text"], str) else _refuse("value.text")
        )
    return _bytes(value, "value")


def _bytes(value: Any, name: str) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict) and [*value] == ["base64"] and isinstance(value["base64"], str):
        try:
            return b64decode(value["base64"], validate=True)
        except ValueError:
            raise LineError(f"{name}.base64 is not base64") from None
    return _refuse(name)


def _headers(value: Any) -> list[tuple[str, bytes]]:
    if not isinstance(value, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        raise LineError('headers is not a list of pairs, like [["source", "crm"]]')
    headers: list[tuple[str, Any]] = []
    for name, data in value:
        decoded = (_bytes(name, "the name of a header") or b"").decode("utf-8", NAME_ERRORS)
        headers.append((decoded, _bytes(data, "the value of a header")))
    return headers


def _id(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_CHARS:
        raise LineError(f"id is not a string of 1 to {MAX_ID_CHARS:,} characters")
    return value


def _attempt(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= MAX_ATTEMPT:
        raise LineError("attempt is not a number from 1 on")
    return value


def _timestamp(value: Any) -> int:
    if type(value) is not int or not -1 <= value <= MAX_NUMBER:
        raise LineError("timestamp is not a number of milliseconds since 1970")
    return value


def _text(members: Any, name: str) -> str:
    found = members.get(name) if isinstance(members, dict) else None
    if not isinstance(found, str) or not found:
        raise LineError(f"{name} in dead_letter and origin is not a string")
    return found


def _number(members: Any, name: str) -> int:
    found = members.get(name) if isinstance(members, dict) else None
    if type(found) is not int or not 0 <= found <= MAX_NUMBER:
        raise LineError(f"{name} in dead_letter and origin is not a number from 0 on")
    return found


def _refuse(name: str) -> bytes:
    raise LineError(f'{name} is neither null, a string nor {{"base64": …}}')
