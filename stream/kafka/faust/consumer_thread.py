"""The thread in which aiokafka's consumer lives: positions are always set explicitly, never guessed."""

import asyncio
import logging
from collections.abc import Mapping
from time import monotonic
from typing import Any

import structlog
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaConnectionError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, ensure_aiokafka_TP
from faust.types import TP

from stream.kafka.faust.unpack import FetchBuffer, keep_fetched_bytes
from stream.kafka.fetch_policy import IDLE_MAX_WAIT_MS
from stream.kafka.probe import BrokerProbe

POLL_S = 0.2

log = structlog.get_logger(__name__)


class Fetched(dict[TopicPartition, list[Any]]):
    """Records by partition, and the position epoch in which they were read."""

    epoch = 0


def _stable_end(consumer: Any, tp: TopicPartition) -> int | None:
    try:
        end: int | None = consumer.last_stable_offset(tp)
    except (AssertionError, AttributeError):
        # Asked from the worker's thread: a rebalance in the consumer's took the partition away meanwhile.
        return None
    return end


def seek_back(consumer: Any, fetched: Fetched, position_epoch: int) -> None:
    """Set the positions of assigned partitions back to the first record drained, unless a seek came since."""
    if fetched.epoch == position_epoch:
        for tp, records in fetched.items():
            if tp in consumer.assignment():
                consumer.seek(tp, records[0].offset)


class Position:
    """Where reading of a partition begins: `offset`, and what the group had committed, if anything.

    `skipped` counts offsets that retention removed before the group had read them.
    """

    __slots__ = ("committed", "offset", "skipped")

    def __init__(self, offset: int, committed: int | None, skipped: int) -> None:
        self.offset = offset
        self.committed = committed
        self.skipped = skipped


def start_position(committed: int | None, beginning: int, end: int, start_at: str) -> Position:
    """Decide where to read from.

    A committed offset counts as long as the log still holds it. One that lies before the log's beginning was
    overtaken by retention; one behind its end belongs to a log that was deleted: both go on at the beginning.
    """
    if committed is None:
        return Position(end if start_at == "latest" else beginning, None, 0)
    if beginning <= committed <= end:
        return Position(committed, committed, 0)
    return Position(beginning, None, max(0, beginning - committed))


class BatchConsumerThread(AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's consumer thread, with drains and seeks that exclude each other.

    Every drain carries the epoch of the last seek, so records that were read before a seek can never be
    taken for current ones.
    """

    logger = logging.getLogger("faust.batches")
    position_epoch = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._beating: asyncio.Task[None] | None = None
        self.probe = BrokerProbe(self._ask_broker, monotonic, lambda: self.consumer.on_asked_again())

    async def on_start(self) -> None:
        self._position_lock = asyncio.Lock()
        await super().on_start()
        self._beating = asyncio.create_task(self.probe.run())

    async def on_thread_stop(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
        await super().on_thread_stop()

    async def _ask_broker(self) -> Mapping[TopicPartition, int]:
        """The ends of the assigned partitions; without any, the broker is asked for the cluster alone."""
        consumer = self._ensure_consumer()
        if assigned := consumer.assignment():
            ends: Mapping[TopicPartition, int] = await consumer.end_offsets(assigned)
            return ends
        if not await consumer._client.force_metadata_update():
            raise KafkaConnectionError("no broker of the cluster can be reached")
        return {}

    def _create_worker_consumer(self, transport: Any) -> Any:
        keep_fetched_bytes()
        consumer = super()._create_worker_consumer(transport)
        # Faust fixes both: 1500 ms are latency, and aborted transactions are not events.
        consumer._fetch_max_wait_ms = IDLE_MAX_WAIT_MS
        consumer._isolation_level = "read_committed"
        return consumer

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: set[TP],
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> Fetched:
        async with self._position_lock:
            if type(consumer._fetcher._records) is not FetchBuffer:
                consumer._fetcher._records = FetchBuffer(
                    self.consumer.reads_batches, consumer._fetcher._records
                )
            try:
                drained = await super()._fetch_records(
                    consumer,
                    active_partitions,
                    timeout=min(timeout or POLL_S, POLL_S),
                    max_records=max_records,
                )
            except OffsetOutOfRangeError as exc:
                await self._skip_removed(consumer, exc.args[0])
                drained = {}
            except NoOffsetForPartitionError:
                # aiokafka looked for a position before `begin` has set it.
                drained = {}
            fetched = Fetched(drained)
            fetched.epoch = self.position_epoch
            self._set_patience(consumer, sum(map(len, fetched.values())))
            return fetched

    def _set_patience(self, consumer: Any, events: int) -> None:
        fetch_policy = self.consumer.fetch_policy
        if events:
            fetch_policy.read(events)
        wait = fetch_policy.wait
        consumer._fetcher._fetch_min_bytes = wait.min_bytes
        consumer._fetcher._fetch_max_wait_ms = wait.max_wait_ms

    async def begin(self) -> Mapping[TP, Position]:
        """Set the position of every assigned partition from what the group has committed."""
        return await self.call_thread(self._begin)  # type: ignore[no-any-return]

    async def _begin(self) -> Mapping[TP, Position]:
        consumer = self._ensure_consumer()
        async with self._position_lock:
            self.position_epoch += 1
            assigned = list(consumer.assignment())
            if not assigned:
                return {}
            beginnings = await consumer.beginning_offsets(assigned)
            ends = await consumer.end_offsets(assigned)
            positions = {}
            for tp in assigned:
                committed = await consumer.committed(tp)
                position = start_position(committed, beginnings[tp], ends[tp], self.consumer.start_at)
                self._seek_counting(consumer, tp, position.offset, position.skipped)
                positions[TP(tp.topic, tp.partition)] = position
            return positions

    def stable_ends(self) -> dict[TP, int]:
        """The last stable offset of each assigned partition, as far as a fetch or the probe has told it."""
        consumer = self._ensure_consumer()
        asked = self.probe.ends
        ends = {
            # FetchBuffer tell it while they go on: none does for a partition whose buffer is full.
            tp: max(_stable_end(consumer, tp) or 0, asked.get(tp, 0))
            for tp in consumer.assignment()
        }
        return {TP(tp.topic, tp.partition): end for tp, end in ends.items()}

    def positions(self) -> dict[TP, int]:
        """The offset at which each assigned partition is read next."""
        subscription = self._ensure_consumer()._subscription.subscription
        if subscription is None or subscription.assignment is None:
            return {}
        consumed = subscription.assignment.all_consumed_offsets()
        return {TP(tp.topic, tp.partition): at.offset for tp, at in consumed.items()}

    async def put_back(self, fetched: Fetched) -> None:
        """Undo a drain whose records were not handed out, so that they are read again."""
        await self.call_thread(self._put_back, fetched)

    async def _put_back(self, fetched: Fetched) -> None:
        async with self._position_lock:
            seek_back(self._ensure_consumer(), fetched, self.position_epoch)

    async def _skip_removed(self, consumer: Any, positions: Mapping[TopicPartition, int]) -> None:
        """Go on at the beginning of logs whose next offset retention has removed meanwhile."""
        beginnings = await consumer.beginning_offsets(list(positions))
        for tp, position in positions.items():
            self._seek_counting(consumer, tp, beginnings[tp], beginnings[tp] - position)

    def _seek_counting(self, consumer: Any, tp: TopicPartition, offset: int, skipped: int) -> None:
        # The reset policy is `none`: nothing is passed over without being counted.
        consumer.seek(tp, offset)
        if skipped > 0:
            self.consumer.on_offsets_skipped(TP(tp.topic, tp.partition), skipped)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit, and say honestly whether it succeeded; a failure is tried again at the next interval."""
        consumer = self._ensure_consumer()
        assigned = self.assignment()
        wanted = {
            ensure_aiokafka_TP(tp): OffsetAndMetadata(at, "") for tp, at in offsets.items() if tp in assigned
        }
        if not wanted:
            return False
        try:
            await consumer.commit(wanted)
        except (CommitFailedError, IllegalStateError) as exc:
            log.info("commit refused, the partitions were reassigned", error=str(exc))
            return False
        except KafkaError as exc:
            log.warning("commit failed", error=str(exc) or type(exc).__name__)
            return False
        return True
