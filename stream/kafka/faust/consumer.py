"""Faust's aiokafka consumer, changed to pass on record batches instead of single events.

`_wait_next_records` groups the records of a `BatchTopic` by partition, before Faust would create an object
for each record. Agents acknowledge ranges of offsets. Everything else works as in Faust. A test asserts that
the private names used here exist; Faust, mode and aiokafka are pinned (docs/adr/0002).
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

import structlog
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from stream.deadline import Deadline
from stream.errors import BrokerError, UnreadableBatchError
from stream.kafka.batches import RecordBatch
from stream.kafka.consumer import ConsumerConfig, ConsumerObserver, PartitionProducers, PartitionProgress
from stream.kafka.faust.start_offsets import commit_start_offsets
from stream.kafka.faust.topic import BatchTopic
from stream.kafka.probe import BrokerProbe
from stream.kafka.ranges import PartitionRanges
from stream.kafka.unfinished import UnfinishedEvents
from stream.records import Record, Source

# The time for the last commit of a drain, after the drain's own deadline.
COMMIT_GRACE_S = 5.0

log = structlog.get_logger(__name__)


class BatchConsumer(driver.Consumer):  # type: ignore[misc]
    """Hands out record batches, limits unfinished events and commits the finished prefix of each partition.

    An epoch is the time between two assignments. The batches of an earlier epoch are released: the consumer
    ignores their late acknowledgements, because another worker reads their records again.

    Attributes:
        ranges: the uncommitted ranges of each assigned partition that an agent reads in batches.
        unfinished: the events that were read and are not finished.
        epoch: the number of the current epoch.
        progress: increases with every batch that is read or finished.
        joined: True while the consumer has an assignment, False during a rebalance.
    """

    logger = logging.getLogger("faust.batches")

    def __init__(
        self,
        *args: Any,
        config: ConsumerConfig,
        observer: ConsumerObserver,
        new_thread: Callable[["BatchConsumer"], Any],
        producers: PartitionProducers,
        **kwargs: Any,
    ) -> None:
        """
        Args:
            args: the positional arguments of Faust's consumer.
            config: the start position and the limits of the consumer.
            observer: the receiver of the consumer's events.
            new_thread: creates the thread in which aiokafka's consumer runs.
            producers: the producers of the partitions whose offsets are committed in transactions.
            kwargs: the keyword arguments of Faust's consumer.
        """
        self._config = config
        self._observer = observer
        self._new_thread = new_thread
        super().__init__(*args, **kwargs)
        self.ranges: dict[TP, PartitionRanges] = {}
        self.unfinished = UnfinishedEvents(config.max_events, config.max_bytes)
        self.epoch = 0
        self.progress = 0
        self.joined = False
        self._producers = producers
        self._opening: asyncio.Task[None] | None = None

    def _new_consumer_thread(self) -> Any:
        return self._new_thread(self)

    # ---- reading -----------------------------------------------------------------------------------

    async def _wait_next_records(self, timeout: float) -> tuple[dict[TP, list[Any]] | None, set[TP] | None]:
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        active = {tp for tp in self._get_active_partitions() if self._readable(tp)}
        if not active:
            self.unfinished.capacity.clear()
            await self.wait_first(self.unfinished.capacity.wait(), self.suspend_flow.wait(), timeout=0.2)
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
                size = channel.limits.record_batch_size
                for start in range(0, len(records), size):
                    self._deliver(TP(tp.topic, tp.partition), records[start : start + size], channel)
        self._end_if_unreadable(fetched.unreadable)
        return ordinary or None, active

    def _end_if_unreadable(self, errors: Mapping[TP, UnreadableBatchError]) -> None:
        """End the app with the error of a partition whose earlier events are finished.

        An exception would end Faust's fetcher instead, which then hangs when the app stops.
        """
        for tp, error in errors.items():
            if self.ranges[tp].idle:
                self.app.fail(error)

    def reads_batches(self, tp: tuple[str, int]) -> bool:
        """Return True if an agent receives a partition's records in batches. The thread calls this method."""
        return tp in self.ranges

    def _readable(self, tp: TP) -> bool:
        channel = self._channel(tp.topic)
        if channel is None:
            return True
        # A partition of a topic that does not exist has no range. aiokafka would choose its position itself.
        return (
            tp in self.ranges
            and not self.unfinished.full
            and self.unfinished.queued_of(tp.topic) < channel.limits.read_ahead
        )

    def _channel(self, topic: str) -> BatchTopic | None:
        channels = self.app.topics._topic_name_index.get(topic, ())
        return next((c for c in channels if isinstance(c, BatchTopic)), None)

    def _deliver(self, tp: TP, records: list[Record], channel: BatchTopic) -> None:
        first, next_offset = records[0].offset, records[-1].offset + 1
        offset_range = self.ranges[tp].open(first, next_offset)
        source = Source(tp.topic, tp.partition)
        batch = RecordBatch(source, records, offset_range, self.epoch, self, monotonic())
        self._read_offset[tp] = next_offset
        self.unfinished.queue(batch)
        self.progress += 1
        channel.put_batch(batch)

    # ---- the owner of a batch ----------------------------------------------------------------------

    def take(self, batch: RecordBatch) -> bool:
        """Count a batch as in flight. See `RecordBatch.take`."""
        if self.is_released(batch) or not self.flow_active:
            # While the flow is stopped, a drain may already have counted the batches in flight.
            return False
        self.unfinished.take(batch)
        self._observer.on_taken(monotonic() - batch.delivered_at)
        return True

    def acknowledge(self, batch: RecordBatch) -> bool:
        """Mark the offsets of a batch as finished. See `RecordBatch.acknowledge`."""
        if self.is_released(batch) or batch.offset_range.acknowledged:
            return False
        self.ranges[TP(batch.topic, batch.partition)].acknowledge(batch.offset_range)
        self.unfinished.finish(batch)
        self.progress += 1
        return True

    def is_released(self, batch: RecordBatch) -> bool:
        """Return True if a batch belongs to an earlier epoch."""
        return batch.epoch != self.epoch

    # ---- status ------------------------------------------------------------------------------------

    @property
    def assigned(self) -> list[TP]:
        """The partitions that this worker reads, sorted."""
        return sorted(self.ranges)

    @property
    def probe(self) -> BrokerProbe:
        """The probe that checks whether the broker answers."""
        probe: BrokerProbe = self._thread.probe
        return probe

    @property
    def group_refusal(self) -> str:
        """The refusal of the group's coordinator in words, empty without one."""
        refusal: str = self._thread.group_answers.refusal
        return refusal

    @property
    def broker_answers(self) -> bool:
        """True if the broker has answered a recent probe."""
        return self.probe.healthy

    def lag(self) -> dict[TP, int]:
        """Return the number of events of each assigned partition from the safe to the last stable offset."""
        ends, positions = self._thread.stable_ends(), self._thread.positions()
        return {
            tp: max(0, ends.get(tp, 0) - ranges.finished(positions.get(tp, 0)))
            for tp, ranges in self.ranges.items()
        }

    def partition_progress(self) -> dict[TP, PartitionProgress]:
        """Return the progress of each assigned partition."""
        lag = self.lag()
        return {
            tp: PartitionProgress(lag[tp], ranges.base, ranges.committed, not ranges.idle)
            for tp, ranges in self.ranges.items()
        }

    def blocked(self) -> dict[TP, int]:
        """Return the number of events of each assigned partition behind an open transaction.

        The number is the distance between the high watermark and the last stable offset. It includes the
        markers of transactions.
        """
        blocked = self._thread.blocked()
        return {tp: blocked.get(tp, 0) for tp in self.ranges}

    @property
    def topic_problem(self) -> str:
        """An input topic that cannot be read at the moment, in words; empty if there is none."""
        problem: str = self._thread.topics.problem
        return problem

    @property
    def topic_error(self) -> BrokerError | None:
        """The error that ends the worker: an input topic may not be read, or was deleted."""
        error: BrokerError | None = self._thread.topics.error
        return error

    # ---- committing --------------------------------------------------------------------------------

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        yield from super()._filter_tps_with_pending_acks(topics)
        for tp, ranges in self.ranges.items():
            # The offsets of an exactly-once route are committed in transactions.
            wanted = ranges.uncommitted and not self._is_transactional(tp)
            if wanted and (topics is None or tp in topics or tp.topic in topics):
                yield tp

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        wanted = list(tps)
        offsets: dict[TP, int] = super()._filter_committable_offsets(
            tp for tp in wanted if tp not in self.ranges
        )
        is_current = self._thread.topics.is_current
        offsets.update(
            # The thread does not commit to a deleted topic. Offered together, other topics would count as
            # not committed either.
            {tp: self.ranges[tp].base for tp in wanted if tp in self.ranges and is_current(tp.topic)}
        )
        return offsets

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        batched = {tp: at for tp, at in offsets.items() if tp in self.ranges}
        ordinary = {tp: at for tp, at in offsets.items() if tp not in self.ranges}
        done = True
        if ordinary:
            done = await super()._commit_offsets(ordinary, start_new_transaction=start_new_transaction)
        if batched:
            epoch, began = self.epoch, monotonic()
            committed = await self._thread.commit(batched)
            self._observer.on_commit(committed, monotonic() - began, batched)
            if committed and epoch == self.epoch:
                for tp, at in batched.items():
                    self.ranges[tp].committed = at
            done = done and committed
        return done

    # ---- rebalance and stop ------------------------------------------------------------------------

    async def perform_seek(self) -> None:
        """Start an epoch: read every assigned partition from its committed offset."""
        self._start_epoch()
        self._observer.on_assigned(self.assignment())
        transactional = [Source(*tp) for tp in self.assignment() if self._is_transactional(tp)]
        if transactional:
            # Faust cancels this method after 30 s; the producers may be opened for longer.
            self._opening = asyncio.create_task(self._open_and_seek(transactional))
            await asyncio.wait({self._opening})
        else:
            await self._set_positions()
            self.joined = True

    async def _open_and_seek(self, transactional: Sequence[Source]) -> None:
        """Open the producers of partitions, then read all partitions from their committed offsets.

        The order matters: an earlier producer of a partition may commit until the new one is open.
        """
        try:
            await self._producers.open(transactional)
            await self._set_positions()
            starts = {tp: ranges for tp, ranges in self.ranges.items() if self._is_transactional(tp)}
            await commit_start_offsets(self._producers, self._thread.topics, starts)
            self.joined = True
        except Exception as exc:  # noqa: BLE001 - nothing awaits the task, so an error has to end the app here
            self.app.fail(exc)

    def _is_transactional(self, tp: TP) -> bool:
        channel = self._channel(tp.topic)
        return channel is not None and channel.transactional

    async def _set_positions(self) -> None:
        positions = await self._thread.set_positions()
        self._read_offset.update({tp: p.offset for tp, p in positions.items()})
        self._committed_offset.update({tp: p.committed for tp, p in positions.items()})
        self.ranges = {
            tp: PartitionRanges(p.offset, p.committed)
            for tp, p in positions.items()
            if self._channel(tp.topic)
        }

    def _start_epoch(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
        self.epoch += 1
        self.joined = False
        self.ranges = {}
        self.unfinished.clear()

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Let Faust assign the partitions. Without any, start an epoch: Faust performs no seek."""
        await super().on_partitions_assigned(assigned, generation_id)
        if not assigned:
            self._start_epoch()
            self.joined = True

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Drain, then start an epoch without partitions."""
        if self.ranges:
            # A topic that was deleted may be created again during the drain.
            ends = self._thread.log_ends()
            await self.drain("partitions revoked", Deadline(self._config.drain_s if self.app.drains else 0.0))
            self._thread.end_epoch({tp: ranges.base for tp, ranges in self.ranges.items()}, ends)
        self._start_epoch()
        await self.close_producers()
        await super().on_partitions_revoked(revoked)

    async def close_producers(self) -> None:
        """Abort the open transactions, and close the transactional producers."""
        if self._opening is not None:
            self._opening.cancel()
        await self._producers.close()

    async def drain(self, reason: str, deadline: Deadline) -> None:
        """Stop handing out batches, wait for the batches in flight, and commit the finished offsets.

        The offsets of batches that do not finish in time stay uncommitted; the next owner of the partition
        reads their records again.

        Args:
            reason: the reason, for the log.
            deadline: the time by which the batches in flight have to finish. The commit gets `COMMIT_GRACE_S`
                in addition, so that a drain without time for the batches commits what is already finished.
        """
        self.stop_flow()
        self.app.flow_control.suspend()
        dropped = self._drop_queued()
        if not deadline.expired:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.unfinished.idle.wait(), deadline.remaining())
        in_flight = self.unfinished.in_flight_events
        if in_flight:
            log.warning(
                "drain incomplete, the unfinished events will be read again", reason=reason, events=in_flight
            )
        # asyncio.wait_for would cancel a late commit, but Faust swallows the cancellation and keeps waiting.
        committing = asyncio.create_task(self._commit_all())
        done, _ = await asyncio.wait({committing}, timeout=deadline.extended(COMMIT_GRACE_S).remaining())
        if not done:
            log.warning("the broker did not answer the commit, events may be repeated", reason=reason)
        log.info("drained", reason=reason, released_events=dropped + self.unfinished.in_flight_events)

    async def _commit_all(self) -> None:
        # A running commit does not include the batches that were acknowledged after its start.
        await self.maybe_wait_for_commit_to_finish()
        await self.commit()

    def _drop_queued(self) -> int:
        for channel in self.app.topics:
            if isinstance(channel, BatchTopic):
                channel.queue.clear()
        return self.unfinished.drop_queued()

    # ---- behaviour of Faust that batches replace ----------------------------------------------------

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Do nothing: Faust would detect stalls event by event; `stream.worker.watchdog` detects them."""

    async def on_task_error(self, exc: BaseException) -> None:
        """Do nothing: Faust would commit, but a failure is no reason to commit."""
