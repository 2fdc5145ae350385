"""Label events under a schema of the registry."""

from dataclasses import dataclass
from operator import methodcaller

import orjson

from stream.errors import RegistryError
from stream.registry.avro import AvroWriter
from stream.registry.client import NotFoundError, RegistryClient, RejectedError
from stream.registry.frame import write_frame
from stream.routes import RegistryOutput
from stream.schemas import schema_text
from stream.wording import with_worker_settings


@dataclass(frozen=True, slots=True)
class LabelSchema:
    """The schema of a route's label events.

    Attributes:
        schema_id: the id of the schema in the registry.
        avro: writes Avro; None for JSON.
    """

    schema_id: int
    avro: AvroWriter | None = None

    @property
    def content_type(self) -> bytes:
        """The content type of the label records."""
        # A frame makes of JSON something that is no JSON.
        return b"application/octet-stream" if self.avro is None else b"application/avro"

    def write(self, label: bytes) -> bytes:
        """Return the JSON of a label event in the schema's format, with its frame."""
        payload = label if self.avro is None else self.avro.write(orjson.loads(label))
        return write_frame(self.schema_id, payload)


def subject_of(topic: str) -> str:
    """Return the subject of a topic's values, by Confluent's TopicNameStrategy."""
    return f"{topic}-value"


def make_schema(output_format: RegistryOutput) -> tuple[str, str]:
    """Return the text of the label event's schema and its type in the registry."""
    if output_format == "avro":
        return schema_text("label.v1.avsc"), "AVRO"
    return schema_text("label.v1.json"), "JSON"


async def label_schema(
    client: RegistryClient, output_topic: str, output_format: RegistryOutput
) -> LabelSchema:
    """Look up the schema of the label events of an output topic.

    Raises:
        RegistryError: the schema is not registered, or the registry is not available.
        UsageError: the client's library is not installed.
    """
    from confluent_kafka.schema_registry import Schema

    subject = subject_of(output_topic)
    text, schema_type = make_schema(output_format)
    schema = Schema(text, schema_type)
    try:
        found = await client.call(methodcaller("lookup_schema", subject, schema, True))
    except (NotFoundError, RejectedError):
        raise not_registered(subject, output_format) from None
    return LabelSchema(found.schema_id, AvroWriter(text) if schema_type == "AVRO" else None)


def not_registered(subject: str, output_format: str) -> RegistryError:
    """Return the error for a subject that lacks the schema of label events."""
    return RegistryError(
        f"the subject {subject} lacks the schema of label events for output_format = {output_format}",
        cause="the schema is not registered; the worker registers none itself",
        fix=f"register it: {with_worker_settings('labelstream schemas register')}",
    )
