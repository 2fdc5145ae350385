"""The Faust app and the Faust worker that run batch agents."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

import faust

from stream.deadline import Deadline
from stream.kafka.consumer import ConsumerConfig, ConsumerObserver, PartitionProducers
from stream.kafka.faust.consumer import BatchConsumer
from stream.kafka.faust.transaction_offsets import ConsumerOffsets
from stream.kafka.faust.transport import BatchTransport


class BatchApp(faust.App):  # type: ignore[misc]
    """A Faust app whose transport carries record batches."""

    logger = logging.getLogger("faust.batches")

    def __init__(
        self,
        group: str,
        options: Mapping[str, Any],
        *,
        config: ConsumerConfig,
        observer: ConsumerObserver,
        new_thread: Callable[[BatchConsumer], Any],
        producers: PartitionProducers,
    ) -> None:
        """
        Args:
            group: the consumer group, which is also the app's id.
            options: the other keyword arguments of `faust.App`.
            config: the start position and the limits of the consumer.
            observer: the receiver of the consumer's and the producer's events.
            new_thread: creates the thread of a consumer.
            producers: the producers of the partitions whose offsets are committed in transactions.
        """
        super().__init__(group, **options)
        self._config = config
        self._observer = observer
        self._new_thread = new_thread
        self._producers = producers

    @property
    def batch_consumer(self) -> BatchConsumer | None:
        """The consumer, None before Faust has created it."""
        consumer: BatchConsumer | None = self._consumer
        return consumer

    @property
    def producer_client(self) -> Any:
        """The aiokafka producer that Faust owns, None before Faust has started it."""
        return self.producer.client

    @property
    def transaction_offsets(self) -> ConsumerOffsets:
        """The offsets of the partitions that the consumer commits in transactions."""
        return ConsumerOffsets(self.consumer, self._observer)

    async def drain(self, reason: str, deadline: Deadline) -> None:
        """Drain the consumer, if it reads any partition, and close the transactional producers.

        See `BatchConsumer.drain`.
        """
        consumer = self.batch_consumer
        if consumer is None:
            return
        if consumer.ranges:
            await consumer.drain(reason, deadline)
        await consumer.close_producers()

    @property
    def drains(self) -> bool:
        """True if a drain waits for the batches in flight. A subclass that failed overrides this."""
        return True

    def fail(self, error: BaseException) -> None:
        """End the app because of an error of the consumer. A subclass that stops in order overrides this."""
        raise error

    def on_rebalance_start(self) -> None:
        """Report the rebalance."""
        self._observer.on_rebalance()
        super().on_rebalance_start()

    def _new_transport(self) -> BatchTransport:
        return BatchTransport(
            self.conf.broker_consumer,
            self,
            config=self._config,
            observer=self._observer,
            new_thread=self._new_thread,
            producers=self._producers,
        )

    def _create_directories(self) -> None:
        """Do nothing: the app has no tables, and the root of a container may be read-only."""


class BatchWorker(faust.Worker):  # type: ignore[misc]
    """Faust's worker without its logging, spinner and signal handlers."""

    logger = logging.getLogger("faust.batches")

    def __init__(self, app: BatchApp) -> None:
        super().__init__(
            app,
            quiet=True,
            override_logging=False,
            redirect_stdouts=False,
            daemon=False,
            loop=asyncio.get_running_loop(),
        )
        self.spinner = None

    def install_signal_handlers(self) -> None:
        """Do nothing: the command handles signals."""
