"""Broker outages: the worker reports them, and ends in time even if the broker does not return."""

from pathlib import Path

import pytest

from tests.odd_worker import Oddity
from tests.pipeline import StartWorker, event, make_route, start_worker, tiny_bundle
from tests.real.kafka import ApacheKafka
from tests.real.wait import until

__all__ = ["start_worker", "tiny_bundle"]

RECOVERY_S = 120.0


@pytest.mark.slow
def test_sigterm_during_an_outage_ends_the_worker_within_its_deadline(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    if not apache_kafka.owned:
        pytest.skip(
            "the broker of LABELSTREAM_TEST_BROKER must not be killed; unset the variable to run this test"
        )
    route = make_route(apache_kafka, "term")
    worker = start_worker(apache_kafka, route, drain_deadline_s=2)
    apache_kafka.produce(route, event(0)[1])
    until(lambda: worker.metric("labelstream_events_total", outcome="labelled") == 1, 30, "a label")
    apache_kafka.kill()
    assert worker.stop() in (0, 5), "neither an orderly exit nor that of the watchdog"
    assert "Traceback" not in worker.log


@pytest.mark.slow
def test_ready_reports_the_unavailable_broker_and_live_stays_ok(
    apache_kafka: ApacheKafka, start_worker: StartWorker, tmp_path: Path
) -> None:
    if not apache_kafka.owned:
        pytest.skip(
            "the broker of LABELSTREAM_TEST_BROKER must not be killed; unset the variable to run this test"
        )
    route, hold = make_route(apache_kafka, "outage"), tmp_path / "hold"
    program = Oddity(held_by=str(hold)).program()
    worker = start_worker(apache_kafka, route, program=program, retry_deadline_s=600, stall_exit_s=600)
    assert [worker.health(path)[0] for path in ("/live", "/ready")] == [200, 200]
    assert worker.metric("labelstream_ready") == 1
    hold.touch()
    apache_kafka.produce(route, event(0)[1])
    until(lambda: worker.metric("labelstream_in_flight_events") == 1, RECOVERY_S, "an event in flight")
    apache_kafka.kill()
    hold.unlink()

    def reports_the_outage() -> bool:
        status, checks = worker.health("/ready")
        broker = checks["broker"]
        return status == 503 and not broker["ok"] and apache_kafka.address in broker["found"]

    until(reports_the_outage, RECOVERY_S, "the outage in /ready")
    assert worker.metric("labelstream_ready") == 0
    assert worker.health("/live")[0] == 200
    until(
        lambda: worker.metric("labelstream_retries_total", what="publish") > 0,
        RECOVERY_S,
        "a retried publish",
    )
    until(
        lambda: worker.metric("labelstream_retries_total", what="broker") > 0,
        RECOVERY_S,
        "a retried broker request",
    )
    apache_kafka.start()
    until(lambda: worker.health("/ready")[0] == 200, RECOVERY_S, "/ready to recover")
    assert worker.health("/live")[0] == 200
    until(lambda: sum(apache_kafka.end_offsets(worker.labels).values()) >= 1, RECOVERY_S, "the label")
    assert worker.metric("labelstream_ready") == 1
