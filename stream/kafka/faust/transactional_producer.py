"""A transactional producer of aiokafka whose waits end when it is closed."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer import sender
from aiokafka.producer.transaction_manager import TransactionState
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from stream.deadline import Deadline
from stream.kafka.faust.produce_response import handle_produce_responses
from stream.kafka.faust.producer import prepare_producer
from stream.records import Source

# The broker asks for a retry of the first request while it writes the end of the previous transaction.
NEXT_TRANSACTION_RETRY_S = 0.005
ABORTABLE = (TransactionState.IN_TRANSACTION, TransactionState.ABORTABLE_ERROR)


class TransactionalProducer:
    """The transactional producer of one source partition. It runs one transaction at a time.

    Attributes:
        client: the aiokafka producer.
    """

    def __init__(
        self, options: Mapping[str, Any], transactional_id: str, on_retry: Callable[[], None]
    ) -> None:
        """Create the producer. The event loop has to be running.

        Args:
            options: the keyword arguments of `AIOKafkaProducer`.
            transactional_id: the identity that this producer takes over from an earlier one.
            on_retry: called for every batch that the producer sends again.
        """
        handle_produce_responses()
        sender.BACKOFF_OVERRIDE = NEXT_TRANSACTION_RETRY_S
        self.client = prepare_producer(
            AIOKafkaProducer(**options, transactional_id=transactional_id), on_retry
        )
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, and fence the earlier producers of the transactional id. Their transaction has ended then.

        Raises:
            KafkaError: the broker cannot be reached, or refuses.
        """
        await self.client.start()

    async def run(self, transaction: Coroutine[Any, Any, None]) -> bool:
        """Run a transaction that ends with `commit` or `abort`.

        Returns:
            False if the producer was closed before the end of the transaction. The transaction was aborted,
            or its outcome is unknown; the next owner of the partition finds it out.

        Raises:
            Exception: the exception of the transaction.
        """
        if self._closed.done():
            transaction.close()
            return False
        running = self._running = asyncio.create_task(transaction)
        # A transaction that `close` abandons fails without a reader of its exception.
        running.add_done_callback(retrieve)
        await asyncio.wait({running, self._closed}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            return False
        running.result()
        return True

    async def begin(self) -> None:
        """Begin a transaction. This sends no request."""
        await self.client.begin_transaction()

    async def send_offset(self, source: Source, offset: OffsetAndMetadata, group: str) -> None:
        """Add the offset of a partition to the transaction.

        Raises:
            KafkaError: the broker refuses.
        """
        await self.client.send_offsets_to_transaction({TopicPartition(*source): offset}, group)

    async def commit(self) -> None:
        """Commit the transaction. Every batch has to be confirmed: aiokafka ignores refused ones.

        Raises:
            KafkaError: the broker refuses.
        """
        await self.client.commit_transaction()

    async def abort(self, deadline: Deadline) -> None:
        """Abort the transaction, if there is one that can be aborted. Give up at the deadline.

        The broker aborts a transaction that this method gives up, at the end of its timeout or when the next
        producer starts.
        """
        if self.client._txn_manager.state in ABORTABLE:
            with suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(deadline.remaining()):
                    await self.client.abort_transaction()

    async def close(self, deadline: Deadline) -> None:
        """Abort the transaction, or wait for its commit if that has been requested, and disconnect.

        Args:
            deadline: the time by which the broker has to answer.
        """
        if self._running and self._txn_state is TransactionState.COMMITTING_TRANSACTION:
            await asyncio.wait({self._running}, timeout=deadline.remaining())
        if not self._closed.done():
            self._closed.set_result(None)
        await self.abort(deadline)
        await self._disconnect(deadline)

    @property
    def _txn_state(self) -> TransactionState:
        state: TransactionState = self.client._txn_manager.state
        return state

    async def _disconnect(self, deadline: Deadline) -> None:
        async def flush() -> None:
            """Do nothing: a flush waits without limit for a broker that does not answer."""

        self.client._message_accumulator.flush = flush
        try:
            async with asyncio.timeout(deadline.remaining()):
                await self.client.stop()
        except (KafkaError, TimeoutError, asyncio.CancelledError):
            # aiokafka awaits its requests before it closes the connections, and raises their errors.
            if (task := asyncio.current_task()) and task.cancelling():
                raise
        finally:
            # A stop that was cut short leaves it running, and it would open connections again.
            if (sending := self.client._sender._sender_task) is not None:
                sending.cancel()
            await self.client.client.close()
            waiter = self.client._txn_manager.wait_for_transaction_end()
            if waiter is not None:
                retrieve(waiter)


def retrieve(future: "asyncio.Future[Any]") -> BaseException | None:
    """Return the exception of a future, None if it has none yet. asyncio does not log it then."""
    return future.exception() if future.done() and not future.cancelled() else None
