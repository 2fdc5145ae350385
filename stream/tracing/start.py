"""The start and the stop of tracing."""

import asyncio
import os
from collections.abc import Callable
from random import Random, SystemRandom
from typing import Protocol

import structlog

from stream.errors import missing_module
from stream.settings import Settings
from stream.tracing.base import Tracer
from stream.tracing.batch import SamplingTracer
from stream.tracing.environment import is_disabled, read_variables
from stream.tracing.sampling import EventSampler

# The longest wait for a collector at a shutdown. It accepts spans in milliseconds, or it is not there.
FLUSH_S = 5.0

log = structlog.get_logger(__name__)


class SpanThread(Protocol):
    """The thread that exports spans."""

    def stop(self, timeout_s: float) -> None:
        """Export what waits, for at most `timeout_s` seconds, and end."""


class Tracing:
    """The tracer of a worker, and the thread behind it.

    Attributes:
        tracer: the tracer.
    """

    def __init__(self, tracer: Tracer, thread: SpanThread) -> None:
        self.tracer = tracer
        self._thread = thread

    async def stop(self, remaining_s: float) -> None:
        """Export the spans that wait; drop those that the collector has not accepted in time.

        Args:
            remaining_s: the seconds that the shutdown may take.
        """
        await asyncio.to_thread(self._thread.stop, min(remaining_s, FLUSH_S))


def start_tracing(settings: Settings, instance: str, on_dropped: Callable[[int], None]) -> Tracing | None:
    """Start tracing, if the settings say so.

    Args:
        settings: the settings of the worker.
        instance: the name of the worker, for the resource attribute `service.instance.id`.
        on_dropped: receives the numbers of spans that are dropped.

    Returns:
        None if tracing is off, or `OTEL_SDK_DISABLED` is `true`.

    Raises:
        UsageError: OpenTelemetry is not installed, or one of its variables is invalid.
    """
    if settings.tracing == "off":
        return None
    if is_disabled(os.environ):
        log.info("tracing is off", cause="OTEL_SDK_DISABLED is true")
        return None
    variables = read_variables(os.environ)
    ratio = variables.ratio or 0.0 if settings.trace_ratio is None else settings.trace_ratio
    sampler = EventSampler(ratio, Random(SystemRandom().getrandbits(256)))
    try:
        from stream.tracing.otlp.start import start_queue
    except ModuleNotFoundError as exc:
        raise missing_module("tracing needs OpenTelemetry", exc, "otel") from exc
    thread = start_queue(settings, variables, sampler.new_span_id, instance, on_dropped)
    log.info("tracing is on", protocol=variables.protocol, ratio=ratio)
    return Tracing(SamplingTracer(sampler, thread), thread)
