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
    TopicAuthorizationFailedError,
)
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, ensure_aiokafka_TP
from faust.types import TP

from stream.deadline import Deadline
from stream.kafka.consumer import ConsumerConfig, ConsumerObserver
from stream.kafka.faust.coordinator import CoordinatorWatch
from stream.kafka.faust.offsets import blocked_events, find_positions, find_topics, stable_end
from stream.kafka.faust.options import REQUEST_TIMEOUT_S
from stream.kafka.faust.positions import FetchedRecords, Position, seek_back
from stream.kafka.faust.topic_ids import read_topics
from stream.kafka.faust.unpack import FetchBuffer, keep_fetched_bytes
from stream.kafka.faust.unreadable import UnpackLimits
from stream.kafka.fetch_policy import IDLE_MAX_WAIT_MS, FetchPolicy
from stream.kafka.group import GroupAnswers
from stream.kafka.input_topics import InputTopics, commit_metadata
from stream.kafka.probe import BrokerProbe

POLL_S = 0.2
# aiokafka repeats a commit to a deleted topic for ever. A commit that takes longer is tried again later.
COMMIT_TIMEOUT_S = 10.0
# aiokafka looks for the offsets of a deleted topic for 30 s.
LOOKUP_TIMEOUT_S = 5.0

log = structlog.get_logger(__name__)


class BatchConsumerThread(AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's consumer thread, with a lock that separates fetches from seeks.

    Every fetch carries the epoch of the last seek, so that the consumer never takes records read before a
    seek for current ones.

    Attributes:
        probe: the periodic probe of the broker.
        topics: the identity of the input topics.
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
        self._unread: dict[TP, int] = {}
        self._reported_ids: dict[str, str | None] = {}
        self._left_epoch = -1
        self.topics = InputTopics(config.retry_s, monotonic)
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
        try:
            await super().on_thread_stop()
        except asyncio.CancelledError:
            # aiokafka awaits the fetches that it has cancelled, and one that waits for its retry raises this
            # error before aiokafka closes the client. The thread would end without reporting its stop.
            await self._ensure_consumer()._client.close()

    async def _query_broker(self) -> Mapping[TopicPartition, int]:
        """Check the input topics, and return the ends of the partitions that were assigned so far."""
        consumer = self._ensure_consumer()
        topics = consumer.subscription()
        found = await read_topics(consumer._client, topics) if topics else {}
        if self.topics.observe(found):
            self._rejoin(consumer)
        assigned = [tp for tp in consumer.assignment() if self.topics.is_current(tp.topic)]
        if assigned:
            return {**self.probe.ends, **await consumer.end_offsets(assigned)}
        if not found and not await consumer._client.force_metadata_update():
            raise KafkaConnectionError("no broker of the cluster can be reached")
        return self.probe.ends

    def _rejoin(self, consumer: Any) -> None:
        """End the epoch: a rebalance drains the batches in flight and sets the positions again."""
        if self._left_epoch == self.position_epoch:
            return
        self._left_epoch = self.position_epoch
        log.warning("the input topics have changed, the worker joins its group again")
        # The leader of the group waits for this update before it assigns partitions.
        consumer._client.force_metadata_update()
        consumer._coordinator.request_rejoin()

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
                await self._leave_missing_offsets(consumer, exc.args[0])
                drained = {}
            except TopicAuthorizationFailedError as exc:
                # The watchdog ends the worker with the error of `InputTopics`.
                self.topics.deny(exc.args[0])
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

    def log_ends(self) -> dict[TP, int]:
        """Return the end of each assigned partition in the topics of this epoch.

        Fetches may already report the ends of a topic that was created again. The last probe before that
        did not. The event loop calls this method.
        """
        probed = self.probe.ends
        return {
            tp: probed.get(tp, 0) if self.topics.is_replaced(tp.topic) else end
            for tp, end in self.stable_ends().items()
        }

    def end_epoch(self, safe_offsets: Mapping[TP, int], ends: Mapping[TP, int]) -> None:
        """Record how many events each partition has from its safe offset on, at the end of an epoch.

        They are lost if the topic turns out to be deleted. The event loop calls this method.

        Args:
            safe_offsets: the safe offsets after the drain.
            ends: the ends of the partitions, as `log_ends` returned them before the drain.
        """
        self._unread.update({tp: max(0, ends.get(tp, 0) - at) for tp, at in safe_offsets.items()})

    async def set_positions(self) -> Mapping[TP, Position]:
        """Seek every assigned partition to the offset that the group has committed; return the positions.

        The partitions of a topic that does not exist have no position.
        """
        return await self.call_thread(self._set_positions)  # type: ignore[no-any-return]

    async def _set_positions(self) -> Mapping[TP, Position]:
        consumer = self._ensure_consumer()
        async with self._position_lock:
            self.position_epoch += 1
            self.topics.start_epoch(await find_topics(consumer, Deadline(REQUEST_TIMEOUT_S)))
            found = await find_positions(consumer, self.topics, self._config.start_at)
            for tp, position in found.positions.items():
                self._seek(consumer, tp, position.offset, position.skipped)
            self.probe.ends = {**self.probe.ends, **found.ends}
            self._report_recreated()
            return {TP(tp.topic, tp.partition): position for tp, position in found.positions.items()}

    def _report_recreated(self) -> None:
        for topic in sorted(self.topics.recreated):
            topic_id = self.topics.topic_id(topic)
            if self._reported_ids.get(topic) == topic_id:
                # Some partitions still have an offset of the deleted topic. The unread events are those of
                # the new topic.
                continue
            self._reported_ids[topic] = topic_id
            lost = {tp.partition: events for tp, events in self._unread.items() if tp.topic == topic}
            self._observer.on_topic_recreated(topic, lost)
        # Whether an absent topic was deleted is known only when it exists again.
        self._unread = {tp: events for tp, events in self._unread.items() if tp.topic in self.topics.absent}

    async def _leave_missing_offsets(self, consumer: Any, positions: Mapping[TopicPartition, int]) -> None:
        """Handle positions outside their logs.

        Before its beginning: retention removed the offsets, and reading continues at the beginning. Beyond
        its end: the log is shorter than it was, so the topic was created again or has lost records. The epoch
        ends, because the unfinished ranges belong to the earlier log.
        """
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT_S):
                beginnings = await consumer.beginning_offsets(list(positions))
        except (KafkaError, TimeoutError):
            return
        for tp, position in positions.items():
            if beginnings[tp] > position:
                self._seek(consumer, tp, beginnings[tp], beginnings[tp] - position)
            else:
                self._rejoin(consumer)
                await asyncio.sleep(POLL_S)

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
            tp: max(stable_end(consumer, tp) or 0, probed.get(tp, 0))
            for tp in consumer.assignment()
        }
        return {TP(tp.topic, tp.partition): end for tp, end in ends.items()}

    def blocked(self) -> dict[TP, int]:
        """Return the number of offsets of each assigned partition behind an open transaction."""
        consumer = self._ensure_consumer()
        return {TP(tp.topic, tp.partition): blocked_events(consumer, tp) for tp in consumer.assignment()}

    # ---- committing --------------------------------------------------------------------------------

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit; return True if the broker confirmed. After a failure, the next interval tries again."""
        consumer = self._ensure_consumer()
        assigned = self.assignment()
        wanted = {
            ensure_aiokafka_TP(tp): OffsetAndMetadata(at, commit_metadata(self.topics.topic_id(tp.topic)))
            for tp, at in offsets.items()
            # An offset of a deleted topic would be committed in the new topic of the same name.
            if tp in assigned and self.topics.is_current(tp.topic)
        }
        if not wanted:
            return False
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT_S):
                await consumer.commit(wanted)
        except (CommitFailedError, IllegalStateError) as exc:
            log.info("commit refused, the partitions were reassigned", error=str(exc))
            return False
        except (KafkaError, TimeoutError) as exc:
            log.warning("commit failed", error=str(exc) or type(exc).__name__)
            return False
        return len(wanted) == len(offsets)
