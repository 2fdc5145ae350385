"""Traces of record batches and events, exported over OTLP.

The record path knows `Tracer` and `Trace`. OpenTelemetry is imported only if `start_tracing` starts a tracer.
"""

from stream.tracing.base import Trace, TracedBatch, Tracer, log_context, trace_batch
from stream.tracing.start import Tracing, start_tracing

__all__ = ["Trace", "TracedBatch", "Tracer", "Tracing", "log_context", "start_tracing", "trace_batch"]
