"""A producer that sends single events and tracks every delivery."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from stream.errors import BrokerError
from stream.kafka.connection import client_options, error_cause
from stream.records import Headers
from stream.settings import Settings

DELIVERY_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 2.0
LINGER_MS = 5
BATCH_BYTES = 64 * 2**10
# The broker's own limit applies. Its refusal leads to an error that names the topic's setting.
MAX_REQUEST_BYTES = 2**30


class Sender:
    """Sends events one by one and counts the confirmed ones.

    Attributes:
        sent: the number of events that the producer accepted.
        confirmed: the number of events that the broker confirmed.
        failure: the first error of a delivery, None without one.
    """

    def __init__(
        self, settings: Settings, topic: str, headers: Headers, make: Callable[..., Any] = AIOKafkaProducer
    ) -> None:
        """Create the producer. The event loop has to be running.

        Args:
            settings: the address of the broker and the credentials.
            topic: the topic of the events.
            headers: the headers of every event.
            make: the class of the producer.
        """
        self._producer = make(
            **client_options(settings),
            client_id="labelstream-produce",
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            linger_ms=LINGER_MS,
            max_batch_size=BATCH_BYTES,
            max_request_size=MAX_REQUEST_BYTES,
            request_timeout_ms=int(DELIVERY_TIMEOUT_S * 1000),
        )
        self._topic = topic
        self._headers = headers
        self.sent = 0
        self.confirmed = 0
        self.failure: BaseException | None = None

    async def start(self) -> None:
        """Connect to the broker.

        Raises:
            BrokerError: the broker does not answer.
        """
        try:
            await self._producer.start()
        except (KafkaError, OSError) as exc:
            self.failure = exc
            self.check()

    async def stop(self) -> None:
        """Disconnect, and give up the events that cannot be delivered soon."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._producer.stop(), STOP_TIMEOUT_S)

    async def send(self, value: bytes, key: bytes | None = None) -> None:
        """Send one event. Wait while the producer's buffers are full.

        Raises:
            BrokerError: the broker refused this event or an earlier one.
        """
        self.check()
        try:
            future = await self._producer.send(self._topic, value=value, key=key, headers=self._headers)
        except KafkaError as exc:
            self.failure = exc
            self.check()
        else:
            self.sent += 1
            future.add_done_callback(self._delivered)

    def _delivered(self, future: "asyncio.Future[object]") -> None:
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            self.confirmed += 1
        elif self.failure is None:
            self.failure = error

    async def finish(self) -> None:
        """Wait for all deliveries.

        Raises:
            BrokerError: a delivery failed.
        """
        try:
            async with asyncio.timeout(DELIVERY_TIMEOUT_S):
                await self._producer.flush()
        except TimeoutError as exc:
            self.failure = self.failure or exc
        # The callbacks of a batch's futures run one turn of the event loop after the futures are resolved.
        await asyncio.sleep(0)
        self.check()

    def check(self) -> None:
        """Raise the first failure, if there was one.

        Raises:
            BrokerError: a delivery failed.
        """
        if self.failure is not None:
            raise BrokerError(
                f"not every event was delivered to {self._topic}; {self.confirmed} are confirmed",
                cause=error_cause(self.failure),
                fix="check broker and topics: labelstream doctor; max.message.bytes limits an event",
            ) from self.failure
