"""A partition whose batch never finishes ends the worker, although the other partitions progress."""

import time

import orjson
import pytest

from tests.odd_worker import Oddity
from tests.pipeline import StartWorker, event, make_route, start_worker, tiny_bundle
from tests.real.kafka import ApacheKafka
from tests.real.process import EndedError
from tests.real.wait import until

__all__ = ["start_worker", "tiny_bundle"]

RECOVERY_S = 90.0


@pytest.mark.slow
def test_a_batch_that_never_finishes_ends_the_worker_while_other_partitions_progress(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "stuck")
    worker = start_worker(
        apache_kafka,
        route,
        program=Oddity(hangs_beyond=24).program(),
        stall_exit_s=15,
        drain_deadline_s=2,
        cache_local_entries=0,
    )
    apache_kafka.produce(route, event(0)[1], partition=0)
    until(lambda: apache_kafka.committed(worker.group, route).get(0) == 1, RECOVERY_S, "the first commit")
    long = orjson.dumps({"id": "long", "text": "order parcel refund " * 20})
    apache_kafka.produce(route, long, event(1)[1], partition=0)
    number = 2
    started_at = time.monotonic()

    def ended() -> bool:
        nonlocal number
        apache_kafka.produce(route, event(number)[1], partition=1)
        number += 1
        try:
            worker.check()
        except EndedError:
            return True
        return False

    until(ended, RECOVERY_S, "the worker's end")
    assert time.monotonic() - started_at > 14
    assert worker.exit_code == 5
    assert f"partition {route}-0 has finished no event for 15 s" in worker.log
    assert apache_kafka.committed(worker.group, route)[0] == 1
    assert apache_kafka.committed(worker.group, route)[1] > 5, "the other partition did not progress"
