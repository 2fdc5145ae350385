"""A double of the transactional producers that a consumer opens."""

from collections.abc import Collection, Mapping

from aiokafka.structs import OffsetAndMetadata

from stream.records import Source


class FakeProducers:
    """Producers that record the calls in order, and fail as the test sets it.

    Attributes:
        calls: the calls.
        error: the error of the next `open`.
    """

    def __init__(self) -> None:
        self.calls: list[object] = []
        self.error: Exception | None = None

    async def open(self, sources: Collection[Source]) -> None:
        self.calls.append(("open", sorted(sources)))
        if self.error is not None:
            raise self.error

    async def commit(self, offsets: Mapping[Source, OffsetAndMetadata]) -> None:
        self.calls.append(("commit", dict(offsets)))

    async def close(self) -> None:
        self.calls.append("close")
