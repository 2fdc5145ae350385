"""A batch or an inference that never finishes ends the worker, whatever else progresses."""

import time
from pathlib import Path

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
        program=Oddity(loses="platypus").program(),
        stall_exit_s=15,
        drain_deadline_s=2,
        cache_local_entries=0,
    )
    apache_kafka.produce(route, event(0)[1], partition=0)
    until(lambda: apache_kafka.committed(worker.group, route).get(0) == 1, RECOVERY_S, "the first commit")
    lost = orjson.dumps({"id": "lost", "text": "where is my platypus"})
    apache_kafka.produce(route, lost, event(1)[1], partition=0)
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
    assert apache_kafka.committed(worker.group, route)[1] > 100, "the other partition did not progress"


@pytest.mark.slow
def test_an_inference_that_never_ends_does_not_keep_the_process_alive(
    apache_kafka: ApacheKafka, start_worker: StartWorker, tmp_path: Path
) -> None:
    route = make_route(apache_kafka, "hung")
    hold = tmp_path / "hold"
    program = Oddity(held_by=str(hold)).program()
    worker = start_worker(apache_kafka, route, program=program, stall_exit_s=3, drain_deadline_s=1)
    hold.touch()
    apache_kafka.produce(route, event(0)[1], partition=0)
    until(lambda: worker.metric("labelstream_in_flight_events") == 1, RECOVERY_S, "an event in flight")
    assert worker.await_exit(RECOVERY_S) == 5
    assert "error: " in worker.log
    assert "an inference or a download did not end" in worker.log
    restarted = start_worker(apache_kafka, route, program=program, drain_deadline_s=1)
    until(lambda: restarted.metric("labelstream_in_flight_events") == 1, RECOVERY_S, "an event in flight")
    assert restarted.stop() == 0
    assert apache_kafka.committed(worker.group, route).get(0, 0) == 0
