"""A worker process whose bundle is in a repository of the Hub."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson
import pytest

from tests.pipeline import make_route
from tests.real.embedded import EmbeddedBroker
from tests.real.hub import HubServer
from tests.real.wait import until
from tests.real.worker import WorkerProcess
from tests.unit.hub_process import SAVED, contents

BUNDLE = "hf://owner/tickets"
GRAPH = "onnx/model.onnx"
DEADLINE_S = 60.0


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        server.state.add("owner/tickets", contents(SAVED))
        yield server


def origin_and_warnings(worker: WorkerProcess) -> tuple[str, list[str]]:
    """Return the origin of the loaded bundle, and the warnings about the Hub."""
    lines = worker.log_lines()
    (loaded,) = [line for line in lines if line["event"] == "model loaded"]
    return loaded["origin"], [line["event"] for line in lines if "the Hub does not answer" in line["event"]]


def run_once(broker: EmbeddedBroker, route: str, environment: Mapping[str, str]) -> tuple[str, list[str]]:
    """Start a worker, wait until it has labelled one event, and stop it."""
    before = sum(broker.end_offsets(f"{route}.labels").values())
    with WorkerProcess(broker.address, BUNDLE, route, env=environment) as worker:
        broker.produce(route, orjson.dumps({"text": "where is my parcel"}), partition=0)
        until(
            lambda: sum(broker.end_offsets(worker.labels).values()) == before + 1,
            DEADLINE_S,
            "one more label",
        )
        assert worker.stop() == 0
        return origin_and_warnings(worker)


def test_a_worker_serves_a_bundle_of_the_hub_and_restarts_without_the_network(
    embedded_broker: EmbeddedBroker, hub: HubServer, tmp_path: Path
) -> None:
    route, environment = make_route(embedded_broker, "hub"), hub.environment(tmp_path)
    commit = hub.state.repositories["owner/tickets"].branches["main"]
    assert run_once(embedded_broker, route, environment) == (f"{BUNDLE}@{commit}", [])
    hub.state.down = True
    origin, (warning,) = run_once(embedded_broker, route, environment)
    assert origin == f"{BUNDLE}@{commit}"
    assert f"{BUNDLE}@main is commit {commit}" in warning


def test_a_signal_during_a_download_ends_the_worker_at_once(hub: HubServer, tmp_path: Path) -> None:
    digest = hashlib.sha256((SAVED / GRAPH).read_bytes()).hexdigest()
    hub.state.stalled.add(digest)
    worker = WorkerProcess("127.0.0.1:9", BUNDLE, "hub", env=hub.environment(tmp_path))
    try:
        worker.start(ready=False)
        until(lambda: GRAPH in hub.state.downloads(), DEADLINE_S, "the download of the graph")
        assert worker.stop() == 0
        assert "did not end" not in worker.log
    finally:
        worker.close()
