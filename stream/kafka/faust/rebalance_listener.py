"""A listener that runs a coroutine before partitions are revoked."""

from collections.abc import Awaitable, Callable, Iterable

from aiokafka import ConsumerRebalanceListener, TopicPartition


class BeforeRevoke(ConsumerRebalanceListener):  # type: ignore[misc]
    """Awaits a function before the partitions of a plain aiokafka consumer go to another one."""

    def __init__(self, before: Callable[[], Awaitable[None]]) -> None:
        """
        Args:
            before: is awaited before partitions are revoked.
        """
        self._before = before

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002
        """Await the function."""
        await self._before()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Do nothing: the positions are those of the group."""
