"""Rebalances while batches are in flight and commits are due: ids and offsets are reconciled at the end."""

import random

import pytest

from tests.account import BACK_S, Backlog, await_all, check_order, repeats
from tests.fault.traffic import Traffic, check_nothing_lost
from tests.odd_worker import Oddity
from tests.pipeline import StartWorker, make_route, start_worker, tiny_bundle
from tests.real.kafka import ApacheKafka
from tests.real.wait import until
from tests.real.worker import WorkerProcess

__all__ = ["start_worker", "tiny_bundle"]

JOINS = 8


def assigned(worker: WorkerProcess) -> float:
    """How many partitions it has."""
    return worker.metric("labelstream_partitions_assigned")


@pytest.mark.slow
def test_workers_that_join_and_leave_with_batches_in_flight_repeat_nothing_and_keep_the_order(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "rebalance")
    program = Oddity(seconds_a_batch=0.05).program()
    with Backlog(apache_kafka, route) as backlog:
        first = start_worker(apache_kafka, route, program=program)
        until(lambda: first.metric("labelstream_in_flight_events") > 0, BACK_S, "batches in flight")
        second = start_worker(apache_kafka, route, program=program)
        until(lambda: assigned(first) == assigned(second) == 2, BACK_S, "two partitions each")
        third = start_worker(apache_kafka, route, program=program)
        until(lambda: assigned(third) > 0, BACK_S, "partitions for the third")
        assert second.stop() == 0
        until(lambda: assigned(first) == assigned(third) == 2, BACK_S, "two partitions each again")
        assert first.stop() == 0
    assert backlog.least > 0, "there was load at every change"
    await_all(apache_kafka, third.group, route)
    # Orderly joins and leaves wait for what is in flight and commit it: nothing is done twice.
    assert repeats(apache_kafka, route) == 0
    check_order(apache_kafka, route)


@pytest.mark.slow
def test_commits_that_meet_rebalances_lose_nothing(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "restless")
    chosen = random.Random(8)
    stays = tuple(chosen.uniform(0.6, 1.6) for _ in range(JOINS))
    steady = start_worker(apache_kafka, route)
    with Traffic(apache_kafka, route) as traffic:
        restless = start_worker(apache_kafka, route, ready=False, program=Oddity(stays_s=stays).program())
        until(lambda: restless.log.count('"worker started"') == JOINS + 1, BACK_S, "the last join")
        until(lambda: assigned(steady) == assigned(restless) == 2, BACK_S, "two partitions each")
    rebalances = steady.metric("labelstream_rebalances_total")
    failed = steady.metric("labelstream_commits_total", result="failed")
    check_nothing_lost(apache_kafka, traffic, route)
    await_all(apache_kafka, steady.group, route)
    print(f"{rebalances:g} rebalances, {failed:g} commits refused, {repeats(apache_kafka, route)} repeated")
    assert rebalances > JOINS / 2, "a join and a leave may fall into one"
    assert repeats(apache_kafka, route) == 0
    check_order(apache_kafka, route)
