"""A real Redis that refuses commands: a replica, full memory, missing rights, a cluster."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from stream.bundle import Bundle
from stream.classify import Prediction
from stream.classify.redis_cache import RedisCache, connect_redis, probe_redis
from stream.commands.checks import run_checks
from stream.settings import load_settings
from tests.pipeline import StartWorker, event, make_route, start_worker, tiny_bundle
from tests.real.embedded import EmbeddedBroker
from tests.real.process import free_ports
from tests.real.redis import RedisServer
from tests.real.wait import until
from tests.unit.test_classifier import Setup

__all__ = ["start_worker", "tiny_bundle"]

RECOVERY_S = 60.0
TEXTS = [f"good {'word ' * at}" for at in range(1, 30)]
StartRedis = Callable[..., RedisServer]


@pytest.fixture
def start_redis() -> Iterator[StartRedis]:
    """Start servers on ports of loopback; they end with the test."""
    with ExitStack() as stack:

        def start(*arguments: str) -> RedisServer:
            port = next(port for port in free_ports(100) if bus_port_is_free(port))
            server = RedisServer(*arguments, port=port)
            stack.callback(server.close)
            server.start()
            return server

        yield start


def bus_port_is_free(port: int) -> bool:
    """Return whether a node of a cluster can also listen on its port for the other nodes."""
    with socket.socket() as probe, suppress(OSError):
        probe.bind(("127.0.0.1", port + 10_000))
        return port < 22_000
    return False


def client_of(server: RedisServer) -> "redis.Redis":
    return redis.Redis.from_url(server.url, socket_timeout=5)


class Worker:
    """A classifier with a Redis tier and no local one, on a clock that the test moves."""

    def __init__(self, folder: Path, url: str) -> None:
        self.now = 0.0
        self.pauses: list[tuple[str, bool]] = []
        self.tier = RedisCache(
            connect_redis(url),
            60,
            lambda: self.now,
            on_pause=lambda operation, paused: self.pauses.append((operation, paused)),
        )
        folder.mkdir()
        self._setup = Setup(folder, local=0, shared=self.tier)

    async def cached(self, texts: Sequence[str] = TEXTS) -> int:
        """Classify texts and store the predictions; return the number that came from Redis."""
        classified = await self._setup.classifier.classify(texts)
        results = [result for result in classified.results if isinstance(result, Prediction)]
        assert [result.fields()["label"] for result in results] == ["good"] * len(texts)
        await self._setup.classifier.store_shared(classified)
        self.now += 31
        return sum(result.cached for result in results)

    async def close(self) -> None:
        self._setup.classifier.close()
        await self.tier.close()


MakeWorker = Callable[[str], Worker]


@pytest.fixture
async def make_worker(tmp_path: Path) -> AsyncIterator[MakeWorker]:
    """Create classifiers with a Redis tier."""
    workers: list[Worker] = []

    def make(url: str) -> Worker:
        workers.append(Worker(tmp_path / str(len(workers)), url))
        return workers[-1]

    yield make
    for worker in workers:
        await worker.close()


def warnings(logs: Sequence[Any]) -> list[tuple[str, str]]:
    return [(entry["event"], entry["error"]) for entry in logs if entry["log_level"] == "warning"]


async def test_a_replica_serves_reads_and_takes_writes_after_a_failover(
    start_redis: StartRedis, make_worker: MakeWorker
) -> None:
    primary = start_redis()
    replica = start_redis("--replicaof", "127.0.0.1", primary.url.rpartition(":")[2].split("/")[0])
    assert await make_worker(primary.url).cached() == 0
    until(lambda: client_of(replica).dbsize() == len(TEXTS), RECOVERY_S, "the replication")
    worker = make_worker(replica.url)
    with capture_logs() as logs:
        for at in range(4):
            assert await worker.cached([*TEXTS, f"good new {at}"]) == len(TEXTS)
    assert warnings(logs) == [("redis writes paused", "READONLY")]
    assert "primary" in logs[0]["fix"]
    client_of(replica).replicaof("NO", "ONE")
    assert await worker.cached(["good at last"]) == 0
    assert await worker.cached(["good at last"]) == 1
    assert worker.pauses == [("write", True), ("write", False)]


async def test_a_full_redis_that_evicts_nothing_serves_reads(
    start_redis: StartRedis, make_worker: MakeWorker
) -> None:
    server = start_redis("--maxmemory-policy", "noeviction")
    worker = make_worker(server.url)
    await worker.cached()
    client_of(server).config_set("maxmemory", "1")
    with capture_logs() as logs:
        for at in range(4):
            assert await worker.cached([*TEXTS, f"good new {at}"]) == len(TEXTS)
    assert warnings(logs) == [("redis writes paused", "OOM")]
    client_of(server).config_set("maxmemory", "0")
    await worker.cached(["good at last"])
    assert worker.pauses == [("write", True), ("write", False)]


@pytest.mark.parametrize(
    ("rights", "paused", "cached"), [("-set", "writes", len(TEXTS)), ("-mget", "reads", 0)]
)
async def test_missing_rights_pause_only_what_they_concern(
    start_redis: StartRedis, make_worker: MakeWorker, rights: str, paused: str, cached: int
) -> None:
    server = start_redis()
    client_of(server).execute_command(
        "ACL",
        "SETUSER",
        "worker",
        "on",
        ">hunter2",
        "~labelstream:*",
        "+ping",
        "+mget",
        "+get",
        "+set",
        rights,
    )
    await make_worker(server.url).cached()
    stored = client_of(server).dbsize()
    worker = make_worker(server.url.replace("//", "//worker:hunter2@"))
    with capture_logs() as logs:
        for at in range(3):
            assert await worker.cached([*TEXTS, f"good new {at}"]) == cached
            await worker.tier.ping()
    assert warnings(logs) == [(f"redis {paused} paused", "NOPERM")]
    assert "ACL SETUSER" in logs[0]["fix"]
    assert "hunter2" not in str(logs)
    assert (client_of(server).dbsize() > stored) is (paused == "reads")


@pytest.mark.parametrize(
    ("credentials", "expected"),
    [
        ("", [("redis reads paused", "NOAUTH"), ("redis writes paused", "NOAUTH")]),
        (":wrong@", [("redis unavailable, continuing without it", "WRONGPASS")]),
    ],
)
async def test_a_missing_or_wrong_password_is_named_once(
    start_redis: StartRedis, make_worker: MakeWorker, credentials: str, expected: list[tuple[str, str]]
) -> None:
    server = start_redis()
    client_of(server).config_set("requirepass", "correct")
    worker = make_worker(server.url.replace("//", f"//{credentials}"))
    with capture_logs() as logs:
        for _ in range(3):
            assert await worker.cached() == 0
            await worker.tier.ping()
    assert warnings(logs) == expected
    assert all("password" in entry["fix"] for entry in logs)
    assert await make_worker(server.url.replace("//", "//:correct@")).cached() == 0
    assert await make_worker(server.url.replace("//", "//:correct@")).cached() == len(TEXTS)


async def test_a_paused_redis_costs_each_operation_its_deadline(
    start_redis: StartRedis, make_worker: MakeWorker
) -> None:
    server = start_redis()
    worker = make_worker(server.url)
    await worker.cached()
    server.pause()
    began = monotonic()
    with capture_logs() as logs:
        assert await worker.cached() == 0
    assert monotonic() - began < 5
    assert warnings(logs) == [("redis reads paused", "slow"), ("redis writes paused", "slow")]
    server.resume()
    assert await worker.cached() == len(TEXTS)


async def test_doctor_tries_reads_and_writes(start_redis: StartRedis, tmp_path: Path) -> None:
    server = start_redis("--maxmemory", "1", "--maxmemory-policy", "noeviction")
    probe = await probe_redis(server.url)
    assert (probe.cluster, probe.unreachable, list(probe.refused)) == (False, None, ["writes"])
    settings = {"broker": "no-port", "bundle_store": tmp_path, "redis_url": server.url}
    checks = await asyncio.to_thread(run_checks, load_settings(settings))
    (check,) = [check for check in checks if check.check == "redis"]
    assert (check.status, "writes fail: Redis has reached maxmemory" in check.detail) == ("warn", True)
    assert "allkeys-lru" in check.fix


@pytest.fixture
def cluster(start_redis: StartRedis) -> list[RedisServer]:
    """A Redis Cluster of three nodes."""
    nodes = [start_redis("--cluster-enabled", "yes", "--cluster-node-timeout", "2000") for _ in range(3)]
    for at, node in enumerate(nodes):
        slots = range(at * 16_384 // 3, (at + 1) * 16_384 // 3)
        client_of(node).execute_command("CLUSTER ADDSLOTS", *slots)
    for node in nodes[1:]:
        client_of(nodes[0]).execute_command(
            "CLUSTER MEET", "127.0.0.1", node.url.rpartition(":")[2].split("/")[0]
        )
    until(lambda: all(map(joined, nodes)), RECOVERY_S, "the cluster")
    return nodes


def joined(node: RedisServer) -> bool:
    state = client_of(node).execute_command("CLUSTER INFO")
    return str(state["cluster_state"]) == "ok" and int(state["cluster_known_nodes"]) == 3


@pytest.mark.parametrize("entry", [0, 2])
async def test_a_redis_cluster_works_through_any_of_its_nodes(
    cluster: list[RedisServer], make_worker: MakeWorker, entry: int
) -> None:
    with capture_logs() as logs:
        assert await make_worker(cluster[entry].url).cached() == 0
        reader = make_worker(cluster[1].url)
        assert await reader.cached() == len(TEXTS)
        await reader.tier.ping()
        together = make_worker(cluster[1].url)
        found = await asyncio.gather(
            *(together.tier.get_many(["labelstream:a", "labelstream:b"]) for _ in range(9))
        )
        assert found == [[None, None]] * 9
    assert warnings(logs) == []
    counts = [client_of(node).dbsize() for node in cluster]
    assert sum(counts) == len(TEXTS)
    assert min(counts) > 0, "every node holds a part"
    probe = await probe_redis(cluster[entry].url)
    assert (probe.cluster, probe.unreachable, probe.refused) == (True, None, {})


async def test_a_node_that_requires_another_password_is_named_once(
    cluster: list[RedisServer], make_worker: MakeWorker
) -> None:
    client_of(cluster[2]).config_set("requirepass", "of this node")
    worker = make_worker(cluster[0].url)
    with capture_logs() as logs:
        for _ in range(3):
            assert await worker.cached() == 0
            await worker.tier.ping()
    assert warnings(logs) == [("redis reads paused", "NOAUTH"), ("redis writes paused", "NOAUTH")]


async def test_moved_slots_are_found_again(cluster: list[RedisServer], make_worker: MakeWorker) -> None:
    worker = make_worker(cluster[0].url)
    await worker.cached()
    first, second = client_of(cluster[0]), client_of(cluster[1])
    first.flushall()
    receiver = second.execute_command("CLUSTER MYID").decode()
    for slot in range(16_384 // 3):
        second.execute_command("CLUSTER SETSLOT", slot, "NODE", receiver)
        first.execute_command("CLUSTER SETSLOT", slot, "NODE", receiver)
    for _ in range(3):
        found = await worker.cached()
    assert found == len(TEXTS)


async def test_a_cluster_that_lost_a_node_does_not_stop_the_worker(
    cluster: list[RedisServer], make_worker: MakeWorker
) -> None:
    worker = make_worker(cluster[0].url)
    await worker.cached()
    cluster[2].kill()
    with capture_logs() as logs:
        for _ in range(3):
            await worker.cached()
    assert warnings(logs)


@pytest.mark.parametrize("part", ["unix", "database"])
async def test_a_cluster_that_the_url_does_not_lead_to_is_refused_by_name(
    cluster: list[RedisServer], make_worker: MakeWorker, part: str
) -> None:
    path = client_of(cluster[0]).config_get("unixsocket")["unixsocket"]
    url = f"unix://{path}" if part == "unix" else cluster[0].url.replace("/0", "/3")
    worker = make_worker(url)
    with capture_logs() as logs:
        for _ in range(3):
            assert await worker.cached() == 0
    assert 1 <= len(warnings(logs)) <= 2
    if part == "unix":
        assert {entry["error"] for entry in logs} == {"cluster"}
        probe = await probe_redis(url)
        assert "Redis Cluster" in probe.refused["reads"].cause


@pytest.mark.slow
def test_a_worker_labels_everything_while_redis_takes_no_writes(
    embedded_broker: EmbeddedBroker, start_redis: StartRedis, start_worker: StartWorker, tiny_bundle: Bundle
) -> None:
    server = start_redis("--maxmemory", "1", "--maxmemory-policy", "noeviction")
    route = make_route(embedded_broker, "refuses")
    worker = start_worker(embedded_broker, route, redis_url=server.url, cache_local_entries=0)
    for at in range(5):
        embedded_broker.produce(route, *(event(number)[1] for number in range(40)), partition=at % 4)
        until(
            lambda: sum(embedded_broker.end_offsets(worker.labels).values()) == 40 * (at + 1),  # noqa: B023
            RECOVERY_S,
            "all labels",
        )
    assert worker.metric("labelstream_redis_up") == 1
    assert worker.metric("labelstream_redis_paused", operation="write") == 1
    assert worker.metric("labelstream_redis_paused", operation="read") == 0
    assert worker.metric("labelstream_cache_requests_total", tier="redis", result="error") == 0
    assert worker.log.count("redis writes paused") == 1
    assert "maxmemory-policy allkeys-lru" in worker.log
    assert worker.stop() == 0
