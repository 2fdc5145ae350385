"""The seam between what a batch led to and the broker: publish it and acknowledge it, or neither."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from stream.kafka.batches import RecordBatch
from stream.kafka.publisher import Outgoing, Publisher


class Delivery(Protocol):
    """A guarantee. Batches of one partition come in offset order, one at a time."""

    async def deliver(self, batch: RecordBatch, records: Mapping[str, Sequence[Outgoing]]) -> bool:
        """Write what a batch led to, by topic in offset order, and let its offsets be committed.

        Returns:
            False when the batch was released: its partition's next owner reads it again.

        Raises:
            Fatal: the broker did not confirm; nothing of the batch may be committed.
        """


class AtLeastOnce:
    """Every record is confirmed by the broker before its source's offset may be committed."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def deliver(self, batch: RecordBatch, records: Mapping[str, Sequence[Outgoing]]) -> bool:
        """See `Delivery`."""
        if batch.released:
            return False
        await self._publisher.publish(batch.topic, batch.partition, records)
        return batch.acknowledge()
