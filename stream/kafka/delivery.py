"""Delivery guarantees: publish the output of record batches and acknowledge the batches, or do neither."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from stream.kafka.batches import RecordBatch
from stream.kafka.publisher import Publisher, Refused
from stream.observe.stages import StageTrace
from stream.records import Outgoing

Records = Mapping[str, Sequence[Outgoing]]
"""Output records, by topic in offset order."""

Reject = Callable[[Refused], Records]
"""Makes dead letters of refused output records, and returns all dead letters of a batch."""


class FinishedBatch(NamedTuple):
    """A classified batch and its output records.

    Attributes:
        batch: the batch.
        records: its output records.
        reject: called with the records that the output topics refuse as too large.
        trace: the trace of the batch, None if it is not traced.
    """

    batch: RecordBatch
    records: Records
    reject: Reject
    trace: StageTrace | None = None


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
            source = live[0].batch.source
            refused = await self._publisher.publish(*source, merge_records([f.records for f in live]))
            if refused:
                # The dead letters were not written yet, so that the new ones take their places among them.
                await self._publisher.publish(*source, merge_records(reject_refused(live, refused)))
        return [not f.batch.released and f.batch.acknowledge() for f in group]


def reject_refused(group: Sequence[FinishedBatch], refused: Refused) -> Sequence[Records]:
    """Reject the refused records of each batch, and return the dead letters of each batch."""
    dead_letters, starts = [], dict.fromkeys(refused, 0)
    for finished in group:
        of_batch: dict[str, Sequence[int]] = {}
        for topic, indices in refused.items():
            start = starts[topic]
            stop = starts[topic] = start + len(finished.records.get(topic, ()))
            if found := [at - start for at in indices if start <= at < stop]:
                of_batch[topic] = found
        dead_letters.append(finished.reject(of_batch))
    return dead_letters


def merge_records(outputs: Sequence[Records]) -> Records:
    """Return the records of several batches as one output, by topic in offset order."""
    if len(outputs) == 1:
        return outputs[0]
    merged: dict[str, list[Outgoing]] = {}
    for output in outputs:
        for topic, records in output.items():
            merged.setdefault(topic, []).extend(records)
    return merged
