"""SIGTERM under load: an end in time, with everything in flight published and committed, and nothing else."""

import time

import pytest

from tests.account import (
    BACK_S,
    await_all,
    check_committed_is_covered,
    check_committed_is_exact,
    check_order,
    produce_evenly,
    written,
)
from tests.odd_worker import Oddity
from tests.pipeline import StartWorker, event, make_route, start_worker, tiny_bundle
from tests.real.kafka import ApacheKafka
from tests.real.wait import until
from tests.real.worker import WorkerProcess

__all__ = ["start_worker", "tiny_bundle"]

ENDS_WITHIN_S = 10.0
# Enough rows for a fast model, and the record batch that was let in last.
MOST_IN_FLIGHT = 4_096 + 1_024


def seconds_to_stop(worker: WorkerProcess) -> float:
    """SIGTERM; the exit code must be 0."""
    asked = time.monotonic()
    assert worker.stop() == 0
    return time.monotonic() - asked


@pytest.mark.slow
@pytest.mark.parametrize(("seconds_a_batch", "events"), [(0.0, 30_000), (0.05, 16_000)], ids=["fast", "slow"])
def test_sigterm_in_mid_stream_commits_what_was_published_and_nothing_is_repeated(
    apache_kafka: ApacheKafka, start_worker: StartWorker, seconds_a_batch: float, events: int
) -> None:
    route = make_route(apache_kafka, "sigterm")
    produce_evenly(apache_kafka, route, [event(number)[1] for number in range(events)])
    program = Oddity(seconds_a_batch=seconds_a_batch).program()
    for _ in range(2):
        before = written(apache_kafka, route)
        worker = start_worker(apache_kafka, route, program=program, cache_local_entries=0)
        until(lambda before=before: written(apache_kafka, route) > before, BACK_S, "labels in mid-stream")
        took = seconds_to_stop(worker)
        check_committed_is_exact(apache_kafka, worker.group, route)
        print(f"ended in {took:.1f} s, written {written(apache_kafka, route)}")
        assert took < ENDS_WITHIN_S
    assert written(apache_kafka, route) < events, "there was load until the last stop"
    last = start_worker(apache_kafka, route)
    await_all(apache_kafka, last.group, route)
    check_order(apache_kafka, route)
    assert written(apache_kafka, route) == events


@pytest.mark.slow
def test_a_drain_that_runs_out_of_time_gives_the_rest_back(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "drain")
    produce_evenly(apache_kafka, route, [event(number)[1] for number in range(8_000)])
    program = Oddity(seconds_a_batch=0.2).program()
    worker = start_worker(apache_kafka, route, program=program, drain_deadline_s=1)
    until(lambda: worker.metric("labelstream_in_flight_events") > 0, BACK_S, "events in flight")
    assert worker.metric("labelstream_in_flight_events") <= MOST_IN_FLIGHT
    assert seconds_to_stop(worker) < ENDS_WITHIN_S
    assert "their events will be read again" in worker.log
    check_committed_is_covered(apache_kafka, worker.group, route)
    last = start_worker(apache_kafka, route)
    await_all(apache_kafka, last.group, route)
