"""The offsets of the partitions that a batch consumer commits in transactions."""

from collections.abc import Sequence

from faust.types import TP

from stream.kafka.batches import RecordBatch
from stream.kafka.consumer import ConsumerObserver
from stream.kafka.faust.consumer import BatchConsumer
from stream.kafka.input_topics import commit_metadata
from stream.kafka.ranges import PartitionRanges


class ConsumerOffsets:
    """The offsets of a batch consumer that exactly-once delivery reads and commits."""

    def __init__(self, consumer: BatchConsumer, observer: ConsumerObserver) -> None:
        """
        Args:
            consumer: the consumer that reads the partitions.
            observer: the receiver of the consumer's events.
        """
        self._consumer = consumer
        self._observer = observer

    @property
    def draining(self) -> bool:
        """True while the consumer stops, or its partitions are revoked."""
        return not self._consumer.flow_active

    def are_next(self, batches: Sequence[RecordBatch]) -> bool:
        """Return True if these batches are the first unfinished ones of their partition, in this order."""
        ranges = self._ranges(batches[0])
        return ranges is not None and ranges.begin_with([batch.offset_range for batch in batches])

    def metadata(self, topic: str) -> str | None:
        """Return the metadata for an offset of a topic, None while the topic does not exist."""
        topics = self._consumer._thread.topics
        return commit_metadata(topics.topic_id(topic)) if topics.is_current(topic) else None

    def abandon(self, batches: Sequence[RecordBatch]) -> None:
        """Count batches as finished without an acknowledgement, so that a drain does not wait for them."""
        for batch in batches:
            if not batch.released:
                self._consumer.unfinished.finish(batch)

    def on_committed(self, batches: Sequence[RecordBatch], seconds: float) -> None:
        """Acknowledge batches whose transaction the broker has committed, after this many seconds."""
        last = batches[-1]
        tp, next_offset = TP(*last.source), last.offset_range.next_offset
        for batch in batches:
            batch.acknowledge()
        ranges = self._ranges(last)
        if ranges is not None:
            ranges.committed = next_offset
        self._observer.on_commit(True, seconds, {tp: next_offset})

    def _ranges(self, batch: RecordBatch) -> PartitionRanges | None:
        return None if batch.released else self._consumer.ranges.get(TP(*batch.source))
