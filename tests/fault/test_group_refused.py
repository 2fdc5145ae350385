"""Refusals by the consumer group: the worker says what the group answers, retries, and ends in time."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer

from stream.bundle import Bundle
from tests.delivery_checks import await_all_committed
from tests.pipeline import StartWorker, event, make_route, start_worker, tiny_bundle
from tests.real.kafka import ApacheKafka
from tests.real.secured import DESCRIBE, GROUP, READ, SecuredKafka
from tests.real.wait import until
from tests.real.worker import WorkerProcess

__all__ = ["start_worker", "tiny_bundle"]

RECOVERY_S = 60.0
DEADLINE_S = 6

StartSecured = Callable[..., WorkerProcess]


@pytest.fixture
def start_secured(secured_kafka: SecuredKafka, start_worker: StartWorker, tmp_path: Path) -> StartSecured:
    """Start a worker that logs in; by default it may use the topics of its route, and nothing else."""

    def start(route: str, *, allow: bool = True, **settings: Any) -> WorkerProcess:
        if allow:
            secured_kafka.allow_route(route)
        login = secured_kafka.login(tmp_path)
        return start_worker(secured_kafka.secured, route, ready=False, **login, **settings)

    return start


def await_refusal(worker: WorkerProcess, answer: str) -> None:
    """Wait until the worker reports an answer of the group."""

    def refused() -> bool:
        status, checks = worker.health("/ready")
        return status == 503 and answer in checks["group"]["found"]

    until(refused, RECOVERY_S, f"{answer} in /ready", ignoring=(OSError,))


def check_last_error(worker: WorkerProcess, *words: str) -> None:
    """Check the three lines with which a worker has ended."""
    # A note follows if the shutdown hung and the process was killed.
    printed = [line for line in worker.log.splitlines() if not line.startswith("note: ")]
    error, cause, fix = printed[-3:]
    assert error.startswith("error: ")
    assert cause.startswith("cause: ")
    assert fix.startswith("fix: ")
    for word in words:
        assert word in error + cause + fix
    assert "check the broker" not in error + cause + fix
    assert "Traceback" not in error + cause + fix


@pytest.mark.slow
@pytest.mark.parametrize("operations", [(), (DESCRIBE,)], ids=["nothing", "describe"])
def test_a_worker_without_read_on_its_group_ends_within_the_deadline(
    secured_kafka: SecuredKafka, start_secured: StartSecured, operations: tuple[Any, ...]
) -> None:
    route = make_route(secured_kafka, "no-group")
    for operation in operations:
        secured_kafka.allow(GROUP, f"group-{route}", operation)
    worker = start_secured(route, retry_deadline_s=DEADLINE_S)
    await_refusal(worker, "GROUP_AUTHORIZATION_FAILED")
    assert worker.health("/live")[0] == 200
    assert worker.metric("labelstream_partitions_assigned") == 0
    assert worker.await_exit(RECOVERY_S) == 4
    check_last_error(
        worker,
        "READ on the group",
        "kafka-acls.sh",
        "User:worker",
        "--operation Read",
        f"--group {worker.group}",
    )
    assert "Traceback" not in worker.log
    refusals = [
        line for line in worker.log_lines() if line["level"] == "warning" and "kafka-acls.sh" in str(line)
    ]
    assert len(refusals) == 1, "the refusal is logged once"


@pytest.mark.slow
def test_read_on_the_group_that_is_granted_later_is_picked_up(
    secured_kafka: SecuredKafka, start_secured: StartSecured
) -> None:
    route = make_route(secured_kafka, "granted")
    values = [event(number)[1] for number in range(20)]
    secured_kafka.produce(route, *values)
    worker = start_secured(route)
    await_refusal(worker, "GROUP_AUTHORIZATION_FAILED")
    secured_kafka.allow(GROUP, worker.group, READ)
    await_all_committed(secured_kafka, worker.group, route)
    until(lambda: worker.health("/ready")[0] == 200, RECOVERY_S, "/ready")
    assert worker.stop() == 0


@pytest.mark.slow
def test_read_on_the_group_that_is_revoked_and_granted_again_loses_nothing(
    secured_kafka: SecuredKafka, start_secured: StartSecured
) -> None:
    route = make_route(secured_kafka, "flapping")
    secured_kafka.allow(GROUP, f"group-{route}", READ)
    worker = start_secured(route)
    worker.await_ready(RECOVERY_S)
    secured_kafka.produce(route, event(0)[1])
    await_all_committed(secured_kafka, worker.group, route)
    secured_kafka.revoke(GROUP, worker.group, READ)
    await_refusal(worker, "GROUP_AUTHORIZATION_FAILED")
    until(lambda: worker.metric("labelstream_partitions_assigned") == 0, RECOVERY_S, "no partitions")
    secured_kafka.produce(route, *(event(number)[1] for number in range(1, 20)))
    secured_kafka.allow(GROUP, worker.group, READ)
    await_all_committed(secured_kafka, worker.group, route)
    assert worker.stop() == 0


@pytest.mark.slow
def test_read_on_the_group_that_stays_revoked_ends_the_worker(
    secured_kafka: SecuredKafka, start_secured: StartSecured
) -> None:
    route = make_route(secured_kafka, "revoked")
    secured_kafka.allow(GROUP, f"group-{route}", READ)
    worker = start_secured(route, retry_deadline_s=DEADLINE_S)
    worker.await_ready(RECOVERY_S)
    secured_kafka.revoke(GROUP, worker.group, READ)
    assert worker.await_exit(RECOVERY_S) == 4
    check_last_error(worker, "READ on the group", "kafka-acls.sh", f"--group {worker.group}")


def run_doctor(route: str, bundle: Path, **settings: object) -> tuple[int, str]:
    """Run `labelstream doctor` for a route; return the exit code and the output."""
    flags: dict[str, object] = {
        "input_topic": route,
        "output_topic": f"{route}.labels",
        "dead_topic": f"{route}.dead",
        "group": f"group-{route}",
        "bundle": bundle,
        "web_port": 0,
        "device": "cpu",
        **settings,
    }
    words = [part for name, value in flags.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    done = subprocess.run(
        [sys.executable, "-m", "stream", "doctor", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        # The table is as wide as its longest command.
        env={**os.environ, "COLUMNS": "1000"},
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout


@pytest.fixture
def foreign_member(apache_kafka: ApacheKafka) -> Iterator[Callable[[str, str], Consumer]]:
    """Add a member with another assignor to a group."""
    consumers = []

    def join(group: str, topic: str) -> Consumer:
        consumer = Consumer(
            {
                "bootstrap.servers": apache_kafka.address,
                "group.id": group,
                "partition.assignment.strategy": "range",
            }
        )
        consumers.append(consumer)
        consumer.subscribe([topic])
        until(
            lambda: consumer.poll(0.1) or consumer.assignment(), RECOVERY_S, "the foreign member's partitions"
        )
        return consumer

    yield join
    for consumer in consumers:
        consumer.close()


@pytest.mark.slow
def test_a_member_with_another_assignor_ends_the_worker_within_the_deadline(
    apache_kafka: ApacheKafka, start_worker: StartWorker, foreign_member: Callable[[str, str], Consumer]
) -> None:
    route = make_route(apache_kafka, "foreign")
    foreign_member(f"group-{route}", route)
    worker = start_worker(apache_kafka, route, ready=False, retry_deadline_s=DEADLINE_S)
    await_refusal(worker, "INCONSISTENT_GROUP_PROTOCOL")
    assert worker.await_exit(RECOVERY_S) == 4
    check_last_error(worker, "assignor", "roundrobin", "kafka-consumer-groups.sh", worker.group)


@pytest.mark.slow
def test_a_worker_joins_when_the_member_with_another_assignor_has_left(
    apache_kafka: ApacheKafka, start_worker: StartWorker, foreign_member: Callable[[str, str], Consumer]
) -> None:
    route = make_route(apache_kafka, "foreign-left")
    consumer = foreign_member(f"group-{route}", route)
    worker = start_worker(apache_kafka, route, ready=False)
    await_refusal(worker, "INCONSISTENT_GROUP_PROTOCOL")
    consumer.unsubscribe()
    consumer.close()
    apache_kafka.produce(route, event(0)[1])
    await_all_committed(apache_kafka, worker.group, route)
    assert worker.stop() == 0


@pytest.mark.slow
def test_a_standby_worker_is_ready_and_takes_over(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "standby", partitions=1)
    workers = [start_worker(apache_kafka, route, retry_deadline_s=2) for _ in range(2)]

    def group_check(worker: WorkerProcess) -> str:
        status, checks = worker.health("/ready")
        return str(checks["group"]["found"]) if status == 200 else "not ready"

    until(
        lambda: (
            sorted(map(group_check, workers))
            == ["1 partition assigned", "on standby: other workers have all partitions"]
        ),
        RECOVERY_S,
        "an active worker and one on standby",
    )
    active, standby = sorted(workers, key=group_check)
    active.kill()
    apache_kafka.produce(route, event(0)[1])
    await_all_committed(apache_kafka, standby.group, route)
    assert standby.stop() == 0


def test_doctor_reports_a_member_with_another_assignor_and_leaves_the_group_alone(
    apache_kafka: ApacheKafka, tiny_bundle: Bundle, foreign_member: Callable[[str, str], Consumer]
) -> None:
    route = make_route(apache_kafka, "foreign-doctor")
    consumer = foreign_member(f"group-{route}", route)
    code, shown = run_doctor(route, tiny_bundle.path, broker=apache_kafka.address)
    assert code == 4
    assert "INCONSISTENT_GROUP_PROTOCOL" in shown
    assert "kafka-consumer-groups.sh" in shown
    consumer.poll(0.5)
    assert len(consumer.assignment()) == 4


def test_doctor_does_not_disturb_the_group_of_a_running_worker(
    apache_kafka: ApacheKafka, tiny_bundle: Bundle, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "doctor-beside")
    worker = start_worker(apache_kafka, route)
    rebalances = worker.metric("labelstream_rebalances_total")
    code, shown = run_doctor(route, tiny_bundle.path, broker=apache_kafka.address)
    assert code == 0
    assert "which has 1 member" in shown
    apache_kafka.produce(route, event(0)[1])
    await_all_committed(apache_kafka, worker.group, route)
    assert worker.metric("labelstream_rebalances_total") == rebalances


def test_doctor_does_not_count_the_members_of_a_group_of_the_newer_protocol(
    apache_kafka: ApacheKafka, tiny_bundle: Bundle
) -> None:
    route = make_route(apache_kafka, "newer-protocol")
    group = f"group-{route}"
    consumer = Consumer(
        {"bootstrap.servers": apache_kafka.address, "group.id": group, "group.protocol": "consumer"}
    )
    consumer.subscribe([route])
    until(lambda: bool(consumer.poll(0.1) or consumer.assignment()), RECOVERY_S, "an assignment")
    code, shown = run_doctor(route, tiny_bundle.path, broker=apache_kafka.address)
    consumer.close()
    assert code == 0
    assert f"a worker can join the group {group}" in shown
    assert "member" not in shown
