"""The OTLP exporters of OpenTelemetry, given spans that are protobuf messages already.

The exporters read the endpoint, headers, timeout, compression and certificates from the standard variables
`OTEL_EXPORTER_OTLP_*`. `_translate_data`, `_count_data` and `_client` are private, so pyproject.toml allows
only the minor version that the tests ran with.
"""

from collections.abc import Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span
from opentelemetry.sdk.trace.export import SpanExportResult

from stream import __version__


class Envelope:
    """Wraps spans in the request of an export."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._scope = InstrumentationScope(name="labelstream", version=__version__)

    def request(self, spans: Sequence[Span]) -> ExportTraceServiceRequest:
        """Return the request that exports spans."""
        in_scope = ScopeSpans(scope=self._scope, spans=spans)
        return ExportTraceServiceRequest(
            resource_spans=[ResourceSpans(resource=self._resource, scope_spans=[in_scope])]
        )


class GrpcExporter(GrpcSpanExporter):
    """Exports over gRPC."""

    def __init__(self, envelope: Envelope) -> None:
        super().__init__()
        self._envelope = envelope

    def _translate_data(self, data: Any) -> ExportTraceServiceRequest:
        return self._envelope.request(data)

    def export_messages(self, spans: Sequence[Span]) -> bool:
        """Export spans; return False if the collector did not accept them."""
        exported: Any = self._export(spans)  # type: ignore[arg-type]
        return exported is SpanExportResult.SUCCESS


class HttpExporter(HttpSpanExporter):
    """Exports over HTTP, as protobuf."""

    def __init__(self, envelope: Envelope) -> None:
        super().__init__()
        self._envelope = envelope

    def export_messages(self, spans: Sequence[Span]) -> bool:
        """Export spans; return False if the collector did not accept them."""
        return self._client.export(self._envelope.request(spans).SerializeToString()).success
