"""Faust's producer, made idempotent."""

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any

from faust.transport.drivers import aiokafka as driver

from stream.kafka.faust.produce_response import handle_produce_responses, wrap_sequence_numbers


class BatchProducer(driver.Producer):  # type: ignore[misc]
    """An idempotent producer: its retries neither repeat nor reorder records."""

    logger = logging.getLogger("faust.batches")

    def __init__(self, *args: Any, on_retry: Callable[[], None], **kwargs: Any) -> None:
        """
        Args:
            args: the positional arguments of Faust's producer.
            on_retry: called for every batch that the producer sends again.
            kwargs: the keyword arguments of Faust's producer.
        """
        self._on_retry = on_retry
        super().__init__(*args, **kwargs)

    @property
    def client(self) -> Any:
        """The aiokafka producer, None before Faust has started it."""
        return self._producer

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    def _new_producer(self, transactional_id: str | None = None) -> Any:
        handle_produce_responses()
        return prepare_producer(super()._new_producer(transactional_id), self._on_retry)

    async def flush(self) -> None:
        """Do nothing.

        Faust flushes when the worker stops. The drain has waited for the batches in flight by then, and the
        rest is released: its next owner writes it again. A flush waits without limit for a batch that the
        broker does not confirm.
        """

    async def on_stop(self) -> None:
        """Stop without a flush."""
        if self._producer is not None:
            self._producer._message_accumulator.flush = self.flush
        await super().on_stop()


def prepare_producer(producer: Any, on_retry: Callable[[], None]) -> Any:
    """Return an idempotent aiokafka producer, changed so that its batches never expire.

    Args:
        producer: the producer, not started yet.
        on_retry: called for every batch that the producer sends again.
    """
    accumulator = producer._message_accumulator
    # The publisher limits the time. A batch that expires earlier hides the broker's error.
    accumulator._batch_ttl = math.inf
    wrap_sequence_numbers(accumulator._txn_manager)
    put_back = accumulator.reenqueue

    def reenqueue(batch: Any) -> None:
        # This is the only place where aiokafka shows that it retries.
        on_retry()
        put_back(batch)

    accumulator.reenqueue = reenqueue
    return producer
