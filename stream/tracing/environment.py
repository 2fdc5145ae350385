"""The standard variables of OpenTelemetry that labelstream reads itself; its exporters read the others."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

from stream.errors import UsageError

# OpenTelemetry's default of 2,048 spans is less than one record batch whose events are all sampled.
QUEUE_SPANS = 16_384
EXPORT_SPANS = 512
DELAY_MS = 5_000
SAMPLERS = ("parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio")
PROTOCOLS = ("grpc", "http/protobuf")

N = TypeVar("N", int, float)


class OtelVariables(NamedTuple):
    """The values of the variables.

    Attributes:
        protocol: `grpc` or `http/protobuf`.
        ratio: the share of the events without a parent that are sampled; None if no variable says.
        queue_spans: the number of spans that may wait.
        export_spans: the largest number of spans in one export.
        delay_s: the seconds after which fewer spans are exported.
    """

    protocol: str
    ratio: float | None
    queue_spans: int
    export_spans: int
    delay_s: float


def is_disabled(environ: Mapping[str, str]) -> bool:
    """Return True if `OTEL_SDK_DISABLED` is `true`."""
    return environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def read_variables(environ: Mapping[str, str]) -> OtelVariables:
    """Read the variables.

    Raises:
        UsageError: a value is not a number, is out of range, or names something that is not supported.
    """
    protocol = (
        environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
        or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        or "http/protobuf"
    )
    if protocol not in PROTOCOLS:
        raise _invalid("OTEL_EXPORTER_OTLP_PROTOCOL", protocol, f"set it to {' or '.join(PROTOCOLS)}")
    queue = _number(environ, "OTEL_BSP_MAX_QUEUE_SIZE", QUEUE_SPANS, int, 1)
    return OtelVariables(
        protocol,
        _ratio(environ),
        queue,
        min(queue, _number(environ, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", EXPORT_SPANS, int, 1)),
        _number(environ, "OTEL_BSP_SCHEDULE_DELAY", DELAY_MS, int, 1) / 1000,
    )


def _ratio(environ: Mapping[str, str]) -> float | None:
    name = environ.get("OTEL_TRACES_SAMPLER", "").strip()
    if not name:
        return None
    if name not in SAMPLERS:
        # The others would trace events whose producer decided against it, or ignore those that it traces.
        raise _invalid(
            "OTEL_TRACES_SAMPLER", name, f"set it to {', '.join(SAMPLERS)}, or unset it and set trace_ratio"
        )
    if name.endswith("traceidratio"):
        return _number(environ, "OTEL_TRACES_SAMPLER_ARG", 1.0, float, 0.0, 1.0)
    return 1.0 if name.endswith("on") else 0.0


def _number(
    environ: Mapping[str, str],
    name: str,
    default: N,
    parse: Callable[[str], N],
    least: float,
    most: float = 1e9,
) -> N:
    value = environ.get(name, "").strip()
    if not value:
        return default
    try:
        number = parse(value)
    except ValueError:
        raise _invalid(name, value, "set it to a number") from None
    if not least <= number <= most:
        raise _invalid(name, value, f"set it to a number from {least:g} to {most:g}")
    return number


def _invalid(name: str, value: str, fix: str) -> UsageError:
    return UsageError(
        f"{name}: {value!r} is not supported", cause="the worker reads it because tracing is on", fix=fix
    )
