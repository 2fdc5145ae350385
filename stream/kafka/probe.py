"""Whether the broker still answers: asked every few seconds, also when nothing is read or written."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiokafka.structs import TopicPartition

from stream.kafka.connection import error_cause

INTERVAL_S = 5.0
TIMEOUT_S = 5.0
# A missed answer or two are no outage; the group gives up on a silent member after 10 s.
SILENT_S = 15.0


class BrokerProbe:
    """Asks in the consumer's thread; the worker's reads what came of it.

    Attributes:
        ends: the last stable offsets that the last answer told, by partition.
        failure: why the last question got no answer; empty when it got one.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[Mapping[TopicPartition, int]]],
        clock: Callable[[], float],
        on_asked_again: Callable[[], None],
    ) -> None:
        """
        Args:
            ask: the question; returns ends of partitions.
            clock: monotonic seconds.
            on_asked_again: told of every question that follows one without an answer.
        """
        self._ask = ask
        self._clock = clock
        self._on_asked_again = on_asked_again
        self._answered_at = clock()
        self.ends: Mapping[TopicPartition, int] = {}
        self.failure = ""

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            await self.probe()
            await asyncio.sleep(INTERVAL_S)

    async def probe(self) -> None:
        """Ask once."""
        if self.failure:
            self._on_asked_again()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                self.ends = await self._ask()
        except Exception as exc:  # noqa: BLE001 - whatever went wrong, it is asked again
            self.failure = error_cause(exc)
        else:
            self.failure = ""
            self._answered_at = self._clock()

    @property
    def silent_s(self) -> float:
        """Seconds since the last answer."""
        return self._clock() - self._answered_at

    @property
    def healthy(self) -> bool:
        """Whether it answered lately."""
        return self.silent_s < SILENT_S
