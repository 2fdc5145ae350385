"""The export never waits for the collector: full queues, refused spans, the stop, and the variables."""

import subprocess
import sys
import threading
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from stream.errors import UsageError
from stream.records import Source
from stream.settings import load_settings
from stream.tracing import start_tracing
from stream.tracing.batch import FinishedTrace, StageTime
from stream.tracing.context import SpanContext
from stream.tracing.environment import read_variables
from stream.tracing.otlp.queue import SpanQueue
from stream.tracing.otlp.spans import SpanBuilder
from stream.tracing.otlp.start import make_resource
from tests.real.collector import values

MOMENT = StageTime(1, 2, 1)
TRACE = FinishedTrace(
    SpanContext(b"t" * 16, b"s" * 8, 1), Source("texts", 0), 0, 1, 1, (), MOMENT, {"queue": MOMENT}, True, ""
)


class FakeExporter:
    """A collector that accepts spans, refuses them, fails, or does not answer before the shutdown."""

    def __init__(self, answer: bool | Exception | None) -> None:
        self.answer = answer
        self.exported: list[bytes] = []
        self.asked = threading.Event()
        self.closed = threading.Event()

    def export_messages(self, spans: Sequence[bytes]) -> bool:
        self.asked.set()
        if self.answer is None:
            self.closed.wait(60)
            return False
        if isinstance(self.answer, Exception):
            raise self.answer
        self.exported += spans
        return self.answer

    def shutdown(self) -> None:
        self.closed.set()


class Setup:
    def __init__(self, answer: bool | Exception | None, capacity: int = 100) -> None:
        self.exporter = FakeExporter(answer)
        self.dropped: list[int] = []
        self.queue = SpanQueue(
            SpanBuilder("g", {"texts": "labels"}),
            lambda: b"12345678",
            self.exporter,
            capacity=capacity,
            export_size=4,
            delay_s=60,
            on_dropped=self.dropped.append,
        )


def test_spans_are_exported_when_enough_wait_and_at_the_stop() -> None:
    setup = Setup(True)
    setup.queue.start()
    for _ in range(5):
        setup.queue.add_batch(TRACE)
    assert setup.exporter.asked.wait(30)
    setup.queue.add_commit(TRACE, MOMENT)
    setup.queue.stop(30)
    assert len(setup.exporter.exported) == 11
    assert setup.dropped == []


def test_spans_beyond_the_capacity_are_dropped_counted_and_logged_once() -> None:
    setup = Setup(True, capacity=4)
    with capture_logs() as lines:
        for _ in range(4):
            setup.queue.add_batch(TRACE)
        setup.queue.add_commit(TRACE, MOMENT)
    assert setup.dropped == [2, 2, 1]
    assert [line["event"] for line in lines] == ["spans are dropped"]
    setup.queue.start()
    setup.queue.stop(30)
    assert len(setup.exporter.exported) == 4


@pytest.mark.parametrize("answer", [False, RuntimeError("a bug")])
def test_spans_that_the_collector_does_not_accept_are_counted(answer: bool | Exception) -> None:
    setup = Setup(answer)
    setup.queue.start()
    setup.queue.add_batch(TRACE)
    setup.queue.stop(30)
    assert setup.dropped == [2]


def test_a_collector_that_does_not_answer_does_not_hold_up_the_stop() -> None:
    setup = Setup(None)
    setup.queue.start()
    for _ in range(4):
        setup.queue.add_batch(TRACE)
    assert setup.exporter.asked.wait(30)
    setup.queue.stop(0.0)
    assert setup.exporter.closed.is_set()
    assert sum(setup.dropped) >= 4


@pytest.mark.parametrize(
    ("environ", "ratio"),
    [
        ({}, None),
        ({"OTEL_TRACES_SAMPLER": "parentbased_always_on"}, 1.0),
        ({"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, 0.0),
        ({"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"}, 0.25),
        ({"OTEL_TRACES_SAMPLER": "parentbased_traceidratio"}, 1.0),
    ],
)
def test_the_sampler_of_the_environment_is_the_ratio(environ: dict[str, str], ratio: float | None) -> None:
    assert read_variables(environ).ratio == ratio


def test_the_variables_of_the_traces_precede_those_of_all_signals() -> None:
    read = read_variables(
        {
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
            "OTEL_BSP_MAX_QUEUE_SIZE": "100",
            "OTEL_BSP_SCHEDULE_DELAY": "250",
        }
    )
    assert (read.protocol, read.queue_spans, read.export_spans, read.delay_s) == ("grpc", 100, 100, 0.25)
    assert read_variables({}).protocol == "http/protobuf"


RATIO = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio"}
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.mark.parametrize(
    ("variable", "value", "allowed", "others"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "http/protobuf and grpc", {}),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "http/protobuf and grpc", {}),
        ("OTEL_TRACES_SAMPLER", "always_on", "parentbased_always_on", {}),
        ("OTEL_TRACES_SAMPLER_ARG", "2", "numbers from 0 to 1", RATIO),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many", "whole numbers from 1 to 1,000,000,000", {}),
        ("OTEL_BSP_SCHEDULE_DELAY", "0", "whole numbers from 1 to", {}),
        (ENDPOINT, "localhost:4317", "URLs that begin with http://", {}),
        (ENDPOINT, "localhost:4317", "URLs that begin with http://", {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}),
        (ENDPOINT, "collector", "URLs that begin with http://", {}),
        (ENDPOINT, "http://", "URLs that begin with http://", {}),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "c:4318",
            "URLs that begin with http://",
            {ENDPOINT: "http://c:4318"},
        ),
    ],
)
def test_a_value_that_is_not_supported_is_an_error_with_its_variable_and_the_supported_values(
    variable: str, value: str, allowed: str, others: dict[str, str]
) -> None:
    with pytest.raises(UsageError) as refusal:
        read_variables({**others, variable: value})
    assert f"{variable} has the value {value!r}" in refusal.value.message
    assert allowed in refusal.value.cause
    assert variable in refusal.value.fix


def test_the_error_of_an_endpoint_does_not_repeat_its_password() -> None:
    with pytest.raises(UsageError) as refusal:
        read_variables({ENDPOINT: "me:hunter2@collector:4317"})
    assert "hunter2" not in refusal.value.message
    assert refusal.value.fix.startswith(f"set {ENDPOINT} to http://collector:4317, or")


@pytest.mark.parametrize("endpoint", ["", "http://localhost:4318", "HTTPS://collector/v1/traces"])
def test_an_endpoint_is_a_url(endpoint: str) -> None:
    assert read_variables({ENDPOINT: endpoint}).protocol == "http/protobuf"


def test_the_resource_has_defaults_that_the_environment_replaces(monkeypatch: pytest.MonkeyPatch) -> None:
    assert values(make_resource("w-1").attributes).items() >= {
        ("service.name", "labelstream"),
        ("service.instance.id", "w-1"),
    }
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,team=ops")
    assert values(make_resource("w-1").attributes).items() >= {("service.name", "other"), ("team", "ops")}
    monkeypatch.setenv("OTEL_SERVICE_NAME", "named")
    assert values(make_resource("w-1").attributes)["service.name"] == "named"


def refuse_drops(_count: int) -> None:
    raise AssertionError


def test_tracing_is_off_by_default_and_where_the_sdk_is_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    assert start_tracing(load_settings(), "w", refuse_drops) is None
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert start_tracing(load_settings({"tracing": "otlp"}), "w", refuse_drops) is None


@pytest.mark.parametrize("module", ["opentelemetry.sdk.resources", "grpc"])
def test_without_the_libraries_tracing_is_a_usage_error_with_the_command_that_installs_them(
    monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    for name in [name for name in sys.modules if name.startswith(("stream.tracing.otlp", "opentelemetry"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError) as refusal:
        start_tracing(load_settings({"tracing": "otlp"}), "w", refuse_drops)
    assert refusal.value.exit_code == 2
    assert "pip install '.[otel]'" in refusal.value.fix


def test_an_invalid_variable_of_the_exporter_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")
    with pytest.raises(UsageError) as refusal:
        start_tracing(load_settings({"tracing": "otlp"}), "w", refuse_drops)
    assert "OTEL_EXPORTER_OTLP_TIMEOUT" in refusal.value.fix


async def test_tracing_starts_and_stops_without_a_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    tracing = start_tracing(load_settings({"tracing": "otlp"}), "w", refuse_drops)
    assert tracing is not None
    await tracing.stop(1.0)


def test_the_worker_imports_no_exporter_before_it_traces() -> None:
    # The client of Redis imports other parts of OpenTelemetry where they are installed.
    ours = "('grpc', 'opentelemetry.exporter', 'opentelemetry.proto', 'stream.tracing.otlp')"
    code = f"import sys, stream.worker.run; print([m for m in sys.modules if m.startswith({ours})])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
