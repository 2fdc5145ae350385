"""A worker as an operator sees it: log, ports and /info, none of which contains texts."""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from stream.bundle import Bundle
from tests.odd_worker import Oddity
from tests.pipeline import StartWorker, event, make_route, start_worker, tiny_bundle
from tests.real.embedded import EmbeddedBroker
from tests.real.redis import RedisServer
from tests.real.wait import until
from tests.real.worker import WorkerProcess

__all__ = ["start_worker", "tiny_bundle"]

BACK_S = 120.0
SECRET = "quince-4711-vault"
LISTENING = "0A"


def secret_events() -> Iterator[bytes]:
    """Yield values with the secret: valid, not JSON, not an event, too long, and failing in the model."""
    yield orjson.dumps({"id": "good", "text": f"the code is {SECRET}"})
    yield orjson.dumps({"id": "pair", "text": "hello", "metadata": {"note": SECRET}, "other": SECRET})
    yield f'{{"text": "{SECRET}'.encode()
    yield SECRET.encode() + b"\xff"
    yield orjson.dumps({"text": {"nested": SECRET}})
    yield orjson.dumps({"text": SECRET * 100})
    yield orjson.dumps({"text": f"{SECRET} " * 20})


def await_outcomes(broker: EmbeddedBroker, worker: WorkerProcess, count: int) -> None:
    def done() -> int:
        return sum(sum(broker.end_offsets(topic).values()) for topic in (worker.labels, worker.dead))

    until(lambda: done() >= count, BACK_S, f"{count} outcomes")


def events_in(lines: list[dict[str, Any]]) -> set[str]:
    return {line["event"] for line in lines}


def send_secrets(
    broker: EmbeddedBroker, start_worker: StartWorker, redis_url: str, **settings: object
) -> WorkerProcess:
    route = make_route(broker, "secret")
    worker = start_worker(
        broker,
        route,
        program=Oddity(widest=30).program(),
        log_level="debug",
        log_interval_s=1,
        compression="none",
        redis_url=redis_url,
        max_text_chars=1_000,
        **settings,
    )
    for _ in range(2):
        broker.produce(route, *secret_events(), partition=0, key=SECRET.encode())
    await_outcomes(broker, worker, 14)
    until(lambda: worker.metric("labelstream_events_total") == 14, BACK_S, "14 events counted")
    dead = worker.metric("labelstream_dead_letters_total", reason="model")
    assert (dead, worker.metric("labelstream_dead_letters_total")) == (2, 10)
    until(lambda: "interval" in events_in(worker.log_lines()), BACK_S, "an interval's line")
    assert worker.stop() == 0
    return worker


def test_the_log_contains_no_text_for_any_outcome(
    embedded_broker: EmbeddedBroker, redis_server: RedisServer, start_worker: StartWorker
) -> None:
    worker = send_secrets(embedded_broker, start_worker, redis_server.url)
    assert SECRET not in worker.log
    lines = worker.log_lines()
    assert {"batch", "record batch", "interval"} <= events_in(lines)
    assert any(line["logger"].startswith("aiokafka") and line["level"] == "debug" for line in lines)
    assert len(lines) == len(worker.log.splitlines()), "every line is JSON"
    batches = [line for line in lines if line["event"] in ("batch", "record batch")]
    assert all(line["route"] == "default" and line["bundle"] for line in batches)


def test_the_log_contains_texts_when_log_texts_is_set(
    embedded_broker: EmbeddedBroker, redis_server: RedisServer, start_worker: StartWorker
) -> None:
    worker = send_secrets(embedded_broker, start_worker, redis_server.url, log_texts="true")
    shown = [text for line in worker.log_lines() for text in line.get("texts", ())]
    assert f"the code is {SECRET}" in shown
    assert max(map(len, shown)) == 80


def listening_ports(pid: int) -> set[int]:
    """Return the TCP ports that a process listens on, from /proc."""
    sockets = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            sockets.add(str(fd.readlink()))
    rows = [
        line.split()
        for family in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{family}").read_text().splitlines()[1:]
    ]
    return {
        int(row[1].rpartition(":")[2], 16)
        for row in rows
        if row[3] == LISTENING and f"socket:[{row[9]}]" in sockets
    }


def test_a_worker_listens_on_its_web_port_only_and_serves_info(
    embedded_broker: EmbeddedBroker,
    redis_server: RedisServer,
    start_worker: StartWorker,
    tiny_bundle: Bundle,
) -> None:
    route = make_route(embedded_broker, "info")
    refused_url = redis_server.url.replace("://", "://someone:hunter2@")
    worker = start_worker(embedded_broker, route, redis_url=refused_url)
    assert listening_ports(worker.pid) == {worker.port}
    info = worker.info()
    assert info["partitions"] == {route: [0, 1, 2, 3]}
    assert info["group"] == worker.group
    assert info["routes"][0]["task"] == "single-label"
    assert info["routes"][0]["labels"] == len(tiny_bundle.manifest.labels)
    assert {"python", "aiokafka", "faust-streaming"} <= info["versions"].keys()
    until(
        lambda: "redis unavailable, continuing without it" in events_in(worker.log_lines()),
        BACK_S,
        "Redis refuses",
    )
    assert worker.metric("labelstream_redis_up") == 0
    assert "hunter2" not in str(info)
    assert "hunter2" not in worker.log


def test_a_signal_switches_debug_lines_on_and_off(
    embedded_broker: EmbeddedBroker, start_worker: StartWorker
) -> None:
    route = make_route(embedded_broker, "usr1")
    worker = start_worker(embedded_broker, route)

    def switched(level: str) -> bool:
        return any(line.get("log_level") == level for line in worker.log_lines())

    for number, level in enumerate(("debug", "info")):
        worker.toggle_debug()
        until(partial(switched, level), BACK_S, f"the log at {level}")
        embedded_broker.produce(route, event(number)[1], partition=0)
        await_outcomes(embedded_broker, worker, number + 1)
    assert worker.stop() == 0
    lines = [line for line in worker.log_lines() if line["event"] == "record batch"]
    assert len(lines) == 1
    assert worker.log_lines()[-1]["level"] != "debug"
