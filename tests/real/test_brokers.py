"""Tests of the test client and the broker fixtures, on each broker."""

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.real import jars
from tests.real.api_versions import release, supported_features
from tests.real.components import unavailable, unique
from tests.real.embedded import EmbeddedBroker
from tests.real.kafka import ApacheKafka

Broker = EmbeddedBroker | ApacheKafka


def test_a_record_round_trips(broker: Broker) -> None:
    topic = broker.create_topic(unique("echo"))
    headers = [("a", b"1"), ("a", None), ("b", "ü".encode())]
    positions = broker.produce(
        topic, b"\xffone", key=b"k", headers=headers, partition=2, timestamp=1_700_000_000_123
    )
    positions += broker.produce(topic, None, b"two", partition=3)
    assert positions == [(2, 0), (3, 0), (3, 1)]
    first, tombstone, last = broker.records(topic)
    assert (first.partition, first.offset, first.key, first.value) == (2, 0, b"k", b"\xffone")
    assert first.headers == tuple(headers)
    assert first.timestamp == 1_700_000_000_123
    assert (tombstone.value, tombstone.key, last.value) == (None, None, b"two")


def test_end_and_committed_offsets_come_from_the_broker(broker: Broker) -> None:
    topic, group = broker.create_topic(unique("offsets")), unique("group")
    assert broker.end_offsets(topic) == {0: 0, 1: 0, 2: 0, 3: 0}
    assert broker.records(topic) == []
    broker.produce(topic, b"1", b"2", b"3", partition=1)
    assert broker.end_offsets(topic) == {0: 0, 1: 3, 2: 0, 3: 0}
    assert broker.committed(group, topic) == {}
    consumer = Consumer({"bootstrap.servers": broker.address, "group.id": group, "log_level": 0})
    consumer.commit(offsets=[TopicPartition(topic, 1, 2), TopicPartition(topic, 3, 0)], asynchronous=False)
    consumer.close()
    assert broker.committed(group, topic) == {1: 2, 3: 0}


def test_many_records_are_read_to_the_end(broker: Broker) -> None:
    topic = broker.create_topic(unique("many"))
    positions = broker.produce(topic, *(b"%d" % number for number in range(20_000)))
    assert len(set(positions)) == 20_000
    assert {int(record.value or b"") for record in broker.records(topic)} == set(range(20_000))


def test_a_paused_broker_answers_after_resume(broker: Broker) -> None:
    topic = broker.create_topic(unique("paused"))
    broker.pause()
    producer = Producer({"bootstrap.servers": broker.address, "log_level": 0})
    producer.produce(topic, b"waits")
    assert producer.flush(0.3) == 1
    broker.resume()
    assert producer.flush(30) == 0
    assert [record.value for record in broker.records(topic)] == [b"waits"]


def test_a_killed_broker_is_revived_for_the_next_test(broker: Broker) -> None:
    broker.kill()
    assert not broker.alive
    broker.revive()
    assert broker.alive
    broker.create_topic(unique("revived"))


# --- Apache Kafka


def test_the_release_is_apache_kafka_4_3(apache_kafka: ApacheKafka) -> None:
    if not apache_kafka.owned:
        unavailable("an existing broker may have any version")
    assert apache_kafka.version == jars.kafka_version() == "4.3.0"
    assert release(apache_kafka.address) == "4.3"


def test_the_embedded_broker_is_not_mistaken_for_apache_kafka(embedded_broker: EmbeddedBroker) -> None:
    assert supported_features(embedded_broker.address) == {}
    with pytest.raises(ValueError, match="4 partitions"):
        embedded_broker.create_topic(unique("wide"), 12)


def test_topics_have_the_requested_partitions_and_settings(apache_kafka: ApacheKafka) -> None:
    topic = apache_kafka.create_topic(unique("wide"), 7, cleanup_policy="compact")
    assert apache_kafka.partitions(topic) == list(range(7))
    assert len(apache_kafka.end_offsets(topic)) == 7


def test_aborted_transactions_are_not_read(apache_kafka: ApacheKafka) -> None:
    topic = apache_kafka.create_topic(unique("transactions"), 1)
    settings = {
        "bootstrap.servers": apache_kafka.address,
        "transactional.id": unique("writer"),
        "log_level": 0,
    }
    producer = Producer(settings)
    producer.init_transactions(30)
    for value, end in ((b"kept", producer.commit_transaction), (b"dropped", producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush(30)
        end(30)
    assert [record.value for record in apache_kafka.records(topic)] == [b"kept"]
    assert apache_kafka.end_offsets(topic) == {0: 4}


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_records_and_commits_survive_a_restart(apache_kafka: ApacheKafka, end: str) -> None:
    topic, group, address = apache_kafka.create_topic(unique(end), 1), unique("group"), apache_kafka.address
    apache_kafka.produce(topic, b"1", b"2")
    consumer = Consumer({"bootstrap.servers": address, "group.id": group, "log_level": 0})
    consumer.commit(offsets=[TopicPartition(topic, 0, 1)], asynchronous=False)
    consumer.close()
    getattr(apache_kafka, end)()
    assert not apache_kafka.alive
    apache_kafka.start()
    assert apache_kafka.address == address
    assert [record.value for record in apache_kafka.records(topic)] == [b"1", b"2"]
    assert apache_kafka.committed(group, topic) == {0: 1}
