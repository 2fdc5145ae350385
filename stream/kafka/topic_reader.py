"""A consumer for commands and clients, which reads records with any bytes in their headers."""

from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.codec import Record
from stream.kafka.connection import client_options
from stream.kafka.faust.unpack import FetchBuffer, keep_fetched_bytes, read_with_codec
from stream.settings import Settings


class TopicReader:
    """Reads the committed records of topics; the codec unpacks them.

    Attributes:
        consumer: the consumer of aiokafka.
    """

    def __init__(self, settings: Settings, *topics: str, **options: Any) -> None:
        """
        Args:
            settings: the address of the broker and the credentials.
            topics: the topics; none for a consumer that is subscribed later.
            options: further options of `AIOKafkaConsumer`.
        """
        self.consumer = AIOKafkaConsumer(
            *topics, **client_options(settings), isolation_level="read_committed", **options
        )
        self._buffer = FetchBuffer(lambda _tp: True)

    async def start(self) -> None:
        """Connect.

        Raises:
            KafkaError: the broker does not answer, or refuses the consumer.
            OSError: the broker cannot be reached.
        """
        keep_fetched_bytes()
        await self.consumer.start()
        self._buffer = read_with_codec(self.consumer)

    async def resolve_positions(self) -> None:
        """Resolve the start position of each partition, so that no record that is sent later is missed."""
        for partition in self.consumer.assignment():
            await self.consumer.position(partition)

    async def stop(self) -> None:
        """Disconnect."""
        await self.consumer.stop()

    async def poll(
        self, timeout_ms: int, max_records: int | None = None
    ) -> Mapping[TopicPartition, Sequence[Record]]:
        """Return the next records by partition; none if none arrive in time.

        Args:
            timeout_ms: the longest wait, in milliseconds.
            max_records: the maximum number of records.

        Raises:
            UnreadableBatchError: a batch cannot be read; an earlier call has returned the records before it.
            KafkaError: the broker refuses the consumer.
        """
        # Records that were read beside an unreadable batch are returned first, or they would be lost.
        for error in self._buffer.unreadable.values():
            raise error
        self._buffer.begin_poll()
        found: Mapping[TopicPartition, Sequence[Record]] = await self.consumer.getmany(
            timeout_ms=timeout_ms, max_records=max_records
        )
        if not found:
            for error in self._buffer.unreadable.values():
                raise error
        return found
