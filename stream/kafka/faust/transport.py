"""Faust's aiokafka transport, changed so that whole record batches pass through it.

Records of a `BatchTopic` leave `_wait_next_records` per partition, as lists, before Faust makes an object a
record. Offsets are acknowledged as ranges. Everything else of Faust stays as it is. The private names that
this touches are asserted by a test, and Faust, mode and aiokafka are pinned (docs/adr/0002).
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from time import monotonic
from typing import Any

import faust
import structlog
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from stream.kafka.batches import RecordBatch
from stream.kafka.faust.consumer_thread import BatchConsumerThread
from stream.kafka.fetch_policy import FetchPolicy
from stream.kafka.probe import BrokerProbe
from stream.kafka.ranges import PartitionRanges
from stream.records import Record, Source

COMMIT_TIMEOUT_S = 5.0

log = structlog.get_logger(__name__)


class BatchTopic(faust.Topic):  # type: ignore[misc]
    """Marks a topic whose agent receives `RecordBatch` objects instead of single events.

    `events_at_once` tells how many events one of them should hold, `read_ahead` how many may wait for the
    agent before its partitions pause.
    """

    events_at_once: Callable[[], int] = staticmethod(lambda: 1_000)
    read_ahead: Callable[[], int] = staticmethod(lambda: 4_096)

    def clone(self, **changes: Any) -> "BatchTopic":
        """As Faust does when an agent begins to read: what is read from is the clone."""
        clone: BatchTopic = super().clone(**changes)
        clone.events_at_once = self.events_at_once
        clone.read_ahead = self.read_ahead
        return clone


class BatchConsumer(driver.Consumer):  # type: ignore[misc]
    """Hands out record batches, bounds what is unfinished, commits the contiguous prefix of finished ranges.

    An epoch is the time between two assignments. Batches of an earlier epoch are released: their late
    acknowledgements are ignored, since another worker reads their records again.
    """

    logger = logging.getLogger("faust.batches")

    start_at = "earliest"
    max_events = 20_000
    max_bytes = 64 * 2**20
    drain_s = 10.0
    fetch_policy = FetchPolicy(0.0, monotonic)
    on_waited: Callable[[float], None] = staticmethod(lambda _seconds: None)
    on_commit: Callable[[bool, float], None] = staticmethod(lambda _done, _seconds: None)
    on_offsets_skipped: Callable[[TP, int], None] = staticmethod(lambda _tp, _offsets: None)
    on_assigned: Callable[[Iterable[TP]], None] = staticmethod(lambda _tps: None)
    on_asked_again: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ranges: dict[TP, PartitionRanges] = {}
        self.epoch = 0
        self.queued_events = 0
        self.queued_bytes = 0
        self._queued_of: Counter[str] = Counter()
        self.in_flight_events = 0
        self.in_flight_bytes = 0
        self.progress = 0
        self.joined = False
        self._space = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # ---- reading -----------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether partitions are paused, because as much is unfinished as the settings allow."""
        return (
            self.queued_events + self.in_flight_events >= self.max_events
            or self.queued_bytes + self.in_flight_bytes >= self.max_bytes
        )

    async def _wait_next_records(self, timeout: float) -> tuple[dict[TP, list[Any]] | None, set[TP] | None]:
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        active = {tp for tp in self._get_active_partitions() if not self._pausing(tp.topic)}
        if not active:
            self._space.clear()
            await self.wait_first(self._space.wait(), self.suspend_flow.wait(), timeout=0.2)
            return None, None
        self.not_waiting_next_records.clear()
        try:
            epoch = self.epoch
            fetched = await self._getmany(active_partitions=active, timeout=timeout)
        finally:
            self.not_waiting_next_records.set()
        current = epoch == self.epoch and fetched.epoch == self._thread.position_epoch
        if not (current and self.joined and self.flow_active):
            await self._thread.put_back(fetched)
            return None, None
        ordinary = {}
        for tp, records in fetched.items():
            channel = self._channel(tp.topic)
            if channel is None:
                ordinary[tp] = records
            else:
                at_once = channel.events_at_once()
                for start in range(0, len(records), at_once):
                    self._deliver(TP(tp.topic, tp.partition), records[start : start + at_once], channel)
        return ordinary or None, active

    def reads_batches(self, tp: tuple[str, int]) -> bool:
        """Whether a partition's records reach an agent as they are. The consumer's thread asks this."""
        return tp in self.ranges

    def _pausing(self, topic: str) -> bool:
        channel = self._channel(topic)
        return channel is not None and (self.full or self._queued_of[topic] >= channel.read_ahead())

    def _channel(self, topic: str) -> BatchTopic | None:
        channels = self.app.topics._topic_name_index.get(topic, ())
        return next((c for c in channels if isinstance(c, BatchTopic)), None)

    def _deliver(self, tp: TP, records: list[Record], channel: BatchTopic) -> None:
        first, next_offset = records[0].offset, records[-1].offset + 1
        span = self.ranges[tp].open(first, next_offset)
        source = Source(tp.topic, tp.partition)
        batch = RecordBatch(source, records, span, self.epoch, self, monotonic())
        self._read_offset[tp] = next_offset
        self.queued_events += len(batch)
        self._queued_of[tp.topic] += len(batch)
        self.queued_bytes += batch.size_bytes
        self.progress += 1
        message = ConsumerMessage(
            topic=tp.topic,
            partition=tp.partition,
            offset=first,
            timestamp=0.0,
            timestamp_type=0,
            headers=(),
            key=None,
            value=None,
            checksum=None,
            tp=tp,
            # A stream passes over events of another generation.
            generation_id=self.app.consumer_generation_id,
        )
        channel.queue.force_put_nowait(self.app.create_event(None, batch, None, message))

    # ---- what an agent does with a batch -----------------------------------------------------------

    def take(self, batch: RecordBatch) -> bool:
        if self.is_released(batch) or not self.flow_active:
            # While flow is stopped a drain may have counted and committed already.
            return False
        self.queued_events -= len(batch)
        self._queued_of[batch.topic] -= len(batch)
        self.queued_bytes -= batch.size_bytes
        self._space.set()
        self.in_flight_events += len(batch)
        self.in_flight_bytes += batch.size_bytes
        self._idle.clear()
        self.on_waited(monotonic() - batch.delivered_at)
        return True

    def acknowledge(self, batch: RecordBatch) -> bool:
        if self.is_released(batch) or batch.span.acknowledged:
            return False
        self.ranges[TP(batch.topic, batch.partition)].acknowledge(batch.span)
        self.in_flight_events -= len(batch)
        self.in_flight_bytes -= batch.size_bytes
        self.progress += 1
        self._space.set()
        if not self.in_flight_events:
            self._idle.set()
        return True

    def is_released(self, batch: RecordBatch) -> bool:
        return batch.epoch != self.epoch

    @property
    def assigned(self) -> list[TP]:
        """The partitions that this worker reads."""
        return sorted(self.ranges)

    @property
    def probe(self) -> BrokerProbe:
        """Whether the broker answers."""
        probe: BrokerProbe = self._thread.probe
        return probe

    @property
    def broker_answers(self) -> bool:
        """Whether it did so lately."""
        return self.probe.healthy

    def lag(self) -> dict[TP, int]:
        """Events between the last stable offset of each assigned partition and what is safe to commit.

        Where nothing is unfinished it is counted from where reading goes on: the markers at the end of
        transactions have offsets and are no events.
        """
        ends, positions = self._thread.stable_ends(), self._thread.positions()
        finished = {
            tp: max(ranges.base, positions.get(tp, 0)) if ranges.idle else ranges.base
            for tp, ranges in self.ranges.items()
        }
        return {tp: max(0, ends.get(tp, 0) - offset) for tp, offset in finished.items()}

    # ---- committing --------------------------------------------------------------------------------

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        yield from super()._filter_tps_with_pending_acks(topics)
        for tp, ranges in self.ranges.items():
            if ranges.uncommitted and (topics is None or tp in topics or tp.topic in topics):
                yield tp

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        wanted = list(tps)
        offsets: dict[TP, int] = super()._filter_committable_offsets(
            tp for tp in wanted if tp not in self.ranges
        )
        offsets.update({tp: self.ranges[tp].base for tp in wanted if tp in self.ranges})
        return offsets

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        ours = {tp: at for tp, at in offsets.items() if tp in self.ranges}
        others = {tp: at for tp, at in offsets.items() if tp not in self.ranges}
        done = True
        if others:
            done = await super()._commit_offsets(others, start_new_transaction=start_new_transaction)
        if ours:
            epoch, began = self.epoch, monotonic()
            committed = await self._thread.commit(ours)
            self.on_commit(committed, monotonic() - began)
            if committed and epoch == self.epoch:
                for tp, at in ours.items():
                    self.ranges[tp].committed = at
            done = done and committed
        return done

    # ---- rebalance and stop ------------------------------------------------------------------------

    async def perform_seek(self) -> None:
        """Begin an epoch: every assigned partition is read from its committed offset."""
        self._new_epoch()
        self.on_assigned(self.assignment())
        positions = await self._thread.begin()
        self._read_offset.update({tp: p.offset for tp, p in positions.items()})
        self._committed_offset.update({tp: p.committed for tp, p in positions.items()})
        self.ranges = {
            tp: PartitionRanges(p.offset, p.committed)
            for tp, p in positions.items()
            if self._channel(tp.topic)
        }
        self.joined = True

    def _new_epoch(self) -> None:
        self.epoch += 1
        self.joined = False
        self.ranges = {}
        self.queued_events = self.queued_bytes = self.in_flight_events = self.in_flight_bytes = 0
        self._queued_of.clear()
        self._idle.set()
        self._space.set()

    async def drain(self, reason: str, within_s: float) -> None:
        """Hand out nothing more, wait for batches in flight, commit what is finished.

        Whatever is not finished in time stays uncommitted and is read again by the partition's next owner.
        """
        self.stop_flow()
        self.app.flow_control.suspend()
        dropped = self._drop_queued()
        if self.in_flight_events:
            await self._await_idle(reason, within_s)
        # Not wait_for: Faust swallows the cancellation, and a dead broker would be waited for.
        committing = asyncio.create_task(self._commit_all())
        done, _ = await asyncio.wait({committing}, timeout=COMMIT_TIMEOUT_S)
        if not done:
            log.warning("drain: the commit was not answered, events may be repeated", reason=reason)
        log.info("drained", reason=reason, released_events=dropped + self.in_flight_events)

    async def _commit_all(self) -> None:
        # A commit that runs already does not know what was acknowledged since it began.
        await self.maybe_wait_for_commit_to_finish()
        await self.commit()

    async def _await_idle(self, reason: str, within_s: float) -> None:
        try:
            await asyncio.wait_for(self._idle.wait(), within_s)
        except TimeoutError:
            log.warning(
                "drain: batches unfinished, they will be read again",
                reason=reason,
                events=self.in_flight_events,
            )

    def _drop_queued(self) -> int:
        dropped, self.queued_events, self.queued_bytes = self.queued_events, 0, 0
        self._queued_of.clear()
        for channel in self.app.topics:
            if isinstance(channel, BatchTopic):
                channel.queue.clear()
        return dropped

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        if self.ranges:
            await self.drain("partitions revoked", self.drain_s)
        self._new_epoch()
        await super().on_partitions_revoked(revoked)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust looks for stalls event by event; `stream.worker.watchdog` does it for batches."""

    async def on_task_error(self, exc: BaseException) -> None:
        """Faust commits here; nothing may be committed because something failed."""


class BatchProducer(driver.Producer):  # type: ignore[misc]
    """Faust's producer, idempotent: its own retries neither repeat nor reorder."""

    logger = logging.getLogger("faust.batches")

    on_retry: Callable[[], None] = staticmethod(lambda: None)

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    def _new_producer(self, transactional_id: str | None = None) -> Any:
        producer = super()._new_producer(transactional_id)
        accumulator = producer._message_accumulator
        put_back = accumulator.reenqueue

        def reenqueue(batch: Any) -> None:
            # Nothing else tells that a batch is sent again.
            self.on_retry()
            put_back(batch)

        accumulator.reenqueue = reenqueue
        return producer


class BatchTransport(driver.Transport):  # type: ignore[misc]
    """The transport that knows both."""

    Consumer = BatchConsumer
    Producer = BatchProducer
