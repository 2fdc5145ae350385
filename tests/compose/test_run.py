"""A run of the whole stack, in order: up, integration tests, restarts, three workers, kills, down.

The tests are steps of one run and share its stack; `make compose-log` puts what they took in docs/compose.md.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import redis

from tests.compose.journal import Journal
from tests.compose.stack import AWAY, HEALTHY_S, ONE_SHOTS, Stack, docker, get, metric
from tests.compose.traffic import GROUP, LABELS, TEXTS, Traffic, await_committed
from tests.real.components import unique
from tests.real.wait import until

pytestmark = [pytest.mark.compose, pytest.mark.slow, pytest.mark.timeout(1800)]

SERVICES = ("kafka", "redis", "worker")
WORKERS = 3
PARTITIONS = 6
SEEN_S = 120.0


def test_up_is_healthy(stack: Stack) -> None:
    for name in ONE_SHOTS:
        (container,) = stack.containers(name, ended=True)
        assert stack.state(container)["ExitCode"] == 0, stack.logs(container)
    (worker,) = stack.web_addresses()
    info = json.loads(get(f"{worker}/info"))
    assert info["routes"][0]["bundle"].startswith("support@")
    assert set(stack.broker.partitions(TEXTS)) == set(range(PARTITIONS))


def test_the_containers_are_confined(stack: Stack) -> None:
    (worker,) = stack.containers("worker")
    (inspected,) = json.loads(docker("inspect", worker))
    host = inspected["HostConfig"]
    assert inspected["Config"]["User"] == "10001:10001"
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["Memory"] > 0
    assert not host["Privileged"]
    status = docker("exec", worker, "sh", "-c", "cat /proc/self/status; touch /srv/x 2>&1 || true")
    assert "NoNewPrivs:\t1" in status
    assert "Read-only file system" in status


def test_the_integration_tests_pass_inside(stack: Stack, journal: Journal) -> None:
    with journal.step("`run --rm tests`: the integration tests, inside the stack") as step:
        web = ",".join(stack.web_addresses())
        output = stack.compose("run", "--rm", "-e", f"LABELSTREAM_TEST_WEB={web}", "tests", timeout_s=900)
        step.result = next(line.strip("= ") for line in reversed(output.splitlines()) if " passed" in line)
    assert "skipped" not in step.result


def test_up_again_changes_nothing(stack: Stack) -> None:
    before = stack.containers("worker")
    stack.compose("up", "-d", timeout_s=600)
    stack.await_ready()
    assert stack.containers("worker") == before
    (trainer,) = stack.containers("trainer", ended=True)
    assert "no training needed" in stack.logs(trainer)


def test_a_restarted_worker_uses_the_results_in_redis(stack: Stack) -> None:
    texts = [f"my card {unique('redis')} was charged twice" for _ in range(20)]

    def send(stem: str) -> dict[str, bool]:
        values = [orjson.dumps({"id": f"{stem}-{at}", "text": text}) for at, text in enumerate(texts)]
        stack.broker.produce(TEXTS, *values)
        await_committed(stack.broker)
        events = [orjson.loads(r.value) for r in stack.broker.records(LABELS) if r.value]
        return {e["id"]: e["cached"] for e in events if e["id"].startswith(f"{stem}-")}

    client = redis.Redis.from_url(stack.redis_url)
    first = send(unique("new"))
    assert len(first) == len(texts)
    assert not any(first.values())
    stack.compose("restart", "worker")
    stack.await_ready()
    before = client.info("stats")["keyspace_hits"]
    again = send(unique("again"))
    assert len(again) == len(texts)
    assert all(again.values())
    assert client.info("stats")["keyspace_hits"] - before >= len(texts)
    client.close()


@pytest.mark.parametrize("service", SERVICES)
def test_a_restart_loses_nothing(stack: Stack, journal: Journal, service: str) -> None:
    with journal.step(f"`restart {service}` under load") as step, Traffic(stack.broker) as traffic:
        traffic.await_confirmed()
        stack.compose("restart", service)
        stack.await_ready()
        traffic.await_confirmed()
    step.result = str(traffic.reconcile())


def test_sigterm_ends_the_worker_with_0(stack: Stack, journal: Journal) -> None:
    with (
        journal.step("`stop worker` under load, then `start worker`") as step,
        Traffic(stack.broker) as traffic,
    ):
        traffic.await_confirmed()
        (worker,) = stack.containers("worker")
        stack.compose("stop", "worker")
        state = stack.state(worker)
        assert state["ExitCode"] == 0, stack.logs(worker, "40")
        stack.compose("start", "worker")
        stack.await_ready()
        traffic.await_confirmed()
    step.result = f"exit code 0; {traffic.reconcile()}"


def test_a_worker_as_pid_1_obeys_sigterm(stack: Stack, images: dict[str, str]) -> None:
    settings = {
        "LABELSTREAM_BROKER": stack.broker.address,
        "LABELSTREAM_BUNDLE": "support",
        "LABELSTREAM_GROUP": unique("pid-1"),
        "LABELSTREAM_WEB_HOST": "127.0.0.1",
        "LABELSTREAM_WEB_PORT": "0",
        "LABELSTREAM_START_AT": "latest",
    }
    flags = [word for name, value in settings.items() for word in ("-e", f"{name}={value}")]
    flags += ["--network", "host", "-v", f"{stack.project}_bundles:/srv/labelstream/bundles:ro"]
    worker = docker("run", "-d", *flags, images["worker-cpu"]).strip()
    try:
        until(lambda: stack.state(worker)["Health"]["Status"] == "healthy", HEALTHY_S, "a healthy worker")
        docker("stop", "-t", "60", worker)
        assert stack.state(worker)["ExitCode"] == 0, stack.logs(worker, "40")
    finally:
        docker("rm", "-f", worker)


def test_three_workers_share_the_partitions(stack: Stack, journal: Journal) -> None:
    with (
        journal.step(f"`up -d --scale worker={WORKERS}` under load") as step,
        Traffic(stack.broker) as traffic,
    ):
        traffic.await_confirmed()
        stack.compose("up", "-d", "--scale", f"worker={WORKERS}", timeout_s=600)
        stack.await_ready(WORKERS)
        until(lambda: assigned(stack) == [2, 2, 2], SEEN_S, "two partitions each", ignoring=AWAY)
        traffic.await_confirmed(1000)
        shares = [
            metric([web], "labelstream_events_total", outcome="labelled") for web in stack.web_addresses()
        ]
        assert all(shares), shares
    step.result = f"2 partitions each; {traffic.reconcile()}"


def assigned(stack: Stack) -> list[float]:
    """Return the number of partitions of each worker."""
    return [metric([web], "labelstream_partitions_assigned") for web in stack.web_addresses()]


@pytest.mark.parametrize(
    ("service", "which"), [("kafka", 0), ("redis", 0), ("worker", 0), ("worker", 1), ("worker", 2)]
)
def test_a_kill_loses_nothing(stack: Stack, journal: Journal, service: str, which: int) -> None:
    container = stack.containers(service)[which]
    restarts = stack.state(container)["RestartCount"]
    name = f"{service} {which + 1}" if service == "worker" else service
    with journal.step(f"`kill -9` in {name} under load, {WORKERS} workers") as step:
        with Traffic(stack.broker) as traffic:
            traffic.await_confirmed()
            stack.crash(container)
            until(lambda: restarted(stack, container, restarts), HEALTHY_S, f"the engine starts {name} again")
            stack.await_ready(WORKERS)
            traffic.await_confirmed()
        step.result = f"started again by the engine; {traffic.reconcile()}"


def restarted(stack: Stack, container: str, before: int) -> bool:
    """Return whether the restart policy has restarted the container."""
    return bool(stack.state(container)["RestartCount"] > before)


def test_fewer_workers_take_over(stack: Stack, journal: Journal) -> None:
    with journal.step("`up -d --scale worker=1` under load") as step, Traffic(stack.broker) as traffic:
        traffic.await_confirmed()
        stack.compose("up", "-d", "--scale", "worker=1", timeout_s=600)
        stack.await_ready()
        until(lambda: assigned(stack) == [PARTITIONS], SEEN_S, "all partitions on one", ignoring=AWAY)
        traffic.await_confirmed()
    step.result = str(traffic.reconcile())


@pytest.fixture
def targets(stack: Stack, tmp_path: Path) -> Iterator[None]:
    """List the workers in a target file: Prometheus finds them by name only on the stack's own network."""
    hosts = [web.removeprefix("http://") for web in stack.web_addresses()]
    folder = tmp_path / "targets"
    folder.mkdir()
    (folder / "workers.yml").write_text(json.dumps([{"targets": hosts}]))
    stack.environment["STACK_TARGETS"] = str(folder)
    yield
    stack.compose("--profile", "observe", "rm", "-sf", "prometheus")


@pytest.mark.usefixtures("targets")
def test_prometheus_scrapes_the_workers(stack: Stack, journal: Journal, checkout: Path) -> None:
    if not (checkout / "deploy" / "prometheus" / "prometheus.yml").exists():
        pytest.skip("deploy/prometheus/prometheus.yml is missing")
    with journal.step("`--profile observe up -d prometheus`, until it has scraped the worker") as step:
        stack.compose("--profile", "observe", "up", "-d", "--no-deps", "prometheus")

        def value() -> str:
            query = f"{stack.prometheus_url}/api/v1/query?query=labelstream_partitions_assigned"
            series = json.loads(get(query))["data"]["result"]
            return str(series[0]["value"][1]) if series else ""

        until(lambda: value() == str(PARTITIONS), SEEN_S, "the worker's metrics in Prometheus", ignoring=AWAY)
        rules = json.loads(get(f"{stack.prometheus_url}/api/v1/rules"))["data"]["groups"]
        step.result = f"{sum(len(group['rules']) for group in rules)} rules loaded"
    assert rules


def test_down_leaves_nothing(stack: Stack, journal: Journal) -> None:
    ends = sum(stack.broker.end_offsets(TEXTS).values())
    assert sum(stack.broker.committed(GROUP, TEXTS).values()) == ends
    with journal.step("`down -v`") as step:
        stack.compose("--profile", "observe", "--profile", "test", "down", "-v")
        label = f"label=com.docker.compose.project={stack.project}"
        left = [
            docker(*words, "-q", "--filter", label)
            for words in (("ps", "-a"), ("volume", "ls"), ("network", "ls"))
        ]
        step.result = f"no container, volume or network left; {ends} events in all"
    assert left == ["", "", ""]
