"""Topics whose agents receive record batches, and the stream of these batches."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol

import faust
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from stream.kafka.batches import RecordBatch


class ReadLimits(Protocol):
    """The limits on reading a topic. They may change while the consumer runs."""

    @property
    def record_batch_size(self) -> int:
        """The largest number of events in one record batch."""

    @property
    def read_ahead(self) -> int:
        """The number of events waiting for the agent at which the consumer stops reading the topic."""


class BatchTopic(faust.Topic):  # type: ignore[misc]
    """A topic whose agent receives `RecordBatch` objects instead of single events."""

    def __init__(self, *args: Any, limits: ReadLimits, transactional: bool = False, **kwargs: Any) -> None:
        """
        Args:
            args: the positional arguments of `faust.Topic`.
            limits: the limits on reading the topic.
            transactional: True if the offsets of the topic are committed in transactions.
            kwargs: the keyword arguments of `faust.Topic`.
        """
        self.limits = limits
        self.transactional = transactional
        super().__init__(*args, **kwargs)

    def _clone_args(self) -> Mapping[str, Any]:
        # An agent reads from a clone of its topic.
        return {**super()._clone_args(), "limits": self.limits, "transactional": self.transactional}

    def put_batch(self, batch: RecordBatch) -> None:
        """Queue a batch for the agent, as the value of one Faust event."""
        message = ConsumerMessage(
            topic=batch.topic,
            partition=batch.partition,
            offset=batch.offset_range.first,
            timestamp=0.0,
            timestamp_type=0,
            headers=(),
            key=None,
            value=None,
            checksum=None,
            tp=TP(batch.topic, batch.partition),
            # A Faust stream skips the events of another generation.
            generation_id=self.app.consumer_generation_id,
        )
        self.queue.force_put_nowait(self.app.create_event(None, batch, None, message))


async def live_batches(
    stream: Any, wait_for_capacity: Callable[[], Awaitable[None]]
) -> AsyncIterator[RecordBatch]:
    """Yield the batches of a Faust stream that this worker still owns, each as soon as there is capacity.

    A batch that waits for capacity is not in flight yet, so a drain does not wait for it. Faust would
    acknowledge an event in a `finally` of its stream, even after the agent raised an exception. This function
    disables Faust's acknowledgements: only `RecordBatch.acknowledge` acknowledges a batch.

    Args:
        stream: the stream of a `BatchTopic`, as Faust passes it to an agent.
        wait_for_capacity: returns when the agent can take another batch.
    """
    stream.enable_acks = False
    async for batch in stream:
        await wait_for_capacity()
        if batch.take():
            yield batch
