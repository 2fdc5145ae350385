"""What an agent receives: the records of one partition that were read together."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Protocol

from stream.codec import codec
from stream.kafka.ranges import OffsetRange
from stream.records import Record, Source


class Owner(Protocol):
    """Who handed a batch out and wants it back."""

    def take(self, batch: "RecordBatch") -> bool: ...
    def acknowledge(self, batch: "RecordBatch") -> bool: ...
    def is_released(self, batch: "RecordBatch") -> bool: ...


class RecordBatch:
    """Records of one partition in offset order, and the offset range they stand for."""

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
            source: where the records were read.
            records: in offset order, at least one.
            span: the offsets they stand for.
            epoch: the assignment that they were read in.
            owner: takes the acknowledgement.
            delivered_at: monotonic seconds.
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
        """Whether the partition was given back meanwhile: its next owner reads these records again."""
        return self._owner.is_released(self)

    def take(self) -> bool:
        """Begin work on the batch; False when it was released, or flow was stopped, while it waited."""
        return self._owner.take(self)

    def acknowledge(self) -> bool:
        """Say that everything the batch led to is confirmed by the broker, so that it may be committed.

        Returns:
            False when the batch was released meanwhile; then nothing is committed for it.
        """
        return self._owner.acknowledge(self)


def size_bytes(records: Sequence[Any]) -> int:
    """Bytes of all keys and values."""
    if codec is not None and type(records[0]) is codec.Record:
        return codec.size_bytes([*records])
    return sum([len(r.value or b"") + len(r.key or b"") for r in records])


async def live_batches(stream: Any, room: Callable[[], Awaitable[None]]) -> AsyncIterator[RecordBatch]:
    """The batches of a Faust stream that are still ours to work on, each when there is room for it.

    What waits for room is not in flight yet, so nobody waits for it when a partition is taken away. Faust
    acknowledges an event in a `finally` of its stream, also when the agent raised; that is switched off here,
    a batch is acknowledged by `RecordBatch.acknowledge` alone.
    """
    stream.enable_acks = False
    async for batch in stream:
        await room()
        if batch.take():
            yield batch
