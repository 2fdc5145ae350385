"""Input topics that are deleted, created again, extended, blocked by a transaction, or no longer readable."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewPartitions,
    ResourcePatternType,
    ResourceType,
)

from tests.odd_worker import Oddity
from tests.pipeline import StartWorker, event, make_route, start_worker, tiny_bundle
from tests.real.components import MissingComponentError, unavailable, unique
from tests.real.kafka import ApacheKafka
from tests.real.kafka_sources import Jars, Runner, find_kafka
from tests.real.reconcile import label_ids
from tests.real.wait import until
from tests.real.worker import WorkerProcess

__all__ = ["start_worker", "tiny_bundle"]

RECOVERY_S = 90.0


def produce(kafka: ApacheKafka, route: str, stem: str, count: int, partition: int = 0) -> set[str]:
    """Produce events to a partition, and return their ids."""
    events = [event(number, stem) for number in range(count)]
    kafka.produce(route, *(value for _, value in events), partition=partition)
    return {event_id for event_id, _ in events}


def await_committed(kafka: ApacheKafka, worker: WorkerProcess, offset: int, partition: int = 0) -> None:
    until(
        lambda: kafka.committed(worker.group, worker.route).get(partition) == offset,
        RECOVERY_S,
        f"the committed offset {offset}",
    )


def await_labels(kafka: ApacheKafka, worker: WorkerProcess, ids: set[str]) -> None:
    until(
        lambda: ids <= label_ids(kafka.records(worker.labels)).keys(), RECOVERY_S, f"labels of {len(ids)} ids"
    )


def recreate(kafka: ApacheKafka, route: str, partitions: int = 4) -> None:
    """Delete a topic and create it again under the same name."""
    kafka.delete_topics(route)
    kafka.create_topic(route, partitions)


@pytest.mark.parametrize("new", [50, 10], ids=["a longer log", "a shorter log"])
def test_a_topic_that_is_created_again_is_read_from_its_beginning(
    apache_kafka: ApacheKafka, start_worker: StartWorker, new: int
) -> None:
    route = make_route(apache_kafka, "recreated")
    worker = start_worker(apache_kafka, route)
    produce(apache_kafka, route, "old", 40)
    await_committed(apache_kafka, worker, 40)
    recreate(apache_kafka, route)
    ids = produce(apache_kafka, route, "new", new)
    await_labels(apache_kafka, worker, ids)
    await_committed(apache_kafka, worker, new)
    assert worker.metric("labelstream_topic_recreations_total", topic=route) == 1
    assert worker.metric("labelstream_offsets_skipped_total") == 0, (
        "every event of the old topic was finished"
    )
    assert "created again" in worker.log
    assert worker.health("/ready")[0] == 200
    assert worker.stop() == 0


def test_a_topic_that_is_created_again_between_two_answers_of_the_broker_is_read_from_its_beginning(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "unnoticed")
    worker = start_worker(apache_kafka, route)
    produce(apache_kafka, route, "old", 40)
    await_committed(apache_kafka, worker, 40)
    # The worker never sees that the topic is missing, and its position 40 lies inside the new log.
    worker.pause()
    recreate(apache_kafka, route)
    ids = produce(apache_kafka, route, "new", 50)
    worker.resume()
    await_labels(apache_kafka, worker, ids)
    await_committed(apache_kafka, worker, 50)
    assert worker.metric("labelstream_topic_recreations_total", topic=route) == 1


def committed_metadata(kafka: ApacheKafka, group: str, route: str) -> str:
    """Return the metadata of the committed offset of partition 0."""
    consumer = Consumer({"bootstrap.servers": kafka.address, "group.id": group})
    (found,) = consumer.committed([TopicPartition(route, 0)], timeout=30)
    consumer.close()
    return str(found.metadata or "")


def commit(kafka: ApacheKafka, group: str, at: TopicPartition) -> None:
    """Commit an offset without a member of the group."""
    consumer = Consumer({"bootstrap.servers": kafka.address, "group.id": group, "enable.auto.commit": False})
    consumer.commit(offsets=[at], asynchronous=False)
    consumer.close()


@pytest.mark.parametrize("has_id", [True, False])
def test_an_offset_of_the_deleted_topic_is_not_used_after_a_restart(
    apache_kafka: ApacheKafka, start_worker: StartWorker, has_id: bool
) -> None:
    route = make_route(apache_kafka, "restarted")
    first = start_worker(apache_kafka, route)
    produce(apache_kafka, route, "old", 40)
    await_committed(apache_kafka, first, 40)
    metadata = committed_metadata(apache_kafka, first.group, route)
    assert metadata.startswith("topic-id:")
    assert first.stop() == 0
    recreate(apache_kafka, route)
    ids = produce(apache_kafka, route, "new", 50)
    # A worker that commits after the topic was created again leaves such an offset.
    commit(apache_kafka, first.group, TopicPartition(route, 0, 40, metadata if has_id else ""))
    second = start_worker(apache_kafka, route)
    await_committed(apache_kafka, second, 50)
    labelled = label_ids(apache_kafka.records(second.labels)).keys() & ids
    assert len(labelled) == (50 if has_id else 10), "an offset without an id is valid"
    assert second.metric("labelstream_topic_recreations_total", topic=route) == (1 if has_id else 0)
    assert committed_metadata(apache_kafka, first.group, route) not in ("", metadata)


def test_a_deleted_input_topic_ends_the_worker_with_the_true_cause(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "deleted")
    worker = start_worker(apache_kafka, route, retry_deadline_s=12)
    produce(apache_kafka, route, "old", 40)
    await_committed(apache_kafka, worker, 40)
    apache_kafka.delete_topics(route)
    deleted_at = time.monotonic()
    until(lambda: worker.health("/ready")[0] == 503, RECOVERY_S, "the topic missing in /ready")
    until(lambda: not worker.health("/ready")[1]["topics"]["ok"], RECOVERY_S, "the topic named in /ready")
    assert worker.await_exit(RECOVERY_S) == 4
    assert time.monotonic() - deleted_at < 30
    assert f"error: the input topic {route} was deleted" in worker.log
    assert "cause: UnknownTopicOrPartitionError" in worker.log
    assert "fix: create it again" in worker.log
    assert "Traceback" not in worker.log


def test_a_deleted_topic_that_exists_again_within_the_deadline_is_read(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "returned")
    worker = start_worker(apache_kafka, route, retry_deadline_s=60)
    produce(apache_kafka, route, "old", 40)
    await_committed(apache_kafka, worker, 40)
    apache_kafka.delete_topics(route)
    until(lambda: worker.health("/ready")[0] == 503, RECOVERY_S, "the topic missing in /ready")
    apache_kafka.create_topic(route, 2)
    ids = produce(apache_kafka, route, "new", 50, partition=1)
    await_labels(apache_kafka, worker, ids)
    await_committed(apache_kafka, worker, 50, partition=1)
    until(lambda: worker.health("/ready")[0] == 200, RECOVERY_S, "a ready worker")
    assert worker.metric("labelstream_topic_recreations_total", topic=route) == 1


def test_a_topic_that_is_deleted_under_load_is_read_with_fewer_partitions_and_its_lost_events_count(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "shrunk")
    worker = start_worker(
        apache_kafka,
        route,
        # Slow enough that the topic is deleted before it is read to its end.
        program=Oddity(seconds_a_batch=0.05).program(),
        retry_deadline_s=30,
        metadata_max_age_s=1,
    )
    old: set[str] = set()
    for partition in range(4):
        old |= produce(apache_kafka, route, f"old-{partition}", 10_000, partition)
    until(lambda: worker.metric("labelstream_events_in_total") > 0, RECOVERY_S, "the first event")
    apache_kafka.delete_topics(route)
    until(lambda: worker.health("/ready")[0] == 503, RECOVERY_S, "the topic missing in /ready")
    apache_kafka.create_topic(route, 2)
    new = produce(apache_kafka, route, "new", 50, partition=1)
    await_labels(apache_kafka, worker, new)
    await_committed(apache_kafka, worker, 50, partition=1)
    labelled = label_ids(apache_kafka.records(worker.labels)).keys() & old
    started = worker.metric("labelstream_events_in_total") - len(new)
    lost = worker.metric("labelstream_offsets_skipped_total", topic=route)
    assert started - len(labelled) <= lost <= len(old)
    assert lost > 0
    assert worker.stop() == 0


@pytest.mark.parametrize("start_at", ["earliest", "latest"])
def test_partitions_that_are_added_are_read_from_their_beginning(
    apache_kafka: ApacheKafka, start_worker: StartWorker, start_at: str
) -> None:
    route = unique("grown")
    apache_kafka.create_topic(route, 2)
    for topic in (f"{route}.labels", f"{route}.dead"):
        apache_kafka.create_topic(topic, 4)
    worker = start_worker(apache_kafka, route, start_at=start_at, metadata_max_age_s=3)
    produce(apache_kafka, route, "old", 5)
    await_committed(apache_kafka, worker, 5)
    admin = AdminClient({"bootstrap.servers": apache_kafka.address})
    admin.create_partitions([NewPartitions(route, 4)])[route].result(30)
    until(lambda: len(apache_kafka.partitions(route)) == 4, RECOVERY_S, "four partitions")
    # The producer of the tests does not know the new partitions yet.
    apache_kafka.drop_connections()
    ids = produce(apache_kafka, route, "new", 20, partition=3)
    produced_at = time.monotonic()
    await_labels(apache_kafka, worker, ids)
    assert time.monotonic() - produced_at < 20
    await_committed(apache_kafka, worker, 20, partition=3)


def test_events_behind_an_open_transaction_are_counted(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "blocked")
    worker = start_worker(apache_kafka, route)
    producer = Producer({"bootstrap.servers": apache_kafka.address, "transactional.id": f"{route}-producer"})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(route, event(0, "open")[1], partition=0)
    producer.flush(30)
    ids = produce(apache_kafka, route, "after", 499)

    def blocked() -> float:
        return worker.metric("labelstream_consumer_blocked_events", topic=route, partition="0")

    until(lambda: blocked() == 500, RECOVERY_S, "500 blocked events")
    assert worker.metric("labelstream_consumer_lag") == 0
    assert not apache_kafka.records(worker.labels)
    producer.commit_transaction(30)
    await_labels(apache_kafka, worker, ids | {event(0, "open")[0]})
    until(lambda: blocked() == 0, RECOVERY_S, "no blocked events")


@dataclass(frozen=True)
class JarsWithAuthorizer:
    """Kafka's jars, with an authorizer that allows what no ACL forbids."""

    jars: Jars

    @property
    def origin(self) -> str:
        return f"{self.jars.origin}, with an authorizer"

    @property
    def version(self) -> str:
        return self.jars.version

    def runner(self, folder: Path, port: int, controller: int) -> Runner:
        runner = self.jars.runner(folder, port, controller)
        with (folder / "server.properties").open("a") as properties:
            properties.write(
                "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n"
                "allow.everyone.if.no.acl.found=true\n"
            )
        return runner


@pytest.fixture
def authorizing_kafka(apache_kafka: ApacheKafka) -> Iterator[ApacheKafka]:
    """A second Apache Kafka, with an authorizer. It needs `apache_kafka` only for the mark of the test."""
    try:
        source = find_kafka(lambda _: None)
    except MissingComponentError as error:
        unavailable(str(error))
    if not isinstance(source, Jars):
        unavailable(f"an authorizer is set only for jars, not for {source.origin}")
    kafka = ApacheKafka(source=JarsWithAuthorizer(source))  # type: ignore[arg-type]
    kafka.start()
    yield kafka
    kafka.close()


def acl(topic: str, user: str, operation: AclOperation, permission: AclPermissionType) -> AclBinding:
    return AclBinding(
        ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, f"User:{user}", "*", operation, permission
    )


REVOKED = {
    "read is denied": [
        ("ANONYMOUS", AclOperation.ALL, AclPermissionType.ALLOW),
        ("ANONYMOUS", AclOperation.READ, AclPermissionType.DENY),
    ],
    "another user is allowed": [("other", AclOperation.ALL, AclPermissionType.ALLOW)],
}


@pytest.mark.parametrize("acls", REVOKED.values(), ids=REVOKED)
def test_a_topic_that_may_no_longer_be_read_ends_the_worker_with_the_true_cause(
    authorizing_kafka: ApacheKafka,
    start_worker: StartWorker,
    acls: list[tuple[str, AclOperation, AclPermissionType]],
) -> None:
    route = make_route(authorizing_kafka, "revoked")
    worker = start_worker(authorizing_kafka, route, retry_deadline_s=20)
    produce(authorizing_kafka, route, "old", 40)
    await_committed(authorizing_kafka, worker, 40)
    admin = AdminClient({"bootstrap.servers": authorizing_kafka.address, "log_level": 0})
    for future in admin.create_acls([acl(route, *entry) for entry in acls]).values():
        future.result(30)
    revoked_at = time.monotonic()
    assert worker.await_exit(RECOVERY_S) == 4
    assert time.monotonic() - revoked_at < 40
    assert f"error: the broker refuses User:ANONYMOUS access to the topic {route}" in worker.log
    assert f"cause: TOPIC_AUTHORIZATION_FAILED: the user lacks READ on {route}" in worker.log
    assert "fix: grant it: kafka-acls.sh" in worker.log
    assert "Traceback" not in worker.log
