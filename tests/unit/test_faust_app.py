"""The worker's app records its first fatal error, and drains within one deadline at its stop."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from stream.deadline import Deadline
from stream.errors import BrokerError, DeviceError, StalledError, UnreadableBatchError
from stream.kafka.delivery import AtLeastOnce
from stream.kafka.exactly_once import ExactlyOnce
from stream.observe.metrics import Metrics
from stream.pipeline.agent import RoutePipeline
from stream.routes import Route
from stream.settings import load_settings
from stream.web.page import RecentOutcomes
from stream.worker.faust_app import LabelstreamApp
from tests.unit.small_bundle import small_bundle


class RecordingApp(LabelstreamApp):
    """An app that is never started and records the deadlines of its drains."""

    def __init__(self) -> None:
        super().__init__(
            load_settings({"drain_deadline_s": "30"}), Metrics(), RecentOutcomes(show_texts=False)
        )
        self.drained: list[tuple[str, Deadline]] = []

    async def drain(self, reason: str, deadline: Deadline) -> None:
        self.drained.append((reason, deadline))


@pytest.fixture
async def app() -> RecordingApp:
    return RecordingApp()


async def test_the_first_fatal_error_is_logged_and_determines_the_exit_code(app: RecordingApp) -> None:
    assert app.exit_code == StalledError.exit_code
    with capture_logs() as lines:
        app.fail(DeviceError("gone", cause="unplugged", fix="plug it in"))
        app.fail(BrokerError("gone too"))
    assert app.failed.is_set()
    assert app.exit_code == 7
    assert [(line["event"], line["cause"], line["fix"]) for line in lines] == [
        ("gone", "unplugged", "plug it in")
    ]


async def test_only_an_unexpected_error_is_logged_with_its_traceback(app: RecordingApp) -> None:
    error = ZeroDivisionError("bug")
    with capture_logs() as lines:
        app.fail(error)
    assert lines[0]["exc_info"] is error


async def test_a_stop_drains_within_the_deadline_that_the_shutdown_has_started(app: RecordingApp) -> None:
    deadline = app.stop_deadline()
    await app.on_stop()
    assert app.drained == [("stop", deadline)]
    assert deadline.seconds == 30
    assert app.stop_deadline() is deadline


async def test_a_stop_after_a_batch_that_cannot_be_read_waits_for_batches(app: RecordingApp) -> None:
    app.fail(UnreadableBatchError("offset 12 cannot be read"))
    assert app.exit_code == 4
    await app.on_stop()
    assert app.drained == [("stop", app.stop_deadline())]
    assert not app.stop_deadline().expired


async def test_a_stop_after_a_fatal_error_does_not_wait_for_batches(app: RecordingApp) -> None:
    app.fail(DeviceError("gone"))
    await app.on_stop()
    ((_, deadline),) = app.drained
    assert deadline.expired


@pytest.mark.parametrize(
    ("delivery", "guarantee"), [("at_least_once", AtLeastOnce), ("exactly_once", ExactlyOnce)]
)
async def test_the_delivery_of_a_route_is_that_of_its_agent_and_of_its_offsets(
    app: RecordingApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, delivery: Any, guarantee: type
) -> None:
    pipelines: list[RoutePipeline] = []

    def agent(pipeline: RoutePipeline, *_: object) -> SimpleNamespace:
        pipelines.append(pipeline)
        return SimpleNamespace()

    monkeypatch.setattr("stream.worker.faust_app.LabelAgent", agent)
    model: Any = SimpleNamespace(
        bundle=small_bundle(tmp_path), variant="fp32", classifier=SimpleNamespace(window_events=10)
    )
    route = Route(name="r", input_topic="a", output_topic="b", bundle="x", delivery=delivery)
    app.add_route(route, model)
    (pipeline,) = pipelines
    assert isinstance(pipeline.delivery, guarantee)
    assert app.agents["label-r"].channel.transactional == (delivery == "exactly_once")
