"""The settings of the batch consumer and the events that it reports."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from aiokafka.structs import OffsetAndMetadata

from stream.quarantine import Quarantine
from stream.records import Source


@dataclass(frozen=True, slots=True)
class ConsumerConfig:
    """The start position and the limits of a batch consumer.

    Attributes:
        start_at: the start position of a group without committed offsets, `earliest` or `latest`.
        max_events: the number of read, unfinished events at which the consumer pauses its partitions.
        max_bytes: the bytes of their keys and values at which the consumer pauses its partitions.
        drain_s: the seconds that the batches in flight get to finish before a rebalance.
        max_decompressed_bytes: the maximum size of the decompressed records of one wire batch.
        quarantine: the offsets that become dead letters without being decoded.
        retry_s: the seconds that an input topic may be missing.
    """

    start_at: str = "earliest"
    max_events: int = 20_000
    max_bytes: int = 64 * 2**20
    drain_s: float = 10.0
    max_decompressed_bytes: int = 128 * 2**20
    quarantine: Quarantine = field(default_factory=Quarantine)
    retry_s: float = 120.0


class PartitionProgress(NamedTuple):
    """The progress of an assigned partition.

    Attributes:
        lag: the number of events from the safe to the last stable offset.
        safe_offset: the first unfinished offset.
        committed: the last offset that the broker confirmed, None before the first commit.
        unfinished: True if an agent has batches of the partition that are not finished.
    """

    lag: int
    safe_offset: int
    committed: int | None
    unfinished: bool


class PartitionProducers(Protocol):
    """The transactional producers of the partitions whose offsets are committed in transactions."""

    async def open(self, sources: Collection[Source]) -> None:
        """Open a producer for each partition, which fences the partition's earlier producers."""

    async def commit(self, offsets: Mapping[Source, OffsetAndMetadata]) -> None:
        """Commit offsets without records."""

    async def close(self) -> None:
        """Abort the open transactions, and close the producers."""


class ConsumerObserver(Protocol):
    """The receiver of a consumer's events, for metrics and logs."""

    def on_rebalance(self) -> None:
        """A rebalance starts."""

    def on_assigned(self, partitions: Iterable[tuple[str, int]]) -> None:
        """A rebalance assigned these partitions (topic, number)."""

    def on_taken(self, waited_s: float) -> None:
        """An agent took a batch that had waited in the queue for this many seconds."""

    def on_commit(self, succeeded: bool, seconds: float, offsets: Mapping[Any, int]) -> None:
        """The broker answered a commit of these offsets, or the commit failed, after this many seconds."""

    def on_offsets_skipped(self, topic: str, partition: int, offsets: int) -> None:
        """Retention removed this many offsets before the consumer read them."""

    def on_topic_recreated(self, topic: str, lost: Mapping[int, int]) -> None:
        """An input topic was deleted and created again; `lost` counts its unfinished events by partition."""

    def on_probe_retry(self) -> None:
        """The consumer probes the broker again after a probe that failed."""

    def on_publish_retry(self) -> None:
        """The producer sends a batch again."""
