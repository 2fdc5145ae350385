"""Tests that need Apache Kafka: start positions, retention, rejected dead letters, sizes of topics."""

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

RECOVERY_S = 90.0


def delete_records(kafka: ApacheKafka, topic: str, partition: int, before: int) -> None:
    """Remove records at once, as retention would later."""
    admin = AdminClient({"bootstrap.servers": kafka.address})
    (done,) = admin.delete_records([TopicPartition(topic, partition, before)]).values()
    assert done.result(30).low_watermark == before


def test_a_new_group_at_latest_keeps_its_start_position_across_a_restart(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "latest")
    apache_kafka.produce(route, *(event(number, "before")[1] for number in range(10)), partition=0)
    first = start_worker(apache_kafka, route, start_at="latest")
    until(
        lambda: apache_kafka.committed(first.group, route).get(0) == 10,
        RECOVERY_S,
        "the committed start position",
    )
    first.kill()
    expected = [event(number, "after") for number in range(10)]
    apache_kafka.produce(route, *(value for _, value in expected), partition=0)
    second = start_worker(apache_kafka, route, start_at="latest")
    until(lambda: sum(apache_kafka.end_offsets(second.labels).values()) >= 10, RECOVERY_S, "10 labels")
    assert label_ids(apache_kafka.records(second.labels)) == {event_id: 1 for event_id, _ in expected}


def test_offsets_removed_by_retention_are_counted_and_logged(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "retention")
    first = start_worker(apache_kafka, route)
    apache_kafka.produce(route, event(0)[1], partition=0)
    until(lambda: apache_kafka.committed(first.group, route).get(0) == 1, RECOVERY_S, "the first commit")
    first.stop()
    apache_kafka.produce(route, *(event(number)[1] for number in range(1, 31)), partition=0)
    delete_records(apache_kafka, route, partition=0, before=21)
    second = start_worker(apache_kafka, route)
    until(lambda: sum(apache_kafka.end_offsets(second.labels).values()) == 11, RECOVERY_S, "1 + 10 labels")
    assert second.metric("labelstream_offsets_skipped_total", topic=route, partition="0") == 20
    assert "retention removed events before they were read" in second.log


def test_a_rejected_dead_letter_stops_the_worker_without_data_loss(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    from tests.real.components import unique

    route = unique("small-dead")
    apache_kafka.create_topic(route, 4)
    apache_kafka.create_topic(f"{route}.labels", 4)
    apache_kafka.create_topic(f"{route}.dead", 4, max_message_bytes=2000)
    apache_kafka.produce(route, event(0)[1], partition=0)
    oversized = random.Random(0).randbytes(10_000)
    apache_kafka.produce(route, oversized, partition=0)
    worker = start_worker(apache_kafka, route, ready=False, on_unwritable_dead_letter="stop")
    assert worker.await_exit(RECOVERY_S) == 4
    assert f"the dead letter of {route}, partition 0, offset 1 is too large" in worker.log
    assert "max.message.bytes" in worker.log
    assert "Traceback" not in worker.log
    assert apache_kafka.committed(worker.group, route).get(0, 0) < 2, "the worker committed past the record"


@pytest.mark.parametrize("partitions_out", [2, 7])
def test_a_label_topic_with_another_partition_count_gets_records_by_key(
    apache_kafka: ApacheKafka, start_worker: StartWorker, partitions_out: int
) -> None:
    from tests.real.components import unique

    route = unique("sizes")
    apache_kafka.create_topic(route, 4)
    apache_kafka.create_topic(f"{route}.labels", partitions_out)
    apache_kafka.create_topic(f"{route}.dead", 4)
    worker = start_worker(apache_kafka, route)
    for number in range(60):
        apache_kafka.produce(route, event(number)[1], key=b"key-%d" % (number % 6))
    until(lambda: sum(apache_kafka.end_offsets(worker.labels).values()) == 60, RECOVERY_S, "60 labels")
    partitions_by_key: dict[bytes | None, set[int]] = {}
    for record in apache_kafka.records(worker.labels):
        partitions_by_key.setdefault(record.key, set()).add(record.partition)
    assert all(len(key_partitions) == 1 for key_partitions in partitions_by_key.values()), (
        "a key is in several partitions"
    )


def test_offsets_removed_by_retention_during_a_run_are_counted(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "overtaken")
    worker = start_worker(apache_kafka, route)
    apache_kafka.produce(route, event(0)[1], partition=0)
    until(lambda: apache_kafka.committed(worker.group, route).get(0) == 1, RECOVERY_S, "the first commit")
    worker.pause()
    apache_kafka.produce(route, *(event(number)[1] for number in range(1, 31)), partition=0)
    delete_records(apache_kafka, route, partition=0, before=21)
    worker.resume()
    until(
        lambda: apache_kafka.committed(worker.group, route).get(0) == 31,
        RECOVERY_S,
        "the committed end offset",
    )
    skipped = worker.metric("labelstream_offsets_skipped_total", topic=route, partition="0")
    labelled = sum(apache_kafka.end_offsets(worker.labels).values())
    assert labelled + skipped == 31


def test_a_record_larger_than_a_produce_batch_becomes_a_complete_dead_letter(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "large")
    worker = start_worker(apache_kafka, route)
    large = random.Random(1).randbytes(700_000)
    assert len(large) > PRODUCE_BATCH_BYTES
    apache_kafka.produce(route, b"{broken", large, b"{broken too", event(1)[1], partition=0)
    until(lambda: apache_kafka.end_offsets(worker.dead)[0] == 3, RECOVERY_S, "3 dead letters")
    until(lambda: apache_kafka.end_offsets(worker.labels)[0] == 1, RECOVERY_S, "the label after them")
    assert [record.value for record in apache_kafka.records(worker.dead)] == [
        b"{broken",
        large,
        b"{broken too",
    ]


def test_transaction_markers_cause_neither_lag_nor_a_stall(
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
    until(lambda: apache_kafka.end_offsets(route)[0] == 42, RECOVERY_S, "a marker after each transaction")
    until(
        lambda: worker.metric("labelstream_events_total", outcome="labelled") == 20, RECOVERY_S, "20 labels"
    )
    until(lambda: worker.metric("labelstream_consumer_lag", partition="0") == 0, RECOVERY_S, "no lag")
    moved_at = worker.metric("labelstream_last_progress_timestamp_seconds")
    until(
        lambda: worker.metric("labelstream_last_progress_timestamp_seconds") > moved_at,
        RECOVERY_S,
        "progress of an idle worker",
    )
    assert worker.stop() == 0
    counts = label_ids(apache_kafka.records(worker.labels))
    assert set(counts) == {event(number, "commit_transaction")[0] for number in range(20)}
