"""Workers and brokers that die in mid-stream: every id comes back, as a label or as a dead letter."""

import itertools
from collections.abc import Iterator
from threading import Event, Thread

import pytest

from tests.pipeline import StartWorker, event, make_route, start_worker, tiny_bundle
from tests.real.kafka import ApacheKafka
from tests.real.reconcile import dead_ids, label_ids, missing, repeated
from tests.real.wait import until

__all__ = ["start_worker", "tiny_bundle"]

BACK_S = 120.0
BROKEN_EVERY = 50


class Traffic:
    """Produces from a thread until stopped; every 50th record is broken, with its id in a header."""

    def __init__(self, kafka: ApacheKafka, route: str) -> None:
        self.good: list[str] = []
        self.broken: list[str] = []
        self._kafka = kafka
        self._route = route
        self._ended = Event()
        self._thread = Thread(target=self._run)

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        for numbers in _chunks(40):
            if self._ended.wait(0.05):
                return
            for number in numbers:
                event_id, _ = event(number)
                if number % BROKEN_EVERY == 0:
                    headers = [("labelstream-id", event_id.encode())]
                    self._kafka.produce(self._route, b"{broken", headers=headers, partition=number % 4)
                    self.broken.append(event_id)
            values = [event(number)[1] for number in numbers if number % BROKEN_EVERY]
            self._kafka.produce(self._route, *values, partition=numbers[0] // 40 % 4)
            self.good.extend(event(number)[0] for number in numbers if number % BROKEN_EVERY)


def _chunks(size: int) -> Iterator[list[int]]:
    numbers = itertools.count()
    while True:
        yield list(itertools.islice(numbers, size))


def check_nothing_lost(kafka: ApacheKafka, traffic: Traffic, route: str) -> None:
    """Every good id is labelled, every broken one is a dead letter, none is both; offsets are at the end."""
    labels, dead = f"{route}.labels", f"{route}.dead"
    until(
        lambda: not missing(traffic.good, label_ids(kafka.records(labels))),
        BACK_S,
        "every good id as a label",
    )
    until(
        lambda: not missing(traffic.broken, dead_ids(kafka.records(dead))),
        BACK_S,
        "every broken id as a dead letter",
    )
    labelled, buried = label_ids(kafka.records(labels)), dead_ids(kafka.records(dead))
    assert set(labelled) == set(traffic.good)
    assert set(buried) == set(traffic.broken)
    assert not set(labelled) & set(buried)
    print(
        f"{len(traffic.good)} good and {len(traffic.broken)} broken in; "
        f"repeated: {repeated(labelled)} labels, {repeated(buried)} dead letters"
    )


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
    with Traffic(apache_kafka, route) as second:
        until(
            lambda: worker.metric("labelstream_events_total", outcome="labelled") > 600,
            BACK_S,
            "labels again",
        )
    traffic.good = sorted(set(traffic.good) | set(second.good))
    traffic.broken = sorted(set(traffic.broken) | set(second.broken))
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
