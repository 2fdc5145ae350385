"""CloudEvents 1.0 and 0.3: the JSON format, and the binary mode of the Kafka protocol binding."""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from stream.codec import Record, is_rfc3339
from stream.errors import Poison, Reason
from stream.records.content_type import ContentType, decode_text, read_content_type, show
from stream.records.events import header
from stream.records.fields import Fields
from stream.records.json_object import as_object
from stream.records.mapping import EventReader

MEDIA = "application/cloudevents"
STRUCTURED = (MEDIA, f"{MEDIA}+json")
BINARY_HEADER = "ce_specversion"
VERSIONS = ("1.0", "0.3")
REQUIRED = ("id", "source", "type")
JSON = ContentType("application/json")


def is_cloud_event(record: Record, content_type: ContentType) -> bool:
    """Return True if the headers of a record select the format of CloudEvents."""
    return is_structured(content_type) or header(record, BINARY_HEADER) is not None


def is_structured(content_type: ContentType) -> bool:
    """Return True if the content type of a value is that of a CloudEvent with its attributes."""
    return content_type.media.startswith(MEDIA)


def read_cloud_event(record: Record, value: bytes, content_type: ContentType, reader: EventReader) -> Fields:
    """Return the fields of the event in a CloudEvent.

    Attributes that the worker does not read, and headers of other names, are ignored.

    Args:
        record: the record.
        value: its value.
        content_type: its content type.
        reader: reads the fields of data in JSON.

    Raises:
        Poison: the record is not a CloudEvent, or its data is neither JSON nor text.
    """
    if not is_structured(content_type):
        attributes = {name: _attribute(record, name) for name in (*REQUIRED, "specversion", "time")}
        _check_attributes(attributes)
        data_type = content_type if content_type.media else JSON
        return _with_defaults(_from_bytes(value, data_type, reader), attributes)
    if content_type.media not in STRUCTURED:
        raise Poison(
            Reason.SCHEMA, f"the format {show(content_type.media)} is not supported; {STRUCTURED[1]} is"
        )
    envelope = as_object(reader.parse(value, data="data"))
    _check_attributes(envelope)
    return _with_defaults(_from_envelope(envelope, reader), envelope)


def _attribute(record: Record, name: str) -> str | None:
    value = header(record, f"ce_{name}")
    try:
        return None if value is None else value.decode("utf-8")
    except UnicodeDecodeError:
        raise _refusal(f"the header ce_{name} is not UTF-8") from None


def _check_attributes(attributes: Mapping[str, Any]) -> None:
    if attributes.get("specversion", VERSIONS[0]) not in VERSIONS:
        raise _refusal(f"specversion must be {' or '.join(VERSIONS)}")
    for name in REQUIRED:
        if not attributes.get(name) or not isinstance(attributes[name], str):
            raise _refusal(f"{name} must be a string that is not empty")
    time = attributes.get("time")
    if time is not None and not (isinstance(time, str) and is_rfc3339(time)):
        raise _refusal("time must be a date-time of RFC 3339")


def _with_defaults(fields: Fields, attributes: Mapping[str, Any]) -> Fields:
    """Return the fields, with the id and the time of the CloudEvent where its data has none."""
    time = attributes.get("time")
    if time is not None:
        # The output has always shown UTC in this form.
        time = time.upper().replace("Z", "+00:00")
    return replace(fields, default_id=attributes["id"], default_time=time)


def _from_envelope(envelope: Mapping[str, Any], reader: EventReader) -> Fields:
    data, encoded = envelope.get("data"), envelope.get("data_base64")
    if data is not None and encoded is not None:
        raise _refusal("data and data_base64 exclude each other")
    if is_base64(envelope):
        data, encoded = None, data
    content_type = _data_content_type(envelope.get("datacontenttype"))
    if encoded is not None:
        return _from_base64(encoded, content_type, reader)
    if not content_type.media or content_type.is_json:
        return _from_json(data, reader)
    if not content_type.is_text:
        raise _unsupported(content_type)
    if data is not None and not isinstance(data, str):
        raise _refusal(f"data must be a string, since its type is {show(content_type.media)}")
    return Fields(text=data)


def is_base64(envelope: Mapping[str, Any]) -> bool:
    """Return True if version 0.3 says that `data` is Base64; version 1.0 has `data_base64` for that."""
    encoding = envelope.get("datacontentencoding")
    return envelope.get("specversion") == "0.3" and isinstance(encoding, str) and encoding.lower() == "base64"


def _data_content_type(declared: Any) -> ContentType:
    if declared is not None and not isinstance(declared, str):
        raise _refusal("datacontenttype must be a string")
    return read_content_type((declared or "").encode("utf-8"))


def _from_base64(encoded: Any, content_type: ContentType, reader: EventReader) -> Fields:
    try:
        data = b64decode(encoded, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise _refusal("the data is not Base64") from None
    if not content_type.media:
        # The data of many producers is text although JSON is the default of the specification.
        content_type = JSON if data.lstrip()[:1] in (b"{", b"[", b'"') else ContentType("text/plain")
    return _from_bytes(data, content_type, reader)


def _from_bytes(data: bytes, content_type: ContentType, reader: EventReader) -> Fields:
    if content_type.is_json:
        return _from_json(reader.parse(data), reader)
    if content_type.is_text:
        return Fields(text=decode_text(data, content_type.charset))
    raise _unsupported(content_type)


def _from_json(data: Any, reader: EventReader) -> Fields:
    """Return the fields of data in JSON: an event object, or a string that is the text."""
    return Fields(text=data) if data is None or isinstance(data, str) else reader.read(data)


def _unsupported(content_type: ContentType) -> Poison:
    return Poison(Reason.SCHEMA, f"data of the type {show(content_type.media)} is neither JSON nor text")


def _refusal(why: str) -> Poison:
    return Poison(Reason.SCHEMA, f"not a CloudEvent: {why}")
