"""Missing permissions on topics: the worker and `doctor` name the topic, the operation and the command."""

from pathlib import Path
from typing import Any

import pytest

from tests.fault.test_group_refused import StartSecured, check_last_error, run_doctor, start_secured
from tests.pipeline import event, make_route, start_worker, tiny_bundle
from tests.real.secured import DESCRIBE, GROUP, READ, TOPIC, TRANSACTIONAL_ID, WRITE, SecuredKafka
from tests.real.wait import until

__all__ = ["start_secured", "start_worker", "tiny_bundle"]

RECOVERY_S = 60.0
DEADLINE_S = 6
BROKEN = b"{broken"

# The suffix of the topic, the operation that the worker needs, and a record that makes the worker use it.
NEEDS = [
    pytest.param("", READ, event(0)[1], id="input"),
    pytest.param(".labels", WRITE, event(0)[1], id="labels"),
    pytest.param(".dead", WRITE, BROKEN, id="dead"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "operation", "value"), NEEDS)
def test_a_missing_permission_ends_the_worker_and_names_the_topic(
    secured_kafka: SecuredKafka, start_secured: StartSecured, suffix: str, operation: Any, value: bytes
) -> None:
    route = make_route(secured_kafka, "denied")
    topic = f"{route}{suffix}"
    secured_kafka.allow(GROUP, f"group-{route}", READ)
    secured_kafka.produce(route, value)
    secured_kafka.allow_route(route)
    secured_kafka.revoke(TOPIC, topic, operation)
    secured_kafka.allow(TOPIC, topic, DESCRIBE)
    worker = start_secured(route, retry_deadline_s=DEADLINE_S, allow=False)
    assert worker.await_exit(RECOVERY_S) == 4
    check_last_error(
        worker,
        f"{operation.name} on {topic}",
        f"--operation {operation.name.capitalize()} --topic {topic}",
        "User:worker",
    )
    assert secured_kafka.committed(worker.group, route) in ({}, dict.fromkeys(range(4), 0))


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "operation", "value"), NEEDS)
def test_a_permission_that_is_revoked_ends_the_worker_and_names_the_topic(
    secured_kafka: SecuredKafka, start_secured: StartSecured, suffix: str, operation: Any, value: bytes
) -> None:
    route = make_route(secured_kafka, "revoked")
    topic = f"{route}{suffix}"
    secured_kafka.allow(GROUP, f"group-{route}", READ)
    worker = start_secured(route, retry_deadline_s=DEADLINE_S)
    worker.await_ready(RECOVERY_S)
    secured_kafka.produce(route, event(1)[1], BROKEN, partition=0)
    until(lambda: secured_kafka.committed(worker.group, route).get(0) == 2, RECOVERY_S, "the first commit")
    secured_kafka.revoke(TOPIC, topic, operation)
    secured_kafka.produce(route, value, partition=0)
    assert worker.await_exit(RECOVERY_S) == 4
    check_last_error(worker, f"{operation.name} on {topic}", f"--topic {topic}", "kafka-acls.sh")
    assert secured_kafka.committed(worker.group, route)[0] == 2


@pytest.mark.slow
def test_a_topic_that_the_worker_may_not_see_is_named_at_start(
    secured_kafka: SecuredKafka, start_secured: StartSecured
) -> None:
    route = make_route(secured_kafka, "hidden")
    worker = start_secured(route, retry_deadline_s=2, allow=False)
    assert worker.await_exit(RECOVERY_S) == 4
    check_last_error(worker, route, "may not see", "User:worker", f"--operation Read --topic {route}")


# ---- doctor


def doctor(kafka: SecuredKafka, route: str, folder: Path, bundle: Path) -> tuple[int, str]:
    """Run `labelstream doctor` with the login of the worker."""
    return run_doctor(route, bundle, broker=kafka.secured.address, **kafka.login(folder))


def test_doctor_names_every_missing_permission(
    secured_kafka: SecuredKafka, tiny_bundle: Any, tmp_path: Path
) -> None:
    route = make_route(secured_kafka, "doctor")
    secured_kafka.allow_route(route)
    secured_kafka.allow(GROUP, f"group-{route}", READ)
    assert doctor(secured_kafka, route, tmp_path, tiny_bundle.path)[0] == 0
    secured_kafka.revoke(GROUP, f"group-{route}", READ)
    for operations in ((), (DESCRIBE,)):
        if operations:
            secured_kafka.allow(GROUP, f"group-{route}", *operations)
        code, shown = doctor(secured_kafka, route, tmp_path, tiny_bundle.path)
        assert code == 4
        assert f"--operation Read --group group-{route}" in shown
    for suffix, operation in (("", READ), (".labels", WRITE), (".dead", WRITE)):
        for described in (True, False):
            topic = f"{route}{suffix}"
            secured_kafka.revoke(TOPIC, topic, operation)
            if described:
                secured_kafka.allow(TOPIC, topic, DESCRIBE)
            code, shown = doctor(secured_kafka, route, tmp_path, tiny_bundle.path)
            assert code == 4
            assert f"--operation {operation.name.capitalize()} --topic {topic}" in shown
            if described:
                secured_kafka.revoke(TOPIC, topic, DESCRIBE)
            secured_kafka.allow(TOPIC, topic, operation)


def test_exactly_once_without_write_on_its_transactional_ids_ends_the_worker(
    secured_kafka: SecuredKafka, start_secured: StartSecured, tiny_bundle: Any, tmp_path: Path
) -> None:
    route = make_route(secured_kafka, "no-transactions")
    secured_kafka.allow(GROUP, f"group-{route}", READ)
    secured_kafka.allow_route(route)
    granted = "--operation Write --transactional-id", f"group-{route}/", "--resource-pattern-type prefixed"
    worker = start_secured(route, retry_deadline_s=DEADLINE_S, delivery="exactly_once")
    assert worker.await_exit(RECOVERY_S) == 4
    check_last_error(worker, *granted)
    login: dict[str, Any] = secured_kafka.login(tmp_path)
    address = secured_kafka.secured.address

    def doctor_once() -> tuple[int, str]:
        return run_doctor(route, tiny_bundle.path, broker=address, delivery="exactly_once", **login)

    code, shown = doctor_once()
    assert code == 4
    assert all(words in shown for words in granted)
    secured_kafka.allow_prefix(TRANSACTIONAL_ID, f"group-{route}/", WRITE)
    assert doctor_once()[0] == 0
    worker = start_secured(route, retry_deadline_s=DEADLINE_S, delivery="exactly_once")
    secured_kafka.produce(route, event(0)[1], BROKEN, partition=0)
    until(lambda: secured_kafka.committed(worker.group, route).get(0) == 2, RECOVERY_S, "the transaction")
    secured_kafka.revoke(TOPIC, f"{route}.labels", WRITE)
    secured_kafka.produce(route, event(1)[1], partition=0)
    assert worker.await_exit(RECOVERY_S) == 4
    check_last_error(worker, f"WRITE on {route}.labels", "kafka-acls.sh")
    assert secured_kafka.committed(worker.group, route)[0] == 2


def test_a_producer_without_write_on_any_topic_ends_the_worker(
    secured_kafka: SecuredKafka, start_secured: StartSecured
) -> None:
    # WRITE on any topic is enough for an idempotent producer.
    secured_kafka.revoke_all()
    route = make_route(secured_kafka, "no-producer")
    secured_kafka.allow(GROUP, f"group-{route}", READ)
    secured_kafka.allow(TOPIC, route, READ)
    for suffix in (".labels", ".dead"):
        secured_kafka.allow(TOPIC, f"{route}{suffix}", DESCRIBE)
    worker = start_secured(route, retry_deadline_s=DEADLINE_S, allow=False)
    assert worker.await_exit(RECOVERY_S) == 4
    check_last_error(
        worker, "idempotent producer", f"--operation Write --topic {route}.dead", "kafka-acls.sh"
    )
