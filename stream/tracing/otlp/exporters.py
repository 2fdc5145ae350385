"""The OTLP exporters of OpenTelemetry, given spans that are encoded already.

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
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans
from opentelemetry.sdk.trace.export import SpanExportResult

from stream import __version__

# The wire type of protobuf's strings, bytes and messages.
LENGTH_DELIMITED = 2


class Envelope:
    """Wraps spans in the request of an export."""

    def __init__(self, resource: Resource) -> None:
        scope = InstrumentationScope(name="labelstream", version=__version__)
        self._scope = ScopeSpans(scope=scope).SerializeToString()
        self._resource = ResourceSpans(resource=resource).SerializeToString()

    def request(self, spans: Sequence[bytes]) -> bytes:
        """Return the encoded request that exports encoded spans."""
        in_scope = self._scope + b"".join([_field(ScopeSpans.SPANS_FIELD_NUMBER, span) for span in spans])
        of_resource = self._resource + _field(ResourceSpans.SCOPE_SPANS_FIELD_NUMBER, in_scope)
        return _field(ExportTraceServiceRequest.RESOURCE_SPANS_FIELD_NUMBER, of_resource)


def _field(number: int, message: bytes) -> bytes:
    """Return a message as a field of the message around it; the number is below 16."""
    size = bytearray((number << 3 | LENGTH_DELIMITED,))
    length = len(message)
    while length >= 0x80:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    size.append(length)
    return bytes(size) + message


class GrpcExporter(GrpcSpanExporter):
    """Exports over gRPC."""

    def __init__(self, envelope: Envelope) -> None:
        super().__init__()
        self._envelope = envelope

    def _translate_data(self, data: Any) -> ExportTraceServiceRequest:
        request: ExportTraceServiceRequest = ExportTraceServiceRequest.FromString(
            self._envelope.request(data)
        )
        return request

    def export_messages(self, spans: Sequence[bytes]) -> bool:
        """Export spans; return False if the collector did not accept them."""
        exported: Any = self._export(spans)  # type: ignore[arg-type]
        return exported is SpanExportResult.SUCCESS


class HttpExporter(HttpSpanExporter):
    """Exports over HTTP, as protobuf."""

    def __init__(self, envelope: Envelope) -> None:
        super().__init__()
        self._envelope = envelope

    def export_messages(self, spans: Sequence[bytes]) -> bool:
        """Export spans; return False if the collector did not accept them."""
        return self._client.export(self._envelope.request(spans)).success
