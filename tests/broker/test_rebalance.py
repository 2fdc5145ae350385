"""Rebalances with batches in flight and commits due; ids and offsets are reconciled at the end."""

import random

import pytest

from tests.delivery_checks import (
    RECOVERY_S,
    ReplenishedBacklog,
    await_all_committed,
    check_order,
    count_repeats,
)
from tests.fault.traffic import Traffic, check_nothing_lost
from tests.odd_worker import Oddity
from tests.pipeline import StartWorker, make_route, start_worker, tiny_bundle
from tests.real.kafka import ApacheKafka
from tests.real.wait import until
from tests.real.worker import WorkerProcess

__all__ = ["start_worker", "tiny_bundle"]

JOINS = 8


def assigned(worker: WorkerProcess) -> float:
    """Return the number of partitions assigned to a worker."""
    return worker.metric("labelstream_partitions_assigned")


@pytest.mark.slow
def test_joins_and_leaves_with_batches_in_flight_cause_no_repeats_and_keep_the_order(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "rebalance")
    program = Oddity(seconds_a_batch=0.05).program()
    with ReplenishedBacklog(apache_kafka, route) as backlog:
        first = start_worker(apache_kafka, route, program=program)
        until(lambda: first.metric("labelstream_in_flight_events") > 0, RECOVERY_S, "batches in flight")
        second = start_worker(apache_kafka, route, program=program)
        until(lambda: assigned(first) == assigned(second) == 2, RECOVERY_S, "two partitions each")
        third = start_worker(apache_kafka, route, program=program)
        until(lambda: assigned(third) > 0, RECOVERY_S, "partitions for the third")
        assert second.stop() == 0
        until(lambda: assigned(first) == assigned(third) == 2, RECOVERY_S, "two partitions each again")
        assert first.stop() == 0
    assert backlog.min_waiting > 0, "the load ran out before the last rebalance"
    await_all_committed(apache_kafka, third.group, route)
    # Orderly joins and leaves wait for events in flight and commit them, so nothing is repeated.
    assert count_repeats(apache_kafka, route) == 0
    check_order(apache_kafka, route)


@pytest.mark.slow
def test_commits_during_rebalances_lose_nothing(apache_kafka: ApacheKafka, start_worker: StartWorker) -> None:
    route = make_route(apache_kafka, "restless")
    generator = random.Random(8)
    stay_durations = tuple(generator.uniform(0.6, 1.6) for _ in range(JOINS))
    stable = start_worker(apache_kafka, route)
    with Traffic(apache_kafka, route) as traffic:
        restless = start_worker(
            apache_kafka, route, ready=False, program=Oddity(stays_s=stay_durations).program()
        )
        until(lambda: restless.log.count('"worker started"') == JOINS + 1, RECOVERY_S, "the last join")
        until(lambda: assigned(stable) == assigned(restless) == 2, RECOVERY_S, "two partitions each")
    rebalances = stable.metric("labelstream_rebalances_total")
    failed = stable.metric("labelstream_commits_total", result="failed")
    check_nothing_lost(apache_kafka, traffic, route)
    await_all_committed(apache_kafka, stable.group, route)
    print(
        f"{rebalances:g} rebalances, {failed:g} commits failed, {count_repeats(apache_kafka, route)} repeated"
    )
    assert rebalances > JOINS / 2, "too few rebalances, even if a join and a leave can share one"
    assert count_repeats(apache_kafka, route) == 0
    check_order(apache_kafka, route)
