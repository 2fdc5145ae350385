"""Faust's aiokafka transport with the batch consumer and the idempotent producer."""

from collections.abc import Callable
from typing import Any

from faust.transport.drivers import aiokafka as driver

from stream.kafka.consumer import ConsumerConfig, ConsumerObserver, PartitionProducers
from stream.kafka.faust.consumer import BatchConsumer
from stream.kafka.faust.producer import BatchProducer


class BatchTransport(driver.Transport):  # type: ignore[misc]
    """Creates the clients through which record batches pass."""

    def __init__(
        self,
        url: Any,
        app: Any,
        *,
        config: ConsumerConfig,
        observer: ConsumerObserver,
        new_thread: Callable[[BatchConsumer], Any],
        producers: PartitionProducers,
    ) -> None:
        """
        Args:
            url: the URLs of the brokers.
            app: the Faust app.
            config: the start position and the limits of the consumer.
            observer: the receiver of the consumer's and the producer's events.
            new_thread: creates the thread of a consumer.
            producers: the producers of the partitions whose offsets are committed in transactions.
        """
        super().__init__(url, app)
        self._config = config
        self._observer = observer
        self._new_thread = new_thread
        self._producers = producers

    def create_consumer(self, callback: Any, **kwargs: Any) -> BatchConsumer:
        """Create the app's consumer."""
        return BatchConsumer(
            self,
            callback=callback,
            loop=self.loop,
            config=self._config,
            observer=self._observer,
            new_thread=self._new_thread,
            producers=self._producers,
            **kwargs,
        )

    def create_producer(self, **kwargs: Any) -> BatchProducer:
        """Create the app's producer."""
        return BatchProducer(self, on_retry=self._observer.on_publish_retry, **kwargs)
