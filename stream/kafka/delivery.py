"""The seam between what batches led to and the broker: publish it and acknowledge them, or neither."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from stream.kafka.batches import RecordBatch
from stream.kafka.publisher import Publisher
from stream.records import Outgoing


class Finished(NamedTuple):
    """A batch, and the records that it led to, by topic in offset order."""

    batch: RecordBatch
    records: Mapping[str, Sequence[Outgoing]]


class Delivery(Protocol):
    """A guarantee. Batches of one partition come in offset order, one group at a time."""

    async def deliver(self, group: Sequence[Finished]) -> Sequence[bool]:
        """Write what neighbouring batches of one partition led to, and let their offsets be committed.

        Returns:
            For each batch, False when it was released: its partition's next owner reads it again.

        Raises:
            Fatal: the broker did not confirm; nothing of the group may be committed.
        """


class AtLeastOnce:
    """Every record is confirmed by the broker before its source's offset may be committed."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def deliver(self, group: Sequence[Finished]) -> Sequence[bool]:
        """See `Delivery`."""
        live = [finished for finished in group if not finished.batch.released]
        if live:
            first = live[0].batch
            await self._publisher.publish(first.topic, first.partition, _together(live))
        return [not f.batch.released and f.batch.acknowledge() for f in group]


def _together(group: Sequence[Finished]) -> Mapping[str, Sequence[Outgoing]]:
    if len(group) == 1:
        return group[0].records
    together: dict[str, list[Outgoing]] = {}
    for finished in group:
        for topic, records in finished.records.items():
            together.setdefault(topic, []).extend(records)
    return together
