"""The transactional producers of a worker: one for each source partition with exactly-once delivery."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping

import structlog
from aiokafka.errors import BrokerResponseError, KafkaError
from aiokafka.structs import OffsetAndMetadata

from stream.deadline import Deadline
from stream.kafka.faust.transactional_producer import TransactionalProducer
from stream.kafka.permissions import transactional_id
from stream.kafka.transaction_errors import transaction_error
from stream.records import Source

RETRY_PAUSE_S = 0.5
# The time to abort a transaction and to disconnect. A broker that does not answer within it is likely dead,
# and a drain must not wait for a dead broker.
CLOSE_S = 2.0

log = structlog.get_logger(__name__)


class Transactions:
    """Opens and closes the transactional producers of the assigned partitions."""

    def __init__(
        self, group: str, new_producer: Callable[[str], TransactionalProducer], retry_s: float
    ) -> None:
        """
        Args:
            group: the consumer group.
            new_producer: creates the producer of a transactional id.
            retry_s: the seconds within which a producer has to be open.
        """
        self._group = group
        self._new_producer = new_producer
        self._retry_s = retry_s
        self._producers: dict[Source, TransactionalProducer] = {}
        self._changing = asyncio.Lock()

    def of(self, source: Source) -> TransactionalProducer | None:
        """Return the open producer of a partition, None if there is none."""
        return self._producers.get(source)

    async def open(self, sources: Collection[Source]) -> None:
        """Open a producer for each partition, at the same time.

        When this returns, no earlier producer of the partitions can commit any more, and their transactions
        have ended. The committed offsets must be read afterwards: an earlier producer may commit until then.

        Raises:
            Fatal: the broker refused a producer, or did not answer in time.
            KafkaError: the worker's user may not use a transactional id.
        """
        await self.close()
        async with self._changing:
            self._producers = await self._open_all(sources)
        log.debug("transactional producers open", partitions=len(sources))

    async def _open_all(self, sources: Collection[Source]) -> dict[Source, TransactionalProducer]:
        deadline = Deadline(self._retry_s)
        opening = {asyncio.create_task(self._open(source, deadline)): source for source in sources}
        try:
            await asyncio.wait(opening, return_when=asyncio.FIRST_EXCEPTION)
            return {source: task.result() for task, source in opening.items() if task.done()}
        except BaseException:
            for task in opening:
                task.cancel()
            await asyncio.wait(opening)
            opened = [task.result() for task in opening if not task.cancelled() and not task.exception()]
            await _close_all(opened)
            raise

    async def _open(self, source: Source, deadline: Deadline) -> TransactionalProducer:
        while True:
            producer = self._new_producer(transactional_id(self._group, source))
            try:
                async with asyncio.timeout(deadline.remaining()):
                    await producer.start()
            except (KafkaError, TimeoutError) as exc:
                await _close_all([producer])
                refused = isinstance(exc, BrokerResponseError) and not exc.retriable
                if refused or deadline.expired:
                    raise transaction_error(exc, source, deadline.seconds) from exc
            except BaseException:
                await _close_all([producer])
                raise
            else:
                return producer
            await asyncio.sleep(RETRY_PAUSE_S)

    async def commit(self, offsets: Mapping[Source, OffsetAndMetadata]) -> None:
        """Commit offsets of partitions whose producers are open, each in a transaction of its own.

        Raises:
            Fatal: the broker refused a commit, or did not answer in time.
        """
        commits = [self._commit(source, offset) for source, offset in offsets.items()]
        for outcome in await asyncio.gather(*commits, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def _commit(self, source: Source, offset: OffsetAndMetadata) -> None:
        producer = self._producers[source]

        async def transaction() -> None:
            await producer.begin()
            await add_offset(producer, source, offset, self._group, self._retry_s)
            await commit(producer, source, self._retry_s)

        await producer.run(transaction())

    async def close(self) -> None:
        """Abort the open transactions and disconnect. A dead broker delays this by at most `CLOSE_S`."""
        # A producer of an opening that was cancelled could fence the producers of the next one.
        async with self._changing:
            producers, self._producers = self._producers, {}
            await _close_all([*producers.values()])


async def add_offset(
    producer: TransactionalProducer, source: Source, offset: OffsetAndMetadata, group: str, seconds: float
) -> None:
    """Add the offset of a source partition to its open transaction.

    Raises:
        Fatal: the broker refused it, or did not answer in time.
    """
    await _answered(producer.send_offset(source, offset, group), source, seconds)


async def commit(producer: TransactionalProducer, source: Source, seconds: float) -> None:
    """Commit the open transaction of a source partition, whose records are confirmed.

    Raises:
        Fatal: the broker refused it, or did not answer in time.
    """
    await _answered(producer.commit(), source, seconds)


async def _answered(request: Awaitable[None], source: Source, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await request
    except (KafkaError, TimeoutError) as exc:
        raise transaction_error(exc, source, seconds) from exc


async def _close_all(producers: Collection[TransactionalProducer]) -> None:
    deadline = Deadline(CLOSE_S)
    await asyncio.gather(*(producer.close(deadline) for producer in producers))
