"""The functions of the compiled codec, and what takes the place of each to measure what it saves."""

import os
from collections.abc import Sequence

import orjson

from stream.codec import PYTHON_ONLY, Record
from stream.codec.compiled import CompiledCodec
from stream.codec.python import PythonCodec
from stream.records import Decoder, Event, Source
from stream.records.decode import READ_HEADERS

UNPACK, PARSER = "unpack", "parser"
REPLACED = {
    "json_texts": "json_texts: Python",
    "write_labels": "write_labels: Python",
    "append": "append: Python",
    "score_encoder": "encode_scores: numpy and orjson",
    # The other functions need the records that this one creates.
    UNPACK: "unpack: Python, for all others too",
    PARSER: "msgspec's parser: orjson",
}
"""Names of replacements, and what each replaces."""


def replace(name: str) -> None:
    """Replace one function in this process, before its codec is loaded."""
    if name == UNPACK:
        os.environ[PYTHON_ONLY] = "1"
    elif name == PARSER:
        Decoder._fast_path = orjson_fast_path  # type: ignore[assignment,method-assign]
    else:
        setattr(CompiledCodec, name, getattr(PythonCodec, name))


def orjson_fast_path(self: Decoder, source: Source, records: Sequence[Record]) -> list[Event | None]:
    """Decode plain events as `Decoder._fast_path` does, with orjson instead of msgspec."""
    texts = self._codec.json_texts(records, READ_HEADERS, self._max_event_bytes)
    found: list[Event | None] = []
    for record, value in zip(records, texts, strict=True):
        found.append(_event(record, value, source, self._max_text_chars) if value is not None else None)
    return found


def _event(record: Record, value: str, source: Source, max_chars: int) -> Event | None:
    try:
        event = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    if type(event) is not dict:
        return None
    get = event.get
    text, event_id, metadata, time = get("text"), get("id"), get("metadata"), get("time")
    if (
        type(text) is not str
        or not text
        or len(text) > max_chars
        or text.isspace()
        or (event_id is not None and type(event_id) is not str)
        or (metadata is not None and type(metadata) is not dict)
        or (time is not None and type(time) is not str)
        or get("text_pair") is not None
    ):
        return None
    event_id = event_id or f"{source.topic}-{source.partition}-{record.offset}"
    return Event(record, event_id, text, None, metadata, time)
