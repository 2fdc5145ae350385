"""The JSON of an event as its producer wrote it, for outputs that repeat it."""

from base64 import b64decode
from collections.abc import Mapping

import msgspec

from stream.codec import Record
from stream.records.cloud_events import BINARY_HEADER, is_cloud_event, is_structured
from stream.records.content_type import read_content_type
from stream.records.events import header

# The headers that determine the format of a value.
FORMAT_HEADERS = frozenset(("content-type", BINARY_HEADER))
_parse_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def event_json(record: Record) -> bytes | None:
    """Return the JSON of a decoded event: the value, or the data of a CloudEvent; None if it is a text.

    Args:
        record: the record of an event of a route whose `input_format` is json.
    """
    value = record.value or b""
    if not any(name in FORMAT_HEADERS for name, _ in record.headers):
        return value
    content_type = read_content_type(header(record, "content-type"))
    if not is_cloud_event(record, content_type):
        return None if content_type.media.startswith("text/plain") else value
    if not is_structured(content_type):
        return value if content_type.is_json or not content_type.media else None
    return _data(members_of(value))


def members_of(value: bytes) -> Mapping[str, bytes]:
    """Return the JSON of each member of an object, byte for byte; nothing if it is not an object."""
    try:
        return {name: bytes(raw) for name, raw in _parse_members(value).items()}
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _data(envelope: Mapping[str, bytes]) -> bytes | None:
    encoded = envelope.get("data_base64")
    data = envelope.get("data", b"null")
    if encoded is None and msgspec.json.decode(envelope.get("datacontentencoding", b"null")) is not None:
        encoded = data
    if encoded is not None:
        data = b64decode(msgspec.json.decode(encoded))
    return data if data.lstrip()[:1] == b"{" else None
