"""The thread of aiokafka's consumer. It always sets positions explicitly."""

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

from stream.kafka.consumer import ConsumerConfig, ConsumerObserver
from stream.kafka.faust.coordinator import CoordinatorWatch
from stream.kafka.faust.positions import FetchedRecords, Position, seek_back, start_position
from stream.kafka.faust.unpack import FetchBuffer, keep_fetched_bytes
from stream.kafka.faust.unreadable import UnpackLimits
from stream.kafka.fetch_policy import IDLE_MAX_WAIT_MS, FetchPolicy
from stream.kafka.group import GroupAnswers
from stream.kafka.probe import BrokerProbe

POLL_S = 0.2

log = structlog.get_logger(__name__)


class BatchConsumerThread(AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's consumer thread, with a lock that separates fetches from seeks.

    Every fetch carries the epoch of the last seek, so that the consumer never takes records read before a
    seek for current ones.
    """

    logger = logging.getLogger("faust.batches")
    position_epoch = 0

    def __init__(
        self,
        consumer: Any,
        *,
        config: ConsumerConfig,
        observer: ConsumerObserver,
        fetch_policy: FetchPolicy,
        group_answers: GroupAnswers,
    ) -> None:
        """
        Args:
            consumer: the consumer that this thread works for.
            config: the start position and the limits of the consumer.
            observer: the receiver of the consumer's events.
            fetch_policy: decides how long a fetch waits at the broker.
            group_answers: receives the answers of the group's coordinator.
        """
        self._config = config
        self._observer = observer
        self._fetch_policy = fetch_policy
        self.group_answers = group_answers
        super().__init__(consumer, loop=consumer.loop, beacon=consumer.beacon)
        self._position_lock = asyncio.Lock()
        self._probing: asyncio.Task[None] | None = None
        self.probe = BrokerProbe(self._query_broker, monotonic, observer.on_probe_retry)

    async def on_start(self) -> None:
        """Start aiokafka's consumer, the watch on its group and the probe of the broker."""
        await super().on_start()
        self._watch = CoordinatorWatch(self._ensure_consumer()._coordinator, self.group_answers)
        self._probing = asyncio.create_task(self.probe.run())

    async def on_thread_stop(self) -> None:
        """Stop the probe and aiokafka's consumer."""
        if self._probing is not None:
            self._probing.cancel()
        await super().on_thread_stop()

    async def _query_broker(self) -> Mapping[TopicPartition, int]:
        """Return the ends of the assigned partitions. Without any, only check that the cluster answers."""
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
        # Faust hard-codes both: its 1500 ms add latency, and it would read aborted transactions.
        consumer._fetch_max_wait_ms = IDLE_MAX_WAIT_MS
        consumer._isolation_level = "read_committed"
        return consumer

    # ---- fetching ----------------------------------------------------------------------------------

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: set[TP],
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> FetchedRecords:
        async with self._position_lock:
            buffer = consumer._fetcher._records
            if type(buffer) is not FetchBuffer:
                buffer = FetchBuffer(self.consumer.reads_batches, buffer, self._unpack_limits())
                consumer._fetcher._records = buffer
            buffer.begin_poll()
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
                # aiokafka asked for a position before `set_positions` had set one.
                drained = {}
            fetched = FetchedRecords(drained)
            fetched.epoch = self.position_epoch
            if buffer.unreadable:
                fetched.unreadable = dict(buffer.unreadable)
            self._apply_fetch_policy(consumer, sum(map(len, fetched.values())))
            return fetched

    def _unpack_limits(self) -> UnpackLimits:
        config = self._config
        return UnpackLimits(config.max_decompressed_bytes, config.max_bytes, config.quarantine)

    def _apply_fetch_policy(self, consumer: Any, events: int) -> None:
        if events:
            self._fetch_policy.count(events)
        wait = self._fetch_policy.wait
        consumer._fetcher._fetch_min_bytes = wait.min_bytes
        consumer._fetcher._fetch_max_wait_ms = wait.max_wait_ms

    async def put_back(self, fetched: FetchedRecords) -> None:
        """Undo a fetch whose records the consumer does not hand out, so that they are read again."""
        await self.call_thread(self._put_back, fetched)

    async def _put_back(self, fetched: FetchedRecords) -> None:
        async with self._position_lock:
            seek_back(self._ensure_consumer(), fetched, self.position_epoch)

    # ---- positions ---------------------------------------------------------------------------------

    async def set_positions(self) -> Mapping[TP, Position]:
        """Seek every assigned partition to the offset that the group has committed; return the positions."""
        return await self.call_thread(self._set_positions)  # type: ignore[no-any-return]

    async def _set_positions(self) -> Mapping[TP, Position]:
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
                position = start_position(committed, beginnings[tp], ends[tp], self._config.start_at)
                self._seek(consumer, tp, position.offset, position.skipped)
                positions[TP(tp.topic, tp.partition)] = position
            return positions

    async def _skip_removed(self, consumer: Any, positions: Mapping[TopicPartition, int]) -> None:
        """Seek partitions whose next offset retention has removed to the beginning of their logs."""
        beginnings = await consumer.beginning_offsets(list(positions))
        for tp, position in positions.items():
            self._seek(consumer, tp, beginnings[tp], beginnings[tp] - position)

    def _seek(self, consumer: Any, tp: TopicPartition, offset: int, skipped: int) -> None:
        # The reset policy is `none`, so every skipped offset passes through here and is reported.
        consumer.seek(tp, offset)
        if skipped > 0:
            self._observer.on_offsets_skipped(tp.topic, tp.partition, skipped)

    def positions(self) -> dict[TP, int]:
        """Return the offset of the next read of each assigned partition."""
        subscription = self._ensure_consumer()._subscription.subscription
        if subscription is None or subscription.assignment is None:
            return {}
        consumed = subscription.assignment.all_consumed_offsets()
        return {TP(tp.topic, tp.partition): at.offset for tp, at in consumed.items()}

    def stable_ends(self) -> dict[TP, int]:
        """Return the last stable offset of each assigned partition that a fetch or a probe has reported."""
        consumer = self._ensure_consumer()
        probed = self.probe.ends
        ends = {
            # Fetches report the end, but no fetch is sent for a partition with a full buffer. The probe
            # reports it in that case.
            tp: max(_stable_end(consumer, tp) or 0, probed.get(tp, 0))
            for tp in consumer.assignment()
        }
        return {TP(tp.topic, tp.partition): end for tp, end in ends.items()}

    # ---- committing --------------------------------------------------------------------------------

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit; return True if the broker confirmed. After a failure, the next interval tries again."""
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


def _stable_end(consumer: Any, tp: TopicPartition) -> int | None:
    try:
        end: int | None = consumer.last_stable_offset(tp)
    except (AssertionError, AttributeError):
        # This runs in the event loop; a rebalance in the consumer's thread has just revoked the partition.
        return None
    return end
