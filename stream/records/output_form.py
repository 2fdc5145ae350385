"""The form of a route's label records: plain label events, other JSON, or CloudEvents."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from stream.codec import Headers, Outgoing, Record, load_codec
from stream.records.cloud_event_output import PREFIX, CloudEventWriter, Mode
from stream.records.cloud_events import BINARY_HEADER, is_cloud_event, is_structured
from stream.records.content_type import read_content_type
from stream.records.event_json import event_json
from stream.records.events import Event, Source, header
from stream.records.output_shape import EnrichShape, IncludeShape, OutputShape
from stream.records.registry_values import RegistryValues
from stream.registry import LabelSchema, RouteSchemas, SchemaCache
from stream.routes import Route

JSON = b"application/json"
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
        schema: the schema of label events in the schema registry; None for JSON without one.
    """

    shape: OutputShape | None = None
    cloud_events: CloudEventWriter | None = None
    mode: Mode | None = None
    schema: LabelSchema | None = None

    @property
    def content_type(self) -> bytes:
        """The content type of the records, unless they are CloudEvents."""
        return JSON if self.schema is None else self.schema.content_type

    @property
    def rewrites_all(self) -> bool:
        """True if no label record has the form that the codec writes."""
        return self.shape is not None or self.mode is not None or self.schema is not None

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
        if self.schema is not None:
            values = [self.schema.write(record.value or b"") for record in records]
            records = codec.replace_values(records, values)
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


def make_output_form(route: Route, group: str, schemas: RouteSchemas | None = None) -> OutputForm:
    """Return the form of a route's label records.

    Args:
        route: the route.
        group: the consumer group of the worker.
        schemas: the route's schemas in the schema registry.
    """
    schemas = schemas or RouteSchemas()
    shape: OutputShape | None = None
    if route.output == "enrich":
        shape = EnrichShape(route.label_field)
    elif route.include:
        shape = IncludeShape(route.include, _json_reader(route, schemas.inputs))
    writes_json = route.output_format == "json" or route.registry_output is not None
    # A value with a schema is not read as a CloudEvent, whatever its headers say.
    copies_input = route.output_format == "auto" and schemas.inputs is not None
    writer = None if writes_json or copies_input else CloudEventWriter(group, route.name)
    return OutputForm(shape, writer, _MODES.get(route.output_format), schemas.label)


def _json_reader(route: Route, schemas: SchemaCache | None) -> Callable[[Record], bytes | None]:
    """Return the function that reads the JSON of a route's events; it returns None for a text."""
    if schemas is not None:
        return RegistryValues(route, schemas).json
    return partial(event_json, plain=route.input_format == "text")


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
