"""Workers and brokers that die in mid-stream: every id comes back, as a label or as a dead letter."""

import pytest

from tests.fault.traffic import BACK_S, Traffic, check_nothing_lost
from tests.pipeline import StartWorker, make_route, start_worker, tiny_bundle
from tests.real.kafka import ApacheKafka
from tests.real.wait import until

__all__ = ["start_worker", "tiny_bundle"]


@pytest.mark.slow
def test_kill_9_in_mid_stream_four_times_loses_nothing(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "kill")
    with Traffic(apache_kafka, route) as traffic:
        for _ in range(4):
            worker = start_worker(apache_kafka, route)
            before = sum(apache_kafka.end_offsets(worker.labels).values())
            until(
                lambda worker=worker, before=before: (
                    sum(apache_kafka.end_offsets(worker.labels).values()) > before + 100
                ),
                BACK_S,
                "labels in mid-stream",
            )
            worker.kill()
    last = start_worker(apache_kafka, route)
    check_nothing_lost(apache_kafka, traffic, route)
    until(
        lambda: apache_kafka.committed(last.group, route) == apache_kafka.end_offsets(route),
        BACK_S,
        "every offset",
    )


@pytest.mark.slow
def test_a_broker_killed_and_restarted_loses_nothing(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    if not apache_kafka.owned:
        pytest.skip("the broker of LABELSTREAM_TEST_BROKER is not ours to kill; unset it to run this")
    route = make_route(apache_kafka, "broker-kill")
    worker = start_worker(apache_kafka, route)
    with Traffic(apache_kafka, route) as traffic:
        until(lambda: worker.metric("labelstream_events_total", outcome="labelled") > 200, BACK_S, "labels")
    apache_kafka.kill()
    apache_kafka.start()
    with Traffic(apache_kafka, route, "second") as second:
        until(
            lambda: worker.metric("labelstream_events_total", outcome="labelled") > 600,
            BACK_S,
            "labels again",
        )
    traffic.good += second.good
    traffic.broken += second.broken
    check_nothing_lost(apache_kafka, traffic, route)
    assert worker.stop() == 0


@pytest.mark.slow
def test_a_paused_worker_is_replaced_and_its_late_work_is_not_committed(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "pause")
    first = start_worker(apache_kafka, route)
    with Traffic(apache_kafka, route) as traffic:
        until(lambda: first.metric("labelstream_events_total", outcome="labelled") > 100, BACK_S, "labels")
        first.pause()
        second = start_worker(apache_kafka, route)
        until(
            lambda: second.metric("labelstream_events_total", outcome="labelled") > 100,
            BACK_S,
            "a replacement",
        )
        first.resume()
        until(lambda: first.metric("labelstream_partitions_assigned") == 2, BACK_S, "the first one is back")
    check_nothing_lost(apache_kafka, traffic, route)
