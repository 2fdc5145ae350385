"""A device that fails under load ends the worker; what it had not answered is read again."""

import random

import pytest

from tests.account import (
    BACK_S,
    await_all,
    check_committed_is_covered,
    check_no_gaps,
    produce_evenly,
    repeats,
    uneven_values,
    written,
)
from tests.odd_worker import Oddity
from tests.pipeline import StartWorker, make_route, start_worker, tiny_bundle
from tests.real.kafka import ApacheKafka

__all__ = ["start_worker", "tiny_bundle"]


@pytest.mark.slow
@pytest.mark.parametrize("works_for", [0, 120])
def test_a_device_that_fails_ends_the_worker_and_a_restart_loses_nothing(
    apache_kafka: ApacheKafka, start_worker: StartWorker, works_for: int
) -> None:
    route = make_route(apache_kafka, "device")
    values = uneven_values(random.Random(4))
    produce_evenly(apache_kafka, route, values)
    program = Oddity(works_for=works_for, seconds_a_batch=0.01).program()
    broken = start_worker(apache_kafka, route, ready=False, program=program)
    assert broken.await_exit(BACK_S) == 7
    assert "has stopped working" in broken.log
    assert "Traceback" not in broken.log
    check_committed_is_covered(apache_kafka, broken.group, route)
    check_no_gaps(apache_kafka, route)
    committed = sum(apache_kafka.committed(broken.group, route).values())
    done = written(apache_kafka, route)
    assert committed <= done < len(values), "the fault is in mid-stream"
    assert (done > 0) == (works_for > 0)
    healthy = start_worker(apache_kafka, route)
    await_all(apache_kafka, healthy.group, route)
    print(f"committed {committed}, written {done}, repeated {repeats(apache_kafka, route)}")
    assert repeats(apache_kafka, route) == done - committed
    assert sum(apache_kafka.end_offsets(healthy.dead).values()) == 0, "no event was to blame"
