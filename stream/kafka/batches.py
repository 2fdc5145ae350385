"""Record batches: the records of one partition that an agent receives together."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Protocol

from stream.kafka.ranges import OffsetRange
from stream.records import Record, Source


class Owner(Protocol):
    """The consumer that hands out a batch and receives its acknowledgement."""

    def take(self, batch: "RecordBatch") -> bool: ...
    def acknowledge(self, batch: "RecordBatch") -> bool: ...
    def is_released(self, batch: "RecordBatch") -> bool: ...


class RecordBatch:
    """Records of one partition in offset order, and the offset range that they cover."""

    __slots__ = ("__weakref__", "_owner", "delivered_at", "epoch", "records", "size_bytes", "source", "span")

    def __init__(
        self,
        source: Source,
        records: Sequence[Record],
        span: OffsetRange,
        epoch: int,
        owner: Owner,
        delivered_at: float,
    ) -> None:
        """
        Args:
            source: the topic and partition of the records.
            records: the records in offset order, at least one.
            span: the offsets that the batch covers; compaction and control records leave gaps.
            epoch: the number of the assignment in which the records were read.
            owner: the consumer that receives the acknowledgement.
            delivered_at: the time of delivery, monotonic seconds.
        """
        self.source = source
        self.records = records
        self.span = span
        self.epoch = epoch
        self.delivered_at = delivered_at
        self.size_bytes = size_bytes(records)
        self._owner = owner

    def __len__(self) -> int:
        return len(self.records)

    @property
    def topic(self) -> str:
        return self.source.topic

    @property
    def partition(self) -> int:
        return self.source.partition

    @property
    def released(self) -> bool:
        """Whether the partition has been revoked since; its next owner reads these records again."""
        return self._owner.is_released(self)

    def take(self) -> bool:
        """Begin work on the batch; return False if it was released, or flow was stopped, while it waited."""
        return self._owner.take(self)

    def acknowledge(self) -> bool:
        """Report that the broker has confirmed all output of the batch, so that its offsets may be committed.

        Returns:
            False if the batch has been released; then nothing is committed for it.
        """
        return self._owner.acknowledge(self)


def size_bytes(records: Sequence[Record]) -> int:
    """Return the bytes of all keys and values."""
    return sum([len(record.value or b"") + len(record.key or b"") for record in records])


async def live_batches(stream: Any, room: Callable[[], Awaitable[None]]) -> AsyncIterator[RecordBatch]:
    """Yield the batches of a Faust stream that are not released, each when there is room for it.

    A batch that waits for room is not in flight, so a revoked partition need not wait for it. Faust
    acknowledges an event in a `finally` of its stream, even when the agent raises. This function switches
    that off: only `RecordBatch.acknowledge` acknowledges a batch.
    """
    stream.enable_acks = False
    async for batch in stream:
        await room()
        if batch.take():
            yield batch
