"""The unpacking of fetched records by the codec, in place of aiokafka's."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any
from weakref import ref

import structlog
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from stream.codec import Record, load_codec
from stream.errors import UnreadableBatchError
from stream.kafka.faust.unreadable import UnpackLimits, describe, pointers, unreadable_error
from stream.kafka.faust.wire_batch import ResponseReader, WireBatch, batch_end
from stream.quarantine import format_offsets, missing

log = structlog.get_logger(__name__)


class IndexedMemoryRecords:
    """Stands in for aiokafka's `MemoryRecords`, and keeps its bytes.

    The fetcher creates one for each response. An exception would end the fetcher, and the consumer would wait
    without an error, so damaged bytes raise only when they are read.
    """

    def __init__(self, data: bytes | None) -> None:
        self.data = data or b""
        self._stop = 0
        self._records: Any = None

    def size_in_bytes(self) -> int:
        return len(self.data)

    def has_next(self) -> bool:
        """Return True if there is another batch; the first one counts even if it is incomplete."""
        return bool(self.data) and (self._stop == 0 or batch_end(self.data, self._stop) <= len(self.data))

    def next_batch(self) -> Any:
        if self._records is None:
            self._records = MemoryRecords(self.data)
        batch = self._records.next_batch()
        if batch is None:
            raise CorruptRecordException("the first batch of a response is incomplete")
        self._stop = batch_end(self.data, self._stop)
        return batch


def keep_fetched_bytes() -> None:
    """Make aiokafka's consumers in this process create `IndexedMemoryRecords` for fetched data."""
    fetcher.MemoryRecords = IndexedMemoryRecords


class PackedPartitionRecords(PartitionRecords):  # type: ignore[misc]
    """The records of one partition in a fetch response, unpacked by the codec.

    aiokafka creates a `ConsumerRecord` for each record in three calls, two thirds of the cost of reading.
    This class skips the same records: control records, aborted transactions, and records before the position.

    A batch that cannot be read ends the reading with an error, unless all its offsets are quarantined: then
    each becomes a damaged record without a value.
    """

    next_fetch_offset: int

    def __init__(self, *args: Any, limits: UnpackLimits) -> None:
        super().__init__(*args)
        self._codec = load_codec()
        self._limits = limits
        self._response = ResponseReader(self._records.data)
        self._parts: Iterator[list[Record]] = iter(())
        self._ready: list[Record] = []
        self._batch: WireBatch | None = None
        """The batch that is being read; None if it is not known where it ends."""
        self._batch_end: int | None = None
        """The position after the batch that is being read."""
        self._finished = False
        self._failure: UnreadableBatchError | None = None

    @classmethod
    def instead_of(
        cls, unread: PartitionRecords, limits: UnpackLimits | None = None
    ) -> "PackedPartitionRecords":
        """Take over the records of aiokafka's object, which must be unread and cannot be used afterwards."""
        # Its iterator refers back to it. This cycle would keep the response until the garbage collector runs.
        unread._records_iterator = None
        return cls(
            unread._tp,
            unread._records,
            unread._aborted_transactions,
            unread.next_fetch_offset,
            unread._key_deserializer,
            unread._value_deserializer,
            unread._check_crcs,
            unread._isolation_level,
            limits=limits or UnpackLimits(),
        )

    def __next__(self) -> Any:
        for record in self.take(1):
            return record
        raise StopIteration

    @property
    def exhausted(self) -> bool:
        """True if all records of the response were taken."""
        return self._finished and not self._ready

    def take(self, count: int | None = None) -> list[Any]:
        """Return the next records: `count` of them, fewer at the end or at a limit, all if it is None.

        Raises:
            UnreadableBatchError: the next batch cannot be read. Every later call raises the same error.
        """
        taken: list[Any] = []
        while count is None or len(taken) < count:
            if not self._ready and not self._read_on():
                break
            part = self._ready if count is None else self._ready[: count - len(taken)]
            self._ready = self._ready[len(part) :]
            taken += part
            self.next_fetch_offset = part[-1].offset + 1
        if self._failure is not None and not taken:
            raise self._failure.with_traceback(None)
        return taken

    def _read_on(self) -> bool:
        """Unpack the next records; return False at the end, at a limit or at a batch that cannot be read."""
        while not self._ready and self._failure is None and not self._finished:
            try:
                part = next(self._parts, None)
                if part is not None:
                    self._ready = part
                    break
                self._end_batch()
                if self._limits.reached:
                    break
                self._batch = self._response.next()
                if self._batch is None:
                    self._finished = True
                else:
                    self._open(self._batch)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as exc:  # noqa: BLE001 - a panic of a decompressor too concerns the batch
                self._pass_over(exc)
        return bool(self._ready)

    def _end_batch(self) -> None:
        if self._batch_end is not None:
            # Compaction may have removed the last records of a batch, and markers take offsets too.
            self.next_fetch_offset = self._batch_end
            self._batch = self._batch_end = None

    def _open(self, batch: WireBatch) -> None:
        if self._check_crcs and not batch.is_intact():
            raise ValueError("its checksum does not match")
        if not self._skips(batch):
            self._parts = batch.records(self._codec, self.next_fetch_offset, self._limits.expand)
        self._batch_end = batch.last_offset + 1

    def _skips(self, batch: WireBatch) -> bool:
        if self._isolation_level == READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.first_offset)
            if batch.control:
                markers = batch.records(self._codec, batch.first_offset, self._limits.expand)
                if self._contains_abort_marker(chain.from_iterable(markers)):
                    self._aborted_producers.discard(batch.producer_id)
            elif batch.transactional and batch.producer_id in self._aborted_producers:
                return True
        return batch.control

    def _unpack_records(self) -> Iterator[Any]:
        """Return an empty iterator for aiokafka's constructor; a generator would form a reference cycle."""
        return iter(())

    # ---- batches that cannot be read -----------------------------------------------------------------

    def _pass_over(self, cause: BaseException) -> None:
        """Go on after a batch that cannot be read if its offsets are quarantined, else set the error."""
        header = self._batch or self._response.header()
        position = self.next_fetch_offset
        first = max(position, header.first_offset) if header else position
        last = max(first, header.last_offset) if header else first
        offsets = range(first, last + 1)
        gaps = missing(offsets, self._limits.quarantine.of(*self._tp))
        if gaps:
            self._failure = unreadable_error(self._tp, offsets, gaps, cause)
            return
        if self._batch is None:
            # The position of the next batch is unknown, so the fetcher has to request it.
            self._response.skip_all()
        log.warning(
            "quarantined batch skipped",
            topic=self._tp.topic,
            partition=self._tp.partition,
            offsets=format_offsets(offsets),
            cause=describe(cause),
        )
        self._parts = pointers(offsets, header.timestamp if header else -1)
        self._batch_end = last + 1


class FetchBuffer(OrderedDict[TopicPartition, Any]):
    """aiokafka's buffer of fetch responses, in which the codec unpacks the records of chosen partitions.

    Attributes:
        unreadable: the partitions whose next batch the latest poll could not read, with the errors.
    """

    def __init__(
        self,
        packed: Callable[[TopicPartition], bool],
        received: Mapping[TopicPartition, Any] | None = None,
        limits: UnpackLimits | None = None,
    ) -> None:
        """
        Args:
            packed: returns True if the codec may unpack a partition's records.
            received: the responses that the fetcher holds already.
            limits: the limits on decompressed records, and the offsets to skip.
        """
        super().__init__()
        self.unreadable: dict[TopicPartition, UnreadableBatchError] = {}
        self._packed = packed
        self._limits = limits or UnpackLimits()
        for tp, response in (received or {}).items():
            self[tp] = response

    def begin_poll(self) -> None:
        """Prepare for a poll: clear `unreadable`, and allow a poll's bytes to be decompressed."""
        self.unreadable.clear()
        self._limits.begin_poll()
        # aiokafka may have received a response before its partition was one of those that the codec unpacks.
        for tp, received in self.items():
            self._unpack(tp, received)

    def __setitem__(self, tp: TopicPartition, received: Any) -> None:
        self._unpack(tp, received)
        super().__setitem__(tp, received)

    def _unpack(self, tp: TopicPartition, received: Any) -> None:
        if type(received) is not FetchResult:
            return
        unread = received._partition_records
        # aiokafka may have received this response before `keep_fetched_bytes` was called.
        if (
            type(unread) is PartitionRecords
            and type(unread._records) is IndexedMemoryRecords
            and self._packed(tp)
        ):
            received._partition_records = PackedPartitionRecords.instead_of(unread, self._limits)
            # The fetcher compares the exact class, so a subclass would not be read.
            received.getall = _getall(ref(received), self.unreadable)


def _getall(
    result: Callable[[], Any], unreadable: dict[TopicPartition, UnreadableBatchError]
) -> Callable[[int | None], list[Any]]:
    """Return a `FetchResult.getall` that takes many records at a time. A weak reference avoids a cycle.

    An error of one partition would discard the records that the fetcher has taken from others, so it is
    stored in `FetchBuffer.unreadable`.
    """

    def getall(max_records: int | None = None) -> list[Any]:
        received = result()
        tp = received._topic_partition
        if not received.check_assignment(tp) or not received.has_more():
            return []
        records = received._partition_records
        try:
            taken: list[Any] = records.take(max_records)
        except UnreadableBatchError as exc:
            # The traceback refers to this function's variables, which would form a cycle.
            unreadable[tp] = exc.with_traceback(None)
            taken = []
        received._update_position()
        if records.exhausted:
            received._partition_records = None
        return taken

    return getall


def read_with_codec(consumer: Any) -> FetchBuffer:
    """Make the codec unpack all records of a started consumer, which `keep_fetched_bytes` preceded.

    aiokafka's own records fail on a header name that is not UTF-8.
    """
    buffer = FetchBuffer(lambda _tp: True, consumer._fetcher._records)
    consumer._fetcher._records = buffer
    return buffer
