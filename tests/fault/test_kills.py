"""Kills of workers and brokers under load: every id becomes a label or a dead letter."""

import pytest

from tests.delivery_checks import await_all_committed, count_written, produce_evenly
from tests.fault.traffic import RECOVERY_S, Traffic, check_nothing_lost
from tests.odd_worker import Oddity
from tests.pipeline import StartWorker, event, make_route, start_worker, tiny_bundle
from tests.real.kafka import ApacheKafka
from tests.real.wait import until
from tests.real.worker import WorkerProcess

__all__ = ["start_worker", "tiny_bundle"]


def await_labels(kafka: ApacheKafka, worker: WorkerProcess, count: int) -> None:
    """Wait until the label topic contains more than `count` records."""
    until(lambda: sum(kafka.end_offsets(worker.labels).values()) > count, RECOVERY_S, "labels under load")


@pytest.mark.slow
def test_three_sigkills_under_load_lose_nothing(apache_kafka: ApacheKafka, start_worker: StartWorker) -> None:
    route = make_route(apache_kafka, "kill")
    with Traffic(apache_kafka, route) as traffic:
        for _ in range(3):
            worker = start_worker(apache_kafka, route)
            before = sum(apache_kafka.end_offsets(worker.labels).values())
            await_labels(apache_kafka, worker, before + 100)
            worker.kill()
    last = start_worker(apache_kafka, route)
    check_nothing_lost(apache_kafka, traffic, route)
    until(
        lambda: apache_kafka.committed(last.group, route) == apache_kafka.end_offsets(route),
        RECOVERY_S,
        "every offset committed",
    )


@pytest.mark.slow
def test_a_killed_and_restarted_broker_loses_nothing(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    if not apache_kafka.owned:
        pytest.skip(
            "the broker of LABELSTREAM_TEST_BROKER must not be killed; unset the variable to run this test"
        )
    route = make_route(apache_kafka, "broker-kill")
    backlog = [event(number, "backlog") for number in range(6_000)]
    produce_evenly(apache_kafka, route, [value for _, value in backlog])
    worker = start_worker(
        apache_kafka,
        route,
        program=Oddity(seconds_a_batch=0.03).program(),
        # A broker that starts on a busy machine may be away for longer than the default.
        retry_deadline_s=120,
    )
    until(lambda: count_written(apache_kafka, route) > 0, RECOVERY_S, "labels under load")
    apache_kafka.kill()
    apache_kafka.start()
    assert count_written(apache_kafka, route) < len(backlog), "the worker was not under load"
    with Traffic(apache_kafka, route) as traffic:
        until(
            lambda: worker.metric("labelstream_events_total", outcome="labelled") > len(backlog),
            RECOVERY_S,
            "labels again",
        )
    traffic.valid += [event_id for event_id, _ in backlog]
    check_nothing_lost(apache_kafka, traffic, route)
    await_all_committed(apache_kafka, worker.group, route)
    assert worker.stop() == 0


@pytest.mark.slow
def test_a_paused_worker_is_replaced_and_does_not_commit_late_work(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "pause")
    first = start_worker(apache_kafka, route)
    with Traffic(apache_kafka, route) as traffic:
        until(
            lambda: first.metric("labelstream_events_total", outcome="labelled") > 100, RECOVERY_S, "labels"
        )
        first.pause()
        second = start_worker(apache_kafka, route)
        until(
            lambda: second.metric("labelstream_events_total", outcome="labelled") > 100,
            RECOVERY_S,
            "labels of the second worker",
        )
        first.resume()
        until(
            lambda: first.metric("labelstream_partitions_assigned") == 2,
            RECOVERY_S,
            "the first worker to rejoin",
        )
    check_nothing_lost(apache_kafka, traffic, route)
