"""A stand-in for an OpenTelemetry collector: it parses what it receives over OTLP, and keeps the spans."""

import gzip
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True)
class Received:
    """One span as received.

    Attributes:
        span: the span.
        resource: the attributes of its resource.
    """

    span: Span
    resource: dict[str, Any]

    @property
    def attributes(self) -> dict[str, Any]:
        return values(self.span.attributes)


def values(attributes: Any) -> dict[str, Any]:
    """Return attributes as a dict."""

    def value(pair: KeyValue) -> Any:
        return getattr(pair.value, pair.value.WhichOneof("value") or "string_value")

    return {pair.key: value(pair) for pair in attributes}


@dataclass
class Collector(AbstractContextManager["Collector"]):
    """Receives spans.

    Attributes:
        protocol: `grpc` or `http/protobuf`.
        received: the spans so far.
        headers: the headers, or the metadata, of the last request.
    """

    protocol: str
    received: list[Received] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        if self.protocol == "grpc":
            self._grpc = grpc.server(ThreadPoolExecutor(2))
            add_TraceServiceServicer_to_server(_Servicer(self), self._grpc)
            self.port = self._grpc.add_insecure_port("127.0.0.1:0")
            self._grpc.start()
        else:
            collector = self

            class Handler(_Handler):
                target = collector

            self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            self.port = self._http.server_port
            threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.protocol == "grpc":
            self._grpc.stop(None)
        else:
            self._http.shutdown()
            self._http.server_close()

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that make a worker export to this collector."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": self.protocol,
        }

    def accept(self, request: ExportTraceServiceRequest, headers: dict[str, str]) -> None:
        """Keep the spans of a request."""
        self.headers = headers
        for group in request.resource_spans:
            resource = values(group.resource.attributes)
            for scope in group.scope_spans:
                self.received += [Received(span, resource) for span in scope.spans]

    def named(self, name: str) -> list[Received]:
        """Return the spans of a name."""
        return [received for received in [*self.received] if received.span.name == name]


class _Servicer(TraceServiceServicer):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the name in the protocol
        self._collector.accept(request, {pair.key: pair.value for pair in context.invocation_metadata()})
        return ExportTraceServiceResponse()


class _Handler(BaseHTTPRequestHandler):
    target: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        found = self.path == "/v1/traces" and self.headers["content-type"] == "application/x-protobuf"
        if found:
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.target.accept(ExportTraceServiceRequest.FromString(body), headers)
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200 if found else 404)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Do nothing."""
