"""The client for callers without an event loop."""

from collections.abc import Iterable
from typing import Any, Self

from stream.client.request import LabelClient, not_open
from stream.event_loop import EventLoopThread
from stream.results import Classification, RowError


class SyncLabelClient:
    """`LabelClient` with methods that block; from any thread.

    with SyncLabelClient(broker="kafka:9092") as client:
        prediction = client.classify("My card was charged twice")
    """

    def __init__(self, **options: Any) -> None:
        """
        Args:
            options: the arguments of `LabelClient`.

        Raises:
            UsageError: a setting is invalid.
        """
        self._client = LabelClient(**options)
        self._loop: EventLoopThread | None = None

    def start(self) -> None:
        """Connect to the broker.

        Raises:
            BrokerError: the broker does not answer, or a topic does not exist.
        """
        loop = EventLoopThread("labelstream-client")
        try:
            loop.run(self._client.start())
        except BaseException:
            loop.stop()
            raise
        self._loop = loop

    def close(self) -> None:
        """Disconnect."""
        if self._loop is not None:
            self._loop.run(self._client.close())
            self._loop.stop()
            self._loop = None

    def classify(self, text: str, **options: Any) -> Classification:
        """Return the prediction for a text; see `LabelClient.classify`."""
        return self._started().run(self._client.classify(text, **options))

    def classify_many(
        self, texts: Iterable[str], *, timeout_s: float | None = None
    ) -> list[Classification | RowError]:
        """Return the result of each text; see `LabelClient.classify_many`."""
        return self._started().run(self._client.classify_many(texts, timeout_s=timeout_s))

    def _started(self) -> EventLoopThread:
        if self._loop is None:
            raise not_open()
        return self._loop

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
