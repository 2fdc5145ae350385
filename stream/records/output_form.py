"""The form of a route's label records: plain label events, other JSON, or CloudEvents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stream.codec import Headers, Outgoing, Record, load_codec
from stream.records.cloud_event_output import PREFIX, CloudEventWriter, Mode
from stream.records.cloud_events import BINARY_HEADER, is_cloud_event, is_structured
from stream.records.content_type import read_content_type
from stream.records.events import Event, Source, header
from stream.records.output_shape import EnrichShape, IncludeShape, OutputShape
from stream.routes import Route

CLOUD_EVENT_HEADERS = frozenset((BINARY_HEADER, "ce_id", "ce_source", "ce_type"))
"""Headers that show that others with the prefix `ce_` are attributes of a CloudEvent."""
_MODES: dict[str, Mode] = {"cloudevents-binary": "binary", "cloudevents-structured": "structured"}


@dataclass(frozen=True, slots=True)
class OutputForm:
    """The form of label records.

    Attributes:
        shape: combines label events with their inputs; None for label events alone.
        cloud_events: writes CloudEvents; None for JSON whatever the input is.
        mode: the mode of every output; None writes a CloudEvent for an input that is one, in its mode.
    """

    shape: OutputShape | None = None
    cloud_events: CloudEventWriter | None = None
    mode: Mode | None = None

    @property
    def rewrites_all(self) -> bool:
        """True if no label record has the form that the codec writes."""
        return self.shape is not None or self.mode is not None

    def rewrite(
        self,
        source: Source,
        labelled_at: int,
        events: Sequence[Event],
        records: Sequence[Outgoing],
        modes: Mapping[int, Mode],
    ) -> Sequence[Outgoing]:
        """Return label records of this form for label records with plain label events.

        Args:
            source: the topic and partition of the events.
            labelled_at: the time of labelling, milliseconds since the epoch.
            events: the events.
            records: the label record of each event.
            modes: the mode of each input that is a CloudEvent, by offset.
        """
        codec = load_codec()
        if self.shape is not None:
            labels = (record.value or b"" for record in records)
            records = codec.replace_values(records, [*map(self.shape.apply, events, labels)])
        if self.cloud_events is None or not (self.mode or modes):
            return records
        write, pack, written = self.cloud_events.write, codec.pack, list(records)
        for at, (event, record) in enumerate(zip(events, records, strict=True)):
            input_mode = modes.get(event.record.offset)
            mode = self.mode or input_mode
            if mode is not None:
                value, headers = write(mode, input_mode, source, labelled_at, event, record)
                written[at] = pack(record.key, value, headers, record.timestamp)
        return written


def make_output_form(route: Route, group: str) -> OutputForm:
    """Return the form of a route's label records."""
    shape: OutputShape | None = None
    if route.output == "enrich":
        shape = EnrichShape(route.label_field)
    elif route.include:
        shape = IncludeShape(route.include, is_json=route.input_format == "json")
    writer = None if route.output_format == "json" else CloudEventWriter(group, route.name)
    return OutputForm(shape, writer, _MODES.get(route.output_format))


def input_mode(record: Record) -> Mode | None:
    """Return the mode of a record that is a CloudEvent, None for any other record."""
    if not record.headers:
        return None
    content_type = read_content_type(header(record, "content-type"))
    if not is_cloud_event(record, content_type):
        return None
    return "structured" if is_structured(content_type) else "binary"


def without_attributes(headers: Headers) -> Headers:
    """Return headers without the attributes of a CloudEvent, which belong to the input alone."""
    if not any(name in CLOUD_EVENT_HEADERS for name, _ in headers):
        return headers
    return [(name, value) for name, value in headers if not name.startswith(PREFIX)]
