"""The start of the export: the resource, the exporter and the queue of spans."""

import os
from collections.abc import Callable

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

from stream import __version__
from stream.errors import UsageError, one_line
from stream.settings import Settings
from stream.tracing.environment import OtelVariables
from stream.tracing.otlp.exporters import Envelope, GrpcExporter, HttpExporter
from stream.tracing.otlp.queue import SpanQueue
from stream.tracing.otlp.spans import SpanBuilder


def start_queue(
    settings: Settings,
    variables: OtelVariables,
    new_span_id: Callable[[], bytes],
    instance: str,
    on_dropped: Callable[[int], None],
) -> SpanQueue:
    """Start the thread that exports spans. It connects to the collector at its first export.

    Raises:
        UsageError: the exporter refuses a variable.
    """
    envelope = Envelope(make_resource(instance))
    exporter_class = GrpcExporter if variables.protocol == "grpc" else HttpExporter
    try:
        exporter = exporter_class(envelope)
    except Exception as exc:
        raise UsageError(
            "the OTLP exporter cannot be created",
            cause=one_line(exc),
            fix=f"check the environment variables: {_exporter_variables()}",
        ) from exc
    topics = {route.input_topic: route.output_topic for route in settings.effective_routes}
    queue = SpanQueue(
        SpanBuilder(settings.group, topics),
        new_span_id,
        exporter,
        capacity=variables.queue_spans,
        export_size=variables.export_spans,
        delay_s=variables.delay_s,
        on_dropped=on_dropped,
    )
    queue.start()
    return queue


def _exporter_variables() -> str:
    """Return the names of the exporter's variables that are set; a value may be a password."""
    return ", ".join(sorted(name for name in os.environ if name.startswith("OTEL_EXPORTER_OTLP_")))


def make_resource(instance: str) -> ResourceMessage:
    """Return the resource of the worker. The standard variables of resources take precedence."""
    ours = {"service.name": "labelstream", "service.version": __version__, "service.instance.id": instance}
    resource = Resource.create(ours).merge(OTELResourceDetector().detect())
    # The encoder of spans is public, the one of resources is not.
    context = SpanContext(1, 1, is_remote=False)
    encoded = encode_spans([ReadableSpan("", context, resource=resource, start_time=0, end_time=0)])
    found: ResourceMessage = encoded.resource_spans[0].resource
    return found
