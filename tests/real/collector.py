"""A stand-in for an OpenTelemetry collector: it parses what it receives over OTLP, and keeps the spans.

python -m tests.real.collector prints the spans that it receives over HTTP on port 4318.
"""

import gzip
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import partial
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
        port: the port to listen on; 0 takes a free one.
        received: the spans so far.
        headers: the headers, or the metadata, of the last request.
    """

    protocol: str
    port: int = 0
    received: list[Received] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        if self.protocol == "grpc":
            self._grpc = grpc.server(ThreadPoolExecutor(2))
            add_TraceServiceServicer_to_server(_Servicer(self), self._grpc)
            self.port = self._grpc.add_insecure_port(f"127.0.0.1:{self.port}")
            self._grpc.start()
        else:
            handler = partial(_Handler, self)
            self._http = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
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

    def take(self) -> list[Received]:
        """Return the spans so far, and forget them."""
        taken, self.received = self.received, []
        return taken

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
    def __init__(self, target: Collector, *given: Any) -> None:
        self.target = target
        super().__init__(*given)

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


def print_spans() -> None:
    """Print the spans that arrive, until Ctrl-C."""
    with Collector("http/protobuf", 4318) as collector:
        print(f"{'trace':32}  {'span':16}  {'parent':16}  {'ms':>9}  name", flush=True)
        while True:
            for span in [received.span for received in collector.take()]:
                ms = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6
                ids = f"{span.trace_id.hex()}  {span.span_id.hex()}  {span.parent_span_id.hex():16}"
                print(f"{ids}  {ms:9.3f}  {span.name}", flush=True)
            time.sleep(0.2)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        print_spans()
