"""Sending events one by one, with every delivery accounted for."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from stream.errors import BrokerError
from stream.kafka.connection import client_options, error_cause
from stream.settings import Settings

DELIVERY_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 2.0
LINGER_MS = 5
BATCH_BYTES = 64 * 2**10
# The broker's own limit decides; its refusal names the topic's setting.
MAX_REQUEST_BYTES = 2**30

Headers = list[tuple[str, bytes]]


class Sender:
    """Sends events one after the other and keeps count of what the broker confirmed."""

    def __init__(
        self, settings: Settings, topic: str, headers: Headers, make: Callable[..., Any] = AIOKafkaProducer
    ) -> None:
        """Prepare a producer; it must be made inside the running event loop.

        Args:
            settings: where and how to connect.
            topic: where the events go.
            headers: of every record.
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
        """Connect.

        Raises:
            BrokerError: the broker does not answer.
        """
        try:
            await self._producer.start()
        except (KafkaError, OSError) as exc:
            self.failure = exc
            self.check()

    async def stop(self) -> None:
        """Let go of the connection; what cannot be delivered soon is given up."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._producer.stop(), STOP_TIMEOUT_S)

    async def send(self, value: bytes, key: bytes | None = None) -> None:
        """Hand one event over; waits while the buffers are full.

        Raises:
            BrokerError: this or an earlier event was refused.
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
        """Wait for every delivery.

        Raises:
            BrokerError: one of them failed.
        """
        try:
            async with asyncio.timeout(DELIVERY_TIMEOUT_S):
                await self._producer.flush()
        except TimeoutError as exc:
            self.failure = self.failure or exc
        # A batch's futures are resolved one loop turn before their callbacks have run.
        await asyncio.sleep(0)
        self.check()

    def check(self) -> None:
        """Raise what went wrong so far.

        Raises:
            BrokerError: a delivery failed.
        """
        if self.failure is not None:
            raise BrokerError(
                f"{self._topic} did not take every event; {self.confirmed} are confirmed",
                cause=error_cause(self.failure),
                fix="labelstream doctor checks broker and topics; max.message.bytes limits an event's size",
            ) from self.failure
