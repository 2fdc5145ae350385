"""Workers and brokers that die in mid-stream: every id comes back, as a label or as a dead letter."""

import pytest

from tests.account import await_all, produce_evenly, written
from tests.fault.traffic import BACK_S, Traffic, check_nothing_lost
from tests.odd_worker import Oddity
from tests.pipeline import StartWorker, event, make_route, start_worker, tiny_bundle
from tests.real.kafka import ApacheKafka
from tests.real.wait import until

__all__ = ["start_worker", "tiny_bundle"]


@pytest.mark.slow
def test_kill_9_in_mid_stream_three_times_loses_nothing(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "kill")
    with Traffic(apache_kafka, route) as traffic:
        for _ in range(3):
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
    backlog = [event(number, "backlog") for number in range(6_000)]
    produce_evenly(apache_kafka, route, [value for _, value in backlog])
    worker = start_worker(apache_kafka, route, program=Oddity(seconds_a_batch=0.03).program())
    until(lambda: written(apache_kafka, route) > 0, BACK_S, "labels in mid-stream")
    apache_kafka.kill()
    apache_kafka.start()
    assert written(apache_kafka, route) < len(backlog), "it was under load"
    with Traffic(apache_kafka, route) as traffic:
        until(
            lambda: worker.metric("labelstream_events_total", outcome="labelled") > len(backlog),
            BACK_S,
            "labels again",
        )
    traffic.good += [event_id for event_id, _ in backlog]
    check_nothing_lost(apache_kafka, traffic, route)
    await_all(apache_kafka, worker.group, route)
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
