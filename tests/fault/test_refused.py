"""Rejected labels: the worker ends without committing past them, and a restart continues."""

from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from tests.delivery_checks import (
    RECOVERY_S,
    await_all_committed,
    check_committed_is_covered,
    count_repeats,
    count_written,
    outcome_offsets,
    produce_evenly,
)
from tests.odd_worker import Oddity
from tests.pipeline import StartWorker, event, make_route, start_worker, tiny_bundle
from tests.real.kafka import ApacheKafka
from tests.real.wait import until
from tests.real.worker import WorkerProcess

__all__ = ["start_worker", "tiny_bundle"]

EVENTS = 8_000


def configure(kafka: ApacheKafka, topic: str, setting: str, value: str) -> None:
    """Set a setting of a topic."""
    entry = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": kafka.address})
    (future,) = admin.incremental_alter_configs([resource]).values()
    future.result(30)


def check_ends_with_cause(worker: WorkerProcess, *parts: str) -> None:
    """Check that the worker printed an error of three lines with these parts, and no traceback."""
    lines = worker.log.splitlines()
    (start,) = [at for at, line in enumerate(lines) if line.startswith("error: ")]
    printed = lines[start : start + 3]
    assert [line.split(":")[0].strip() for line in printed] == ["error", "cause", "fix"]
    for part in parts:
        assert part in "\n".join(printed)
    assert "Traceback" not in worker.log


@pytest.mark.slow
def test_refused_labels_end_the_worker_and_a_restart_loses_nothing(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "refused")
    produce_evenly(apache_kafka, route, [event(number)[1] for number in range(EVENTS)])
    program = Oddity(seconds_a_batch=0.02).program()
    worker = start_worker(apache_kafka, route, program=program, cache_local_entries=0)
    until(lambda: count_written(apache_kafka, route) > 0, RECOVERY_S, "labels under load")
    configure(apache_kafka, worker.labels, "cleanup.policy", "compact")
    assert worker.await_exit(RECOVERY_S) == 4
    check_ends_with_cause(
        worker, f"{worker.labels}, partition", "cleanup.policy=compact", "message without key"
    )
    check_committed_is_covered(apache_kafka, worker.group, route)
    committed = sum(apache_kafka.committed(worker.group, route).values())
    done = count_written(apache_kafka, route)
    assert committed <= done < EVENTS, "the failure was not under load"
    configure(apache_kafka, worker.labels, "cleanup.policy", "delete")
    restarted = start_worker(apache_kafka, route)
    await_all_committed(apache_kafka, restarted.group, route)
    assert count_repeats(apache_kafka, route) == done - committed


def test_events_that_are_too_old_for_the_label_topic_end_the_worker(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "old")
    configure(apache_kafka, f"{route}.labels", "message.timestamp.before.max.ms", "60000")
    apache_kafka.produce(route, event(0)[1], partition=0)
    apache_kafka.produce(route, event(1)[1], partition=0, timestamp=1_600_000_000_000)
    worker = start_worker(apache_kafka, route, ready=False)
    assert worker.await_exit(RECOVERY_S) == 4
    check_ends_with_cause(
        worker, f"{worker.labels}, partition 0", "message.timestamp.before.max.ms", "1600000000000"
    )
    configure(apache_kafka, worker.labels, "message.timestamp.before.max.ms", str(2**63 - 1))
    restarted = start_worker(apache_kafka, route)
    await_all_committed(apache_kafka, restarted.group, route)


@pytest.mark.slow
def test_a_deleted_output_topic_ends_the_worker_and_a_restart_continues(
    apache_kafka: ApacheKafka, start_worker: StartWorker, tmp_path: Path
) -> None:
    route = make_route(apache_kafka, "deleted")
    produce_evenly(apache_kafka, route, [event(number)[1] for number in range(EVENTS)])
    hold = tmp_path / "hold"
    worker = start_worker(
        apache_kafka,
        route,
        program=Oddity(seconds_a_batch=0.02, held_by=str(hold)).program(),
        cache_local_entries=0,
        retry_deadline_s=3,
        drain_deadline_s=2,
    )
    until(lambda: count_written(apache_kafka, route) > 0, RECOVERY_S, "labels under load")
    hold.touch()
    until(
        lambda: (
            sum(apache_kafka.committed(worker.group, route).values()) == count_written(apache_kafka, route)
        ),
        RECOVERY_S,
        "a commit of all written labels",
    )
    before = apache_kafka.committed(worker.group, route)
    assert 0 < sum(before.values()) < EVENTS
    apache_kafka.delete_topics(worker.labels)
    hold.unlink()
    assert worker.await_exit(RECOVERY_S) == 4
    check_ends_with_cause(worker, f"topic {worker.labels} was deleted", "labelstream topics create")
    assert apache_kafka.committed(worker.group, route) == before
    apache_kafka.create_topic(worker.labels, 4)
    restarted = start_worker(apache_kafka, route)
    ends = apache_kafka.end_offsets(route)
    until(
        lambda: apache_kafka.committed(restarted.group, route) == ends, RECOVERY_S, "every offset committed"
    )
    for partition, offsets in outcome_offsets(apache_kafka, route).items():
        assert offsets == list(range(before.get(partition, 0), ends[partition]))
