"""SIGTERM under load: the worker ends in time and commits exactly the published events."""

import time

import pytest

from tests.delivery_checks import (
    RECOVERY_S,
    await_all_committed,
    check_committed_is_covered,
    check_committed_is_exact,
    check_order,
    count_written,
    produce_evenly,
)
from tests.odd_worker import Oddity
from tests.pipeline import StartWorker, event, make_route, start_worker, tiny_bundle
from tests.real.kafka import ApacheKafka
from tests.real.wait import until
from tests.real.worker import WorkerProcess

__all__ = ["start_worker", "tiny_bundle"]

ENDS_WITHIN_S = 10.0
# The queue limit of a fast model plus the last admitted record batch.
MAX_IN_FLIGHT = 4_096 + 1_024


def await_more_written(kafka: ApacheKafka, route: str, count: int) -> None:
    """Wait until more than `count` labels and dead letters are written."""
    until(lambda: count_written(kafka, route) > count, RECOVERY_S, "labels under load")


def seconds_to_stop(worker: WorkerProcess) -> float:
    """Send SIGTERM, check for exit code 0, and return the seconds until the end."""
    started = time.monotonic()
    assert worker.stop() == 0
    return time.monotonic() - started


@pytest.mark.slow
@pytest.mark.parametrize(("seconds_a_batch", "events"), [(0.0, 30_000), (0.05, 16_000)], ids=["fast", "slow"])
def test_sigterm_under_load_commits_all_published_events_and_repeats_none(
    apache_kafka: ApacheKafka, start_worker: StartWorker, seconds_a_batch: float, events: int
) -> None:
    route = make_route(apache_kafka, "sigterm")
    produce_evenly(apache_kafka, route, [event(number)[1] for number in range(events)])
    program = Oddity(seconds_a_batch=seconds_a_batch).program()
    for _ in range(2):
        before = count_written(apache_kafka, route)
        worker = start_worker(apache_kafka, route, program=program, cache_local_entries=0)
        await_more_written(apache_kafka, route, before)
        seconds = seconds_to_stop(worker)
        check_committed_is_exact(apache_kafka, worker.group, route)
        print(f"ended in {seconds:.1f} s, written {count_written(apache_kafka, route)}")
        assert seconds < ENDS_WITHIN_S
    assert count_written(apache_kafka, route) < events, "the load ran out before the last stop"
    last = start_worker(apache_kafka, route)
    await_all_committed(apache_kafka, last.group, route)
    check_order(apache_kafka, route)
    assert count_written(apache_kafka, route) == events


@pytest.mark.slow
def test_a_drain_past_its_deadline_leaves_the_rest_uncommitted(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "drain")
    produce_evenly(apache_kafka, route, [event(number)[1] for number in range(8_000)])
    program = Oddity(seconds_a_batch=0.2).program()
    worker = start_worker(apache_kafka, route, program=program, drain_deadline_s=1)
    until(lambda: worker.metric("labelstream_in_flight_events") > 0, RECOVERY_S, "events in flight")
    assert worker.metric("labelstream_in_flight_events") <= MAX_IN_FLIGHT
    assert seconds_to_stop(worker) < ENDS_WITHIN_S
    assert "the unfinished events will be read again" in worker.log
    check_committed_is_covered(apache_kafka, worker.group, route)
    last = start_worker(apache_kafka, route)
    await_all_committed(apache_kafka, last.group, route)
