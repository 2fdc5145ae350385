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

__all__ = ["start_worker", "tiny_bundle"]

EVENTS = 8_000


def limit_messages(kafka: ApacheKafka, topic: str, max_bytes: int) -> None:
    """Set max.message.bytes of a topic."""
    entry = ConfigEntry("max.message.bytes", str(max_bytes), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": kafka.address})
    (future,) = admin.incremental_alter_configs([resource]).values()
    future.result(30)


@pytest.mark.slow
def test_oversized_labels_end_the_worker_and_a_restart_loses_nothing(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "refused")
    produce_evenly(apache_kafka, route, [event(number)[1] for number in range(EVENTS)])
    program = Oddity(seconds_a_batch=0.02).program()
    worker = start_worker(apache_kafka, route, program=program, cache_local_entries=0)
    until(lambda: count_written(apache_kafka, route) > 0, RECOVERY_S, "labels under load")
    limit_messages(apache_kafka, worker.labels, 200)
    assert worker.await_exit(RECOVERY_S) == 4
    assert "max.message.bytes" in worker.log
    assert "Traceback" not in worker.log
    check_committed_is_covered(apache_kafka, worker.group, route)
    committed = sum(apache_kafka.committed(worker.group, route).values())
    done = count_written(apache_kafka, route)
    assert committed <= done < EVENTS, "the failure was not under load"
    limit_messages(apache_kafka, worker.labels, 2**20)
    restarted = start_worker(apache_kafka, route)
    await_all_committed(apache_kafka, restarted.group, route)
    assert count_repeats(apache_kafka, route) == done - committed


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
    assert apache_kafka.committed(worker.group, route) == before
    apache_kafka.create_topic(worker.labels, 4)
    restarted = start_worker(apache_kafka, route)
    ends = apache_kafka.end_offsets(route)
    until(
        lambda: apache_kafka.committed(restarted.group, route) == ends, RECOVERY_S, "every offset committed"
    )
    for partition, offsets in outcome_offsets(apache_kafka, route).items():
        assert offsets == list(range(before.get(partition, 0), ends[partition]))
