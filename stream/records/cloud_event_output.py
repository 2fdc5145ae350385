"""Label events as CloudEvents 1.0, in the modes of the Kafka protocol binding."""

from typing import Literal
from urllib.parse import quote

import orjson

from stream.codec import Headers, Outgoing, Record, Rfc3339
from stream.records.cloud_events import STRUCTURED
from stream.records.event_json import members_of
from stream.records.events import Event, Source, id_stem

Mode = Literal["binary", "structured"]

TYPE = "dev.labelstream.label.v1"
CONTENT_TYPE = "content-type"
PREFIX = "ce_"
INPUT_ATTRIBUTES = ("id", "source")


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
        self._same = {
            "specversion": "1.0",
            "source": f"urn:labelstream:{quote(group, safe='')}:{quote(route, safe='')}",
            "type": TYPE,
        }
        self._same_headers = [(f"{PREFIX}{name}", value.encode()) for name, value in self._same.items()]
        self._time = Rfc3339()

    def write(
        self,
        mode: Mode,
        input_mode: Mode | None,
        source: Source,
        labelled_at: int,
        event: Event,
        record: Outgoing,
    ) -> tuple[bytes, Headers]:
        """Return the value and the headers of a label event.

        Args:
            mode: the mode of the binding.
            input_mode: the mode of the input, None if it is no CloudEvent.
            source: the topic and partition of the event.
            labelled_at: the time of labelling, milliseconds since the epoch.
            event: the event.
            record: its label record, without attributes of a CloudEvent.
        """
        attributes = {
            "id": f"{id_stem(source)}{event.record.offset}",
            "subject": event.id,
            "time": self._time.json(labelled_at)[1:-1].decode(),
        }
        if input_mode is not None:
            attributes |= _input_attributes(event.record, input_mode)
        data = record.value or b""
        if mode == "binary":
            added = [(f"{PREFIX}{name}", value.encode()) for name, value in attributes.items()]
            return data, [*record.headers, *self._same_headers, *added]
        envelope = orjson.dumps({**self._same, **attributes, "datacontenttype": "application/json"})
        headers = [(name, value) for name, value in record.headers if name != CONTENT_TYPE]
        return b'%b,"data":%b}' % (envelope[:-1], data), [*headers, (CONTENT_TYPE, STRUCTURED[1].encode())]


def _input_attributes(record: Record, mode: Mode) -> dict[str, str]:
    """Return the id and the source of an input as extension attributes.

    An input under a schema has headers that were not checked, so each may be missing.
    """
    if mode == "structured":
        members = members_of(record.value or b"")
        return {f"input{name}": orjson.loads(members[name]) for name in INPUT_ATTRIBUTES if name in members}
    found = dict(record.headers)
    return {
        f"input{name}": value.decode("utf-8", "replace")
        for name in INPUT_ATTRIBUTES
        if (value := found.get(f"{PREFIX}{name}")) is not None
    }
