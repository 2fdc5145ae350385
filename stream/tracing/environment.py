"""The standard variables of OpenTelemetry that labelstream reads itself; its exporters read the others."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

from stream.errors import UsageError

# OpenTelemetry's default of 2,048 spans is less than one record batch whose events are all sampled.
QUEUE_SPANS = 16_384
EXPORT_SPANS = 512
DELAY_MS = 5_000
SAMPLERS = ("parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio")
PROTOCOLS = ("http/protobuf", "grpc")

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
        UsageError: a value is not a number or out of range, or the worker does not support it.
    """
    name, protocol = _of_traces(environ, "PROTOCOL")
    protocol = protocol or PROTOCOLS[0]
    if protocol not in PROTOCOLS:
        raise _invalid(name, protocol, " and ".join(PROTOCOLS))
    _check_endpoint(environ)
    queue = _number(environ, "OTEL_BSP_MAX_QUEUE_SIZE", QUEUE_SPANS, int, 1)
    return OtelVariables(
        protocol,
        _ratio(environ),
        queue,
        min(queue, _number(environ, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", EXPORT_SPANS, int, 1)),
        _number(environ, "OTEL_BSP_SCHEDULE_DELAY", DELAY_MS, int, 1) / 1000,
    )


def _of_traces(environ: Mapping[str, str], word: str) -> tuple[str, str]:
    """Return the variable of the exporter that holds for traces, and its value; empty if neither is set."""
    names = f"OTEL_EXPORTER_OTLP_TRACES_{word}", f"OTEL_EXPORTER_OTLP_{word}"
    return next(((name, environ[name]) for name in names if environ.get(name)), (names[1], ""))


def _check_endpoint(environ: Mapping[str, str]) -> None:
    """Check that the endpoint is a URL; with localhost:4317 an exporter starts and exports nothing.

    Raises:
        UsageError: it is not.
    """
    name, value = _of_traces(environ, "ENDPOINT")
    if not value:
        return
    url = urlsplit(value)
    if url.scheme not in ("http", "https") or not url.netloc:
        # The value may contain a password.
        shown = value.rpartition("@")[2]
        host = "localhost:4318" if "://" in shown else shown
        fix = f"set {name} to http://{host}, or for TLS to https://{host}"
        raise _invalid(name, shown, "URLs that begin with http:// or https://", fix)


def _ratio(environ: Mapping[str, str]) -> float | None:
    name = environ.get("OTEL_TRACES_SAMPLER", "").strip()
    if not name:
        return None
    if name not in SAMPLERS:
        # The others would trace events whose producer decided against it, or ignore those that it traces.
        fix = "correct OTEL_TRACES_SAMPLER, or unset it and set trace_ratio"
        raise _invalid("OTEL_TRACES_SAMPLER", name, ", ".join(SAMPLERS), fix)
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
    kind = "whole numbers" if parse is int else "numbers"
    allowed = f"{kind} from {least:,.15g} to {most:,.15g}"
    try:
        number = parse(value)
    except ValueError:
        raise _invalid(name, value, allowed) from None
    if not least <= number <= most:
        raise _invalid(name, value, allowed)
    return number


def _invalid(name: str, value: str, allowed: str, fix: str = "") -> UsageError:
    return UsageError(
        f"the environment variable {name} has the value {value!r}, which the worker does not support",
        cause=f"with tracing on, it supports {allowed}",
        fix=fix or f"correct {name}",
    )
