"""A periodic probe of the broker, independent of reads and writes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiokafka.structs import TopicPartition

from stream.kafka.connection import error_cause

INTERVAL_S = 5.0
TIMEOUT_S = 5.0
# One or two missed answers are no outage. The group excludes a silent member after 10 s.
SILENT_S = 15.0


class BrokerProbe:
    """Queries the broker every few seconds, in the consumer's thread. The event loop reads the result.

    Attributes:
        ends: the last stable offset of each partition from the last answer.
        failure: the cause of the last failure, empty after an answer.
    """

    def __init__(
        self,
        query: Callable[[], Awaitable[Mapping[TopicPartition, int]]],
        clock: Callable[[], float],
        on_retry: Callable[[], None],
    ) -> None:
        """
        Args:
            query: queries the broker and returns the last stable offsets.
            clock: returns monotonic seconds.
            on_retry: called before every query that follows a failure.
        """
        self._query = query
        self._clock = clock
        self._on_retry = on_retry
        self._answered_at = clock()
        self.ends: Mapping[TopicPartition, int] = {}
        self.failure = ""

    async def run(self) -> None:
        """Probe the broker until cancelled."""
        while True:
            await self.probe()
            await asyncio.sleep(INTERVAL_S)

    async def probe(self) -> None:
        """Probe the broker once."""
        if self.failure:
            self._on_retry()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                self.ends = await self._query()
        except Exception as exc:  # noqa: BLE001 - the next probe tries again, whatever the error is
            self.failure = error_cause(exc)
        else:
            self.failure = ""
            self._answered_at = self._clock()

    @property
    def silent_s(self) -> float:
        """The seconds since the last answer."""
        return self._clock() - self._answered_at

    @property
    def healthy(self) -> bool:
        """True if the last answer is recent."""
        return self.silent_s < SILENT_S
