"""Faust's producer, made idempotent."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from faust.transport.drivers import aiokafka as driver


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
        producer = super()._new_producer(transactional_id)
        accumulator = producer._message_accumulator
        put_back = accumulator.reenqueue

        def reenqueue(batch: Any) -> None:
            # This is the only place where aiokafka shows that it retries.
            self._on_retry()
            put_back(batch)

        accumulator.reenqueue = reenqueue
        return producer
