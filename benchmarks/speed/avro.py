"""The worker on Avro events under a real schema registry, with a topic of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from benchmarks.speed.events import small_events
from benchmarks.speed.systems import FREE_WORKER, LabelstreamWorker
from stream.registry.avro import AvroWriter
from stream.registry.frame import write_frame
from tests.real.components import Notify, unique
from tests.real.registry import ApicurioRegistry

SCHEMA = orjson.dumps(
    {
        "type": "record",
        "name": "Event",
        "fields": [
            {"name": "id", "type": "string"},
            {"name": "text", "type": "string"},
            {"name": "metadata", "type": {"type": "map", "values": "string"}},
        ],
    }
).decode()


@contextmanager
def running_registry(notify: Notify) -> Iterator[ApicurioRegistry]:
    """Run a registry.

    Raises:
        MissingComponentError: the registry cannot be had on this machine.
    """
    registry = ApicurioRegistry(notify)
    try:
        registry.start()
        yield registry
    finally:
        registry.close()


def avro_worker(bundle: Path, registry: ApicurioRegistry) -> LabelstreamWorker:
    """Return the worker with a free model that reads Avro and writes JSON."""
    settings = (("input_format", "avro"), ("schema_registry_url", registry.url))
    return LabelstreamWorker(bundle, FREE_WORKER, settings)


def avro_events(registry: ApicurioRegistry, count: int) -> Iterator[bytes]:
    """Yield the small events as Avro with a frame."""
    schema_id = registry.register(unique("bench-value"), SCHEMA, "AVRO")
    writer = AvroWriter(SCHEMA)
    for event in small_events(count):
        yield write_frame(schema_id, writer.write(orjson.loads(event)))
