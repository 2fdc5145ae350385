"""The broker's response to a produce request: errors with their details, and sequence numbers after them."""

from typing import Any

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    DuplicateSequenceNumber,
    InvalidProducerEpoch,
    NoError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.producer import sender
from aiokafka.producer.sender import SendProduceReqHandler
from aiokafka.protocol.produce import ProduceRequest_v8
from aiokafka.structs import TopicPartition

from stream.kafka.faust.packed_batch import PackedBatch

LAST_SEQUENCE = 2**31 - 1
# aiokafka itself treats the first two as a success, and turns the last one into `ProducerFenced`.
LEFT_TO_AIOKAFKA = (NoError, DuplicateSequenceNumber, InvalidProducerEpoch)
# aiokafka's own errors say which permission is missing.
DENIED = (TopicAuthorizationFailedError, ClusterAuthorizationFailedError)


class ProduceError(Exception):
    """An error that the broker reports for a wire batch.

    Args:
        code: the error code of Kafka's protocol.
        detail: the broker's message, in one line; empty if it sends none.
    """

    def __init__(self, code: int, detail: str = "") -> None:
        super().__init__(f"error code {code}: {detail}" if detail else f"error code {code}")
        self.code = code
        self.detail = detail

    @property
    def retriable(self) -> bool:
        """True if the producer sends the batch again."""
        return bool(for_code(self.code).retriable)


class ProduceResponseHandler(SendProduceReqHandler):  # type: ignore[misc]
    """Handles a produce response, and keeps a producer usable after a refused batch.

    aiokafka advances the sequence number of a partition when it sends a batch. A broker that refuses the
    batch does not advance its own, and would refuse every later batch. The handler therefore sets the number
    back before the next batch of the partition is sent.
    """

    _batches: dict[TopicPartition, Any]

    def create_request(self) -> Any:
        """Return a request whose response contains the broker's messages, if the broker supports it."""
        request = super().create_request()
        request._CLASSES = (*request._CLASSES, ProduceRequest_v8)
        return request

    def handle_response(self, response: Any) -> None:
        """Fail the refused batches with a `ProduceError`, and leave the others to aiokafka."""
        batches = dict(self._batches)
        for topic, partitions in response.topics:
            for partition, code, *fields in partitions:
                at = TopicPartition(topic, partition)
                batch = batches.get(at)
                if batch is None or for_code(code) in LEFT_TO_AIOKAFKA:
                    continue
                error = ProduceError(code, _detail(fields))
                if isinstance(batch._builder, PackedBatch):
                    batch._builder.last_error = error
                    if not error.retriable:
                        self._sender._txn_manager._sequence_numbers[at] = batch._builder.base_sequence
                        if for_code(code) not in DENIED:
                            batch.failure(exception=error)
                            del batches[at]
        # aiokafka's sender holds the same dict and iterates over it afterwards.
        self._batches = batches
        super().handle_response(response)


def _detail(fields: list[Any]) -> str:
    """Return the broker's message from the fields after the error code: that of a record, or of the batch."""
    if len(fields) < 5:
        return ""
    record_errors, batch_message = fields[3], fields[4]
    messages = [message for _, message in record_errors or () if message]
    return " ".join((messages[0] if messages else batch_message or "").split())


def handle_produce_responses() -> None:
    """Make aiokafka's producers in this process handle responses with `ProduceResponseHandler`."""
    sender.SendProduceReqHandler = ProduceResponseHandler


def wrap_sequence_numbers(transactions: Any) -> None:
    """Make a producer continue with 0 after the last sequence number, as Kafka does.

    aiokafka continues with a negative number, which the broker refuses: after 2^31 records of a partition.
    """

    def increment(at: TopicPartition, count: int) -> None:
        numbers = transactions._sequence_numbers
        numbers[at] = (numbers[at] + count) & LAST_SEQUENCE

    transactions.increment_sequence_number = increment
