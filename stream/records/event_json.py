"""The JSON of an event as its producer wrote it, for outputs that repeat it."""

from base64 import b64decode
from collections.abc import Mapping

import msgspec
import orjson

from stream.codec import Record
from stream.records.cloud_events import BINARY_HEADER, is_base64, is_cloud_event, is_structured
from stream.records.content_type import read_content_type
from stream.records.events import header

# The headers that determine the format of a value.
FORMAT_HEADERS = frozenset(("content-type", BINARY_HEADER))
# The members of a structured CloudEvent that say how its data is written.
ENCODING = ("specversion", "datacontentencoding", "data_base64")
_parse_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def event_json(record: Record, *, plain: bool = False) -> bytes | None:
    """Return the JSON of a decoded event: the value, or the data of a CloudEvent; None if it is a text.

    Args:
        record: the record of an event.
        plain: True if values without a content type are texts.
    """
    value = record.value or b""
    if not any(name in FORMAT_HEADERS for name, _ in record.headers):
        return None if plain else value
    content_type = read_content_type(header(record, "content-type"))
    if not is_cloud_event(record, content_type):
        is_text = content_type.media.startswith("text/plain") or (plain and "json" not in content_type.media)
        return None if is_text else value
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
    """Return the JSON object in the data of a structured CloudEvent."""
    data = envelope.get("data", b"null")
    read = {name: orjson.loads(envelope[name]) for name in ENCODING if name in envelope}
    encoded = orjson.loads(data) if is_base64(read) else read.get("data_base64")
    if encoded is not None:
        data = b64decode(encoded)
    return data if data.lstrip()[:1] == b"{" else None
