"""Delivery guarantees: publish the output of record batches and acknowledge the batches, or do neither."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from stream.kafka.batches import RecordBatch
from stream.kafka.publisher import Publisher
from stream.records import Outgoing


class FinishedBatch(NamedTuple):
    """A classified batch and its output records, by topic in offset order."""

    batch: RecordBatch
    records: Mapping[str, Sequence[Outgoing]]


class Delivery(Protocol):
    """A delivery guarantee. It receives the batches of a partition in offset order, one group at a time."""

    async def deliver(self, group: Sequence[FinishedBatch]) -> Sequence[bool]:
        """Publish the output of consecutive batches of one partition and acknowledge the batches.

        Returns:
            For each batch, False if it was released: the next owner of its partition reads it again.

        Raises:
            Fatal: the broker did not confirm the records; no offset of the group may be committed.
        """


class AtLeastOnce:
    """At-least-once delivery: the broker confirms the output of a batch before its offsets are committed."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def deliver(self, group: Sequence[FinishedBatch]) -> Sequence[bool]:
        """See `Delivery`."""
        live = [finished for finished in group if not finished.batch.released]
        if live:
            first = live[0].batch
            await self._publisher.publish(first.topic, first.partition, _merged(live))
        return [not f.batch.released and f.batch.acknowledge() for f in group]


def _merged(group: Sequence[FinishedBatch]) -> Mapping[str, Sequence[Outgoing]]:
    if len(group) == 1:
        return group[0].records
    merged: dict[str, list[Outgoing]] = {}
    for finished in group:
        for topic, records in finished.records.items():
            merged.setdefault(topic, []).extend(records)
    return merged
