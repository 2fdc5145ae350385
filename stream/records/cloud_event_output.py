"""Label events as CloudEvents 1.0, in the modes of the Kafka protocol binding."""

from typing import Literal
from urllib.parse import quote

import msgspec
import orjson

from stream.codec import Headers, Rfc3339
from stream.records.cloud_events import STRUCTURED, is_structured
from stream.records.content_type import read_content_type
from stream.records.events import Event, Source, header, id_stem

Mode = Literal["binary", "structured"]

TYPE = "dev.labelstream.label.v1"
CONTENT_TYPE = "content-type"
PREFIX = "ce_"


class _Envelope(msgspec.Struct, gc=False):
    """The attributes of a structured CloudEvent that its label event repeats."""

    id: str
    source: str


_parse_envelope = msgspec.json.Decoder(_Envelope).decode


class CloudEventWriter:
    """Writes label events as CloudEvents with an identity of their own.

    The id is the position of the input record, so a label event that is published twice has the same id.
    """

    def __init__(self, group: str, route: str) -> None:
        """
        Args:
            group: the consumer group of the worker.
            route: the name of the route; group and route form the attribute `source`.
        """
        self._source = f"urn:labelstream:{quote(group, safe='')}:{quote(route, safe='')}"
        self._time = Rfc3339()

    def write(
        self, mode: Mode, source: Source, labelled_at: int, event: Event, data: bytes, headers: Headers
    ) -> tuple[bytes, Headers]:
        """Return the value and the headers of a label event.

        Args:
            mode: the mode of the binding.
            source: the topic and partition of the event.
            labelled_at: the time of labelling, milliseconds since the epoch.
            event: the event.
            data: the JSON of the label event.
            headers: the headers of the label record, without those of a CloudEvent.
        """
        attributes = {
            "specversion": "1.0",
            "id": f"{id_stem(source)}{event.record.offset}",
            "source": self._source,
            "type": TYPE,
            "subject": event.id,
            "time": self._time.json(labelled_at)[1:-1].decode(),
            **_input_attributes(event),
        }
        if mode == "binary":
            added = ((f"{PREFIX}{name}", value.encode()) for name, value in attributes.items())
            return data, [*headers, *added]
        envelope = orjson.dumps(attributes | {"datacontenttype": "application/json"})
        typed = [(name, value) for name, value in headers if name != CONTENT_TYPE]
        return b'%b,"data":%b}' % (envelope[:-1], data), [*typed, (CONTENT_TYPE, STRUCTURED[1].encode())]


def _input_attributes(event: Event) -> dict[str, str]:
    """Return the id and the source of an input that is a CloudEvent, as extension attributes."""
    record = event.record
    if not record.headers:
        return {}
    if is_structured(read_content_type(header(record, CONTENT_TYPE))):
        envelope = _parse_envelope(record.value or b"")
        return {"inputid": envelope.id, "inputsource": envelope.source}
    found = (header(record, f"{PREFIX}{name}") for name in ("id", "source"))
    names = zip(("inputid", "inputsource"), found, strict=True)
    return {name: value.decode() for name, value in names if value is not None}
