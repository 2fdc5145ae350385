"""What only Apache Kafka can judge: start positions, retention, refused dead letters, sizes of topics."""

import random

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from stream.kafka.faust.options import PRODUCE_BATCH_BYTES
from tests.pipeline import StartWorker, event, make_route, start_worker, tiny_bundle
from tests.real.kafka import ApacheKafka
from tests.real.reconcile import label_ids
from tests.real.wait import until

__all__ = ["start_worker", "tiny_bundle"]

BACK_S = 90.0


def delete_records(kafka: ApacheKafka, topic: str, partition: int, before: int) -> None:
    """Remove records as retention would, at once."""
    admin = AdminClient({"bootstrap.servers": kafka.address})
    (done,) = admin.delete_records([TopicPartition(topic, partition, before)]).values()
    assert done.result(30).low_watermark == before


def test_a_new_group_at_latest_keeps_its_start_over_a_restart(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "latest")
    apache_kafka.produce(route, *(event(number, "before")[1] for number in range(10)), partition=0)
    first = start_worker(apache_kafka, route, start_at="latest")
    until(lambda: apache_kafka.committed(first.group, route).get(0) == 10, BACK_S, "the start is committed")
    first.kill()
    wanted = [event(number, "after") for number in range(10)]
    apache_kafka.produce(route, *(value for _, value in wanted), partition=0)
    second = start_worker(apache_kafka, route, start_at="latest")
    until(lambda: sum(apache_kafka.end_offsets(second.labels).values()) >= 10, BACK_S, "10 labels")
    assert label_ids(apache_kafka.records(second.labels)) == {event_id: 1 for event_id, _ in wanted}


def test_offsets_that_retention_removed_are_counted_and_said(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "retention")
    first = start_worker(apache_kafka, route)
    apache_kafka.produce(route, event(0)[1], partition=0)
    until(lambda: apache_kafka.committed(first.group, route).get(0) == 1, BACK_S, "the first commit")
    first.stop()
    apache_kafka.produce(route, *(event(number)[1] for number in range(1, 31)), partition=0)
    delete_records(apache_kafka, route, partition=0, before=21)
    second = start_worker(apache_kafka, route)
    until(lambda: sum(apache_kafka.end_offsets(second.labels).values()) == 11, BACK_S, "1 + 10 labels")
    assert second.metric("labelstream_offsets_skipped_total", topic=route, partition="0") == 20
    assert "retention removed events before they were read" in second.log


def test_a_dead_letter_that_cannot_be_written_stops_the_worker_and_nothing_is_dropped(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    from tests.real.parts import unique

    route = unique("small-dead")
    apache_kafka.create_topic(route, 4)
    apache_kafka.create_topic(f"{route}.labels", 4)
    apache_kafka.create_topic(f"{route}.dead", 4, max_message_bytes=2000)
    apache_kafka.produce(route, event(0)[1], partition=0)
    noise = random.Random(0).randbytes(10_000)
    apache_kafka.produce(route, noise, partition=0)
    worker = start_worker(apache_kafka, route, ready=False)
    assert worker.await_exit(BACK_S) == 4
    assert "too large" in worker.log
    assert "max.message.bytes" in worker.log
    assert "Traceback" not in worker.log
    assert apache_kafka.committed(worker.group, route).get(0, 0) < 2, "nothing is committed past the record"


@pytest.mark.parametrize("partitions_out", [2, 7])
def test_label_topics_of_another_size_get_records_by_key(
    apache_kafka: ApacheKafka, start_worker: StartWorker, partitions_out: int
) -> None:
    from tests.real.parts import unique

    route = unique("sizes")
    apache_kafka.create_topic(route, 4)
    apache_kafka.create_topic(f"{route}.labels", partitions_out)
    apache_kafka.create_topic(f"{route}.dead", 4)
    worker = start_worker(apache_kafka, route)
    for number in range(60):
        apache_kafka.produce(route, event(number)[1], key=b"key-%d" % (number % 6))
    until(lambda: sum(apache_kafka.end_offsets(worker.labels).values()) == 60, BACK_S, "60 labels")
    homes: dict[bytes | None, set[int]] = {}
    for record in apache_kafka.records(worker.labels):
        homes.setdefault(record.key, set()).add(record.partition)
    assert all(len(home) == 1 for home in homes.values()), "a key stays in one partition"


def test_offsets_that_retention_removes_under_a_running_worker_are_counted(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "overtaken")
    worker = start_worker(apache_kafka, route)
    apache_kafka.produce(route, event(0)[1], partition=0)
    until(lambda: apache_kafka.committed(worker.group, route).get(0) == 1, BACK_S, "the first commit")
    worker.pause()
    apache_kafka.produce(route, *(event(number)[1] for number in range(1, 31)), partition=0)
    delete_records(apache_kafka, route, partition=0, before=21)
    worker.resume()
    until(lambda: apache_kafka.committed(worker.group, route).get(0) == 31, BACK_S, "the end is committed")
    skipped = worker.metric("labelstream_offsets_skipped_total", topic=route, partition="0")
    labelled = sum(apache_kafka.end_offsets(worker.labels).values())
    assert labelled + skipped == 31


def test_a_record_larger_than_a_produce_batch_becomes_a_dead_letter_with_its_bytes(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "large")
    worker = start_worker(apache_kafka, route)
    large = random.Random(1).randbytes(700_000)
    assert len(large) > PRODUCE_BATCH_BYTES
    apache_kafka.produce(route, b"{broken", large, b"{broken too", event(1)[1], partition=0)
    until(lambda: apache_kafka.end_offsets(worker.dead)[0] == 3, BACK_S, "3 dead letters")
    until(lambda: apache_kafka.end_offsets(worker.labels)[0] == 1, BACK_S, "the label behind them")
    assert [record.value for record in apache_kafka.records(worker.dead)] == [
        b"{broken",
        large,
        b"{broken too",
    ]


def test_what_ends_a_transaction_is_no_lag_and_no_stall(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "transactional")
    worker = start_worker(apache_kafka, route)
    producer = Producer({"bootstrap.servers": apache_kafka.address, "transactional.id": f"{route}-producer"})
    producer.init_transactions(30)
    for commit in (producer.commit_transaction, producer.abort_transaction):
        producer.begin_transaction()
        for number in range(20):
            producer.produce(route, event(number, commit.__name__)[1], partition=0)
        producer.flush(30)
        commit(30)
    until(lambda: apache_kafka.end_offsets(route)[0] == 42, BACK_S, "a marker behind either transaction")
    until(lambda: worker.metric("labelstream_events_total", outcome="labelled") == 20, BACK_S, "20 labels")
    until(lambda: worker.metric("labelstream_consumer_lag", partition="0") == 0, BACK_S, "no lag")
    moved_at = worker.metric("labelstream_last_progress_timestamp_seconds")
    until(
        lambda: worker.metric("labelstream_last_progress_timestamp_seconds") > moved_at,
        BACK_S,
        "the watch to see a worker without work",
    )
    assert worker.stop() == 0
    found = label_ids(apache_kafka.records(worker.labels))
    assert set(found) == {event(number, "commit_transaction")[0] for number in range(20)}
