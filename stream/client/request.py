"""Requests with replies over Kafka: a text goes to the input topic, its label comes from the output topic."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Self
from uuid import uuid4

import orjson
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from stream.client.errors import LabelTimeoutError, RejectedError
from stream.client.label_events import correlation_id, read_reply
from stream.codec import Record
from stream.errors import BrokerError, LabelstreamError, UsageError
from stream.kafka.connection import client_options, connection_error, error_cause
from stream.kafka.topic_reader import TopicReader
from stream.kafka.topics.wait import find_topics
from stream.records.events import ID_HEADER
from stream.results import Classification, RowError
from stream.settings import Settings, load_settings

MAX_WAIT_MS = 20
POLL_MS = 200

Reply = Classification | RowError | LabelstreamError


class LabelClient:
    """Asks a running worker for labels, and waits for its replies.

        async with LabelClient(broker="kafka:9092") as client:
            prediction = await client.classify("My card was charged twice")

    Each request is an event with an id of its own; the reply is the label event or dead letter with this id.
    The client reads all records of both topics from its start on, so give it topics of their own.
    """

    def __init__(
        self, *, timeout_s: float = 30.0, max_in_flight: int = 1_000, label_field: str = "", **settings: Any
    ) -> None:
        """
        Args:
            timeout_s: the seconds within which a reply must arrive.
            max_in_flight: the number of requests without a reply at which further ones wait.
            label_field: the member with the label event, for a route with `output = enrich`.
            settings: settings of the worker by name: broker, input_topic, output_topic, dead_topic, and those
                of the connection, such as sasl_username. Those that are left out come from the environment.

        Raises:
            UsageError: a setting is invalid, or the settings have several routes.
        """
        if timeout_s <= 0 or max_in_flight < 1:
            raise UsageError(
                "timeout_s or max_in_flight is out of range",
                cause=f"timeout_s is {timeout_s:g}, max_in_flight is {max_in_flight}",
                fix="set timeout_s above 0 and max_in_flight to 1 or more",
            )
        self._settings = load_settings(settings)
        self._timeout_s = timeout_s
        self._label_field = label_field
        self._slots = asyncio.Semaphore(max_in_flight)
        self._waiting: dict[str, asyncio.Future[Reply]] = {}
        self._failure: LabelstreamError | None = None
        self._reading: asyncio.Task[None] | None = None
        self._input, self._replies = _topics(self._settings)

    async def start(self) -> None:
        """Connect to the broker; replies to all later requests are read.

        Raises:
            BrokerError: the broker does not answer, or a topic does not exist.
        """
        await find_topics(self._settings, [self._input, *self._replies])
        options = client_options(self._settings)
        self._producer = AIOKafkaProducer(**options, client_id="labelstream-client", acks="all", linger_ms=1)
        self._reader = TopicReader(
            self._settings,
            *self._replies,
            client_id="labelstream-client",
            auto_offset_reset="latest",
            fetch_max_wait_ms=MAX_WAIT_MS,
        )
        try:
            await self._producer.start()
            await self._reader.start()
            await self._reader.resolve_positions()
        except (KafkaError, OSError) as exc:
            await self._stop_clients()
            raise connection_error(self._settings, exc) from exc
        self._reading = asyncio.create_task(self._read())

    async def close(self) -> None:
        """Disconnect. Requests that wait for their replies fail with `UsageError`."""
        if self._reading is None:
            return
        self._reading.cancel()
        await asyncio.wait((self._reading,))
        self._reading = None
        self._fail(UsageError("the client is closed", fix="open another client"))
        await self._stop_clients()

    async def classify(
        self,
        text: str,
        *,
        text_pair: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        key: bytes | None = None,
        timeout_s: float | None = None,
    ) -> Classification:
        """Return the prediction for a text.

        Args:
            text: the text.
            text_pair: the second text, for a bundle that compares two texts.
            metadata: columns for a bundle that reads them.
            key: the key of the record, which chooses its partition.
            timeout_s: the seconds within which the reply must arrive, instead of those of the client.

        Raises:
            RejectedError: the worker cannot label the text.
            LabelTimeoutError: no reply arrived in time.
            BrokerError: the broker does not answer.
            UsageError: the client is not open.
        """
        members = {"text": text, "text_pair": text_pair, "metadata": metadata}
        reply = await self._request({n: v for n, v in members.items() if v is not None}, key, timeout_s)
        if isinstance(reply, RowError):
            raise RejectedError(reply.reason, reply.message)
        return reply

    async def classify_many(
        self, texts: Iterable[str], *, timeout_s: float | None = None
    ) -> list[Classification | RowError]:
        """Return the result of each text, in order; a text that cannot be labelled has a `RowError`.

        Raises:
            LabelTimeoutError: a reply did not arrive in time.
            BrokerError: the broker does not answer.
            UsageError: the client is not open, or `texts` is one text.
        """
        if isinstance(texts, str | bytes):
            raise UsageError(
                "classify_many takes several texts", fix="pass a list of texts, or call classify"
            )
        requests = [asyncio.ensure_future(self._request({"text": t}, None, timeout_s)) for t in texts]
        try:
            return await asyncio.gather(*requests)
        finally:
            # After an error or a cancellation, nobody waits for the other replies.
            for request in requests:
                request.cancel()

    async def _request(
        self, event: dict[str, Any], key: bytes | None, timeout_s: float | None
    ) -> Classification | RowError:
        if self._reading is None:
            raise not_open()
        seconds = self._timeout_s if timeout_s is None else timeout_s
        event_id = uuid4().hex
        try:
            async with asyncio.timeout(seconds), self._slots:
                reply = await self._send(event_id, event | {"id": event_id}, key)
        except TimeoutError:
            raise LabelTimeoutError(seconds) from None
        except (KafkaError, OSError) as exc:
            raise BrokerError(
                f"the text was not sent to {self._input}",
                cause=error_cause(exc),
                fix="check the broker and the topics: labelstream doctor",
            ) from exc
        finally:
            self._waiting.pop(event_id, None)
        if isinstance(reply, LabelstreamError):
            raise reply
        return reply

    async def _send(self, event_id: str, event: dict[str, Any], key: bytes | None) -> Reply:
        if self._failure is not None:
            raise self._failure
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[event_id] = reply
        headers = [(ID_HEADER, event_id.encode())]
        await self._producer.send_and_wait(self._input, orjson.dumps(event), key=key, headers=headers)
        return await reply

    async def _read(self) -> None:
        try:
            while True:
                for partition, records in (await self._reader.poll(POLL_MS)).items():
                    for record in records:
                        self._receive(record, partition)
        except Exception as exc:  # noqa: BLE001 - nobody awaits this task, and the requests would time out
            self._fail(
                BrokerError(
                    f"the replies in {', '.join(self._replies)} cannot be read",
                    cause=error_cause(exc),
                    fix="check the broker and the topics: labelstream doctor; then open another client",
                )
            )

    def _receive(self, record: Record, partition: TopicPartition) -> None:
        waiting = self._waiting.get(correlation_id(record) or "")
        if waiting is not None and not waiting.done():
            waiting.set_result(read_reply(record, partition, self._label_field))

    def _fail(self, error: LabelstreamError) -> None:
        """Fail all requests that wait, and all later ones."""
        self._failure = error
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(error)

    async def _stop_clients(self) -> None:
        await self._reader.stop()
        await self._producer.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def not_open() -> UsageError:
    """Return the error of a request to a client that is not open."""
    return UsageError("the client is not open", fix="open it in a with statement, or call start")


def _topics(settings: Settings) -> tuple[str, tuple[str, ...]]:
    """Return the input topic and the topics of the replies.

    Raises:
        UsageError: the settings have several routes, or the route has a topic for each label.
    """
    if len(settings.effective_routes) > 1:
        raise UsageError(
            "the settings have several routes",
            cause="a client sends to one input topic",
            fix="pass input_topic, output_topic and dead_topic, without LABELSTREAM_CONFIG",
        )
    (route,) = settings.effective_routes
    if len(route.output_topics) > 1 or "{" in route.output_topic:
        raise UsageError(
            "a client reads the replies of one label topic",
            cause=f"the output topics are {', '.join(route.output_topics)}",
            fix="send requests to a route with one output topic",
        )
    return route.input_topic, (route.output_topic, route.dead_topic)
