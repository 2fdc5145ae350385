"""Consumption of a label topic in a consumer group."""

from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from typing import Any, Self

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from stream.client.duplicates import DuplicateDetector
from stream.client.label_events import Consumed, LabelEvent, read_label_event
from stream.codec import Record
from stream.errors import BrokerError, UnreadableBatchError
from stream.kafka.connection import connection_error, error_cause
from stream.kafka.faust.rebalance_listener import BeforeRevoke
from stream.kafka.topic_reader import TopicReader
from stream.kafka.topics.wait import find_topics
from stream.settings import load_settings

COMMIT_S = 1.0
POLL_MS = 500


class LabelConsumer:
    """An iterator over the label events of topics.

        async with LabelConsumer("labels", group="billing", broker="kafka:9092") as labels:
            async for event in labels:
                ...

    An event is committed after the next one was requested, so an event that the caller has not finished is
    read again after a crash. `LabelEvent.duplicate` marks events that the worker has published twice, as far
    as this consumer has read the first one since its start.
    """

    def __init__(
        self,
        *topics: str,
        group: str,
        from_beginning: bool = True,
        label_field: str = "",
        clock: Callable[[], float] = monotonic,
        **settings: Any,
    ) -> None:
        """
        Args:
            topics: the label topics; several for a route with a topic per label.
            group: the consumer group.
            from_beginning: True to start at the oldest record if the group has no committed offsets.
            label_field: the member with the label event, for a route with `output = enrich`.
            clock: returns seconds, for the time between commits.
            settings: broker, and the settings of the connection, by name. Those that are left out come from
                the environment.

        Raises:
            UsageError: a setting is invalid.
        """
        self._settings = load_settings(settings)
        self._topics = topics or (self._settings.effective_routes[0].output_topic,)
        self._group = group
        self._from_beginning = from_beginning
        self._label_field = label_field
        self._clock = clock
        self._duplicates = DuplicateDetector()
        self._done: dict[TopicPartition, int] = {}
        self._current: tuple[TopicPartition, int] | None = None
        self._committed_at = 0.0

    async def start(self) -> None:
        """Join the group.

        Raises:
            BrokerError: the broker does not answer, or a topic does not exist.
        """
        await find_topics(self._settings, self._topics)
        self._reader = TopicReader(
            self._settings,
            group_id=self._group,
            client_id="labelstream-consumer",
            enable_auto_commit=False,
            auto_offset_reset="earliest" if self._from_beginning else "latest",
        )
        self._consumer = self._reader.consumer
        self._consumer.subscribe(list(self._topics), listener=BeforeRevoke(self._before_revoke))
        try:
            await self._reader.start()
        except (KafkaError, OSError) as exc:
            await self._reader.stop()
            raise connection_error(self._settings, exc) from exc
        self._committed_at = self._clock()

    async def close(self) -> None:
        """Commit the events that are finished, and leave the group.

        The event that was returned last counts as unfinished.
        """
        try:
            await self.commit()
        finally:
            await self._reader.stop()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Consumed:
        """Return the next label event, tombstone or unreadable record; it waits for one.

        Raises:
            BrokerError: the broker refuses the consumer, or a batch of records cannot be read.
        """
        if self._current is not None:
            partition, offset = self._current
            self._current = None
            self._done[partition] = offset + 1
        if self._clock() - self._committed_at >= COMMIT_S:
            await self.commit()
        partition, record = await self._next_record()
        self._current = partition, record.offset
        found = read_label_event(record, partition, self._label_field)
        if isinstance(found, LabelEvent) and self._duplicates.is_duplicate(*found.source):
            return replace(found, duplicate=True)
        return found

    async def _next_record(self) -> tuple[TopicPartition, Record]:
        """Wait for a record. It alone leaves the buffer, which a revocation of its partition clears."""
        while True:
            try:
                polled = await self._reader.poll(POLL_MS, max_records=1)
            except UnreadableBatchError as exc:
                fix = "move the group past these offsets: kafka-consumer-groups --reset-offsets"
                raise BrokerError(exc.message, cause=exc.cause, fix=fix) from None
            except KafkaError as exc:
                raise self._error(exc) from exc
            for partition, records in polled.items():
                for record in records:
                    return partition, record

    async def commit(self) -> None:
        """Commit the events that are finished.

        Raises:
            BrokerError: the broker does not take the commit.
        """
        self._committed_at = self._clock()
        assigned = self._consumer.assignment()
        offsets = {partition: offset for partition, offset in self._done.items() if partition in assigned}
        self._done.clear()
        if not offsets:
            return
        try:
            await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError):
            # The partitions were given to another consumer, which reads these events again.
            return
        except KafkaError as exc:
            raise self._error(exc) from exc

    async def _before_revoke(self) -> None:
        """Commit, and forget the event in work: the next owner of its partition reads it again."""
        await self.commit()
        self._current = None

    def _error(self, exc: KafkaError) -> BrokerError:
        return BrokerError(
            f"{', '.join(self._topics)} cannot be consumed in the group {self._group}",
            cause=error_cause(exc),
            fix="check the broker, the topics and the permissions: labelstream doctor",
        )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
