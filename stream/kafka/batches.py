"""Record batches: the records of one partition that an agent receives together."""

from collections.abc import Sequence
from typing import Protocol

from stream.codec import load_codec
from stream.kafka.ranges import OffsetRange
from stream.records import Record, Source


class Owner(Protocol):
    """The consumer that hands out a batch and receives its acknowledgement."""

    def take(self, batch: "RecordBatch") -> bool: ...
    def acknowledge(self, batch: "RecordBatch") -> bool: ...
    def is_released(self, batch: "RecordBatch") -> bool: ...


class RecordBatch:
    """Records of one partition in offset order, and the offset range that they cover."""

    __slots__ = (
        "__weakref__",
        "_owner",
        "delivered_at",
        "epoch",
        "offset_range",
        "records",
        "size_bytes",
        "source",
    )

    def __init__(
        self,
        source: Source,
        records: Sequence[Record],
        offset_range: OffsetRange,
        epoch: int,
        owner: Owner,
        delivered_at: float,
    ) -> None:
        """
        Args:
            source: the topic and the partition of the records.
            records: the records in offset order, at least one.
            offset_range: the offsets that the records cover.
            epoch: the epoch of the owner in which the records were read.
            owner: the consumer that read the records.
            delivered_at: the time at which the batch was queued for its agent, in monotonic seconds.
        """
        self.source = source
        self.records = records
        self.offset_range = offset_range
        self.epoch = epoch
        self.delivered_at = delivered_at
        self.size_bytes = load_codec().size_bytes(records)
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
        """True if the partition was revoked after the read; its next owner reads the records again."""
        return self._owner.is_released(self)

    def take(self) -> bool:
        """Begin work on the batch; return False if it was released, or the flow stopped, while it waited."""
        return self._owner.take(self)

    def acknowledge(self) -> bool:
        """Report that the broker has confirmed all output of the batch, so that its offsets may be committed.

        Returns:
            False if the batch has been released; then nothing is committed for it.
        """
        return self._owner.acknowledge(self)
