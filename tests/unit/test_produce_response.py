"""A refused batch keeps the broker's message, and gives its sequence numbers back."""

from typing import Any

import pytest
from aiokafka.errors import ClusterAuthorizationFailedError, ProducerFenced, TopicAuthorizationFailedError
from aiokafka.producer.message_accumulator import MessageAccumulator, MessageBatch
from aiokafka.producer.sender import Sender
from aiokafka.producer.transaction_manager import TransactionManager
from aiokafka.protocol.produce import ProduceResponse_v7, ProduceResponse_v8
from aiokafka.structs import TopicPartition

from stream.codec import load_codec
from stream.kafka.faust.packed_batch import PackedBatch
from stream.kafka.faust.produce_response import ProduceError, ProduceResponseHandler, wrap_sequence_numbers
from stream.records import pack_record

AT, OTHER = TopicPartition("labels", 3), TopicPartition("labels", 4)


class Cluster:
    """A cluster with one node."""

    def leader_for_partition(self, _at: TopicPartition) -> int:
        return 1


class Client:
    """A client without connections."""

    cluster = Cluster()

    def force_metadata_update(self) -> None:
        """Do nothing."""


class Producer:
    """The parts of aiokafka's producer that send batches, with a broker whose responses the test gives."""

    def __init__(self) -> None:
        self.transactions: Any = TransactionManager(None, 1_000)
        self.transactions.set_pid_and_epoch(7, 0)
        wrap_sequence_numbers(self.transactions)
        self.accumulator: Any = MessageAccumulator(Cluster(), 2**19, 0, 30, txn_manager=self.transactions)
        self.sender: Any = Sender(
            Client(),
            acks=-1,
            txn_manager=self.transactions,
            message_accumulator=self.accumulator,
            retry_backoff_ms=100,
            request_timeout_ms=1_000,
        )

    def send(self, at: TopicPartition, count: int) -> tuple[MessageBatch, int]:
        """Send a batch of so many records, and return it with its first sequence number."""
        batch = PackedBatch(load_codec(), 2**19, 0)
        batch.fill([pack_record(b"k", b"v", [], 1)] * count, 0)
        queued = self.accumulator._append_batch(batch, at)
        self.accumulator.drain_by_nodes(ignore_nodes=())
        return queued, batch.base_sequence

    def respond(self, batches: list[MessageBatch], *answers: tuple[Any, ...]) -> ProduceResponseHandler:
        handler = ProduceResponseHandler(self.sender, {batch.tp: batch for batch in batches})
        version = ProduceResponse_v8 if len(answers[0]) == 7 else ProduceResponse_v7
        handler.handle_response(version(topics=[("labels", list(answers))], throttle_time_ms=0))
        return handler


def answer(at: TopicPartition, code: int, message: str | None = None, *records: str) -> tuple[Any, ...]:
    return (at.partition, code, 0, -1, 0, [(n, text) for n, text in enumerate(records)], message)


@pytest.mark.parametrize("code", [2, 10, 18, 32, 87, 99])
async def test_the_next_batch_has_the_sequence_number_of_the_refused_one(code: int) -> None:
    producer = Producer()
    first, _ = producer.send(AT, 5)
    producer.respond([first], answer(AT, 0))
    refused, refused_at = producer.send(AT, 3)
    other, _ = producer.send(OTHER, 2)
    producer.respond([refused, other], answer(AT, code, "no"), answer(OTHER, 0))
    _, next_at = producer.send(AT, 1)
    _, other_at = producer.send(OTHER, 1)
    assert refused_at == next_at == 5
    assert other_at == 2
    error = refused.future.exception()
    assert isinstance(error, ProduceError)
    assert (error.code, error.detail) == (code, "no")
    assert other.future.done()


async def test_a_retried_batch_keeps_its_sequence_number_and_the_broker_s_message() -> None:
    producer = Producer()
    batch, at = producer.send(AT, 3)
    handler = producer.respond([batch], answer(AT, 19, "no replicas"))
    assert not batch.future.done()
    assert handler._to_reenqueue == [batch]
    error = batch._builder.last_error
    assert isinstance(error, ProduceError)
    assert (error.code, error.detail, error.retriable) == (19, "no replicas", True)
    producer.accumulator.reenqueue(batch)
    producer.accumulator.drain_by_nodes(ignore_nodes=())
    assert batch._builder.base_sequence == at
    assert producer.send(AT, 1)[1] == 3


async def test_the_message_of_a_record_is_preferred_to_that_of_the_batch() -> None:
    producer = Producer()
    batch, _ = producer.send(AT, 3)
    producer.respond([batch], answer(AT, 87, "One or more records", "Compacted topic\n cannot accept"))
    error = batch.future.exception()
    assert isinstance(error, ProduceError)
    assert error.detail == "Compacted topic cannot accept"


async def test_a_response_of_an_older_version_has_no_message() -> None:
    producer = Producer()
    batch, _ = producer.send(AT, 3)
    producer.respond([batch], (AT.partition, 10, 0, -1, 0))
    error = batch.future.exception()
    assert isinstance(error, ProduceError)
    assert (error.code, error.detail) == (10, "")


@pytest.mark.parametrize(
    ("code", "raised"), [(29, TopicAuthorizationFailedError), (31, ClusterAuthorizationFailedError)]
)
async def test_a_missing_permission_is_an_error_of_aiokafka(code: int, raised: type[Exception]) -> None:
    producer = Producer()
    refused, refused_at = producer.send(AT, 3)
    producer.respond([refused], answer(AT, code))
    assert isinstance(refused.future.exception(), raised)
    assert producer.send(AT, 1)[1] == refused_at


async def test_duplicates_and_fencing_are_left_to_aiokafka() -> None:
    producer = Producer()
    duplicate, _ = producer.send(AT, 3)
    producer.respond([duplicate], answer(AT, 46))
    assert duplicate.future.exception() is None
    fenced, _ = producer.send(AT, 1)
    producer.respond([fenced], answer(AT, 47))
    assert isinstance(fenced.future.exception(), ProducerFenced)


async def test_sequence_numbers_continue_with_0_after_the_last() -> None:
    producer = Producer()
    producer.transactions._sequence_numbers[AT] = 2**31 - 2
    assert producer.send(AT, 5)[1] == 2**31 - 2
    assert producer.send(OTHER, 1)[1] == 0
    batch, at = producer.send(AT, 1), 3
    assert batch[1] == at
