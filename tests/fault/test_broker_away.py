"""A broker that goes away for good: the worker ends all the same."""

import pytest

from tests.pipeline import StartWorker, event, make_route, start_worker, tiny_bundle
from tests.real.kafka import ApacheKafka
from tests.real.wait import until

__all__ = ["start_worker", "tiny_bundle"]


@pytest.mark.slow
def test_sigterm_with_a_dead_broker_ends_within_its_deadline(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    if not apache_kafka.owned:
        pytest.skip("the broker of LABELSTREAM_TEST_BROKER is not ours to kill; unset it to run this")
    route = make_route(apache_kafka, "term")
    worker = start_worker(apache_kafka, route, drain_deadline_s=2)
    apache_kafka.produce(route, event(0)[1])
    until(lambda: worker.metric("labelstream_events_total", outcome="labelled") == 1, 30, "a label")
    apache_kafka.kill()
    assert worker.stop() in (0, 5), "an orderly end, or the watchdog's"
    assert "Traceback" not in worker.log
