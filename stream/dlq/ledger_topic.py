"""The ledger in Kafka: its topic, the entries of earlier runs, and those of this one."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from secrets import token_hex
from time import monotonic
from typing import Protocol

from aiokafka import TopicPartition

from stream.codec import Outgoing, Record
from stream.dlq.ledger import Entry, add_entry, decode_entry, encode_entry, ledger_topic
from stream.dlq.letters import Position
from stream.dlq.offset_set import OffsetSet, Ranges, to_ranges
from stream.dlq.scan import IDLE_S, Extent, open_scan
from stream.errors import BrokerError, FencedError
from stream.kafka.topic_reader import TopicReader
from stream.kafka.topics.cluster import describe_cluster
from stream.kafka.topics.setup import TopicPlan, create_topic
from stream.records import pack_record
from stream.settings import Settings

POLL_MS = 200
MAX_REPLICAS = 3
# The entries have to outlive the dead letters, and are small.
CONFIGS = {"cleanup.policy": "delete", "retention.ms": "-1", "compression.type": "producer"}


class Appender(Protocol):
    """Writes a record to the first partition of a topic, and waits for its confirmation."""

    async def __call__(self, topic: str, record: Outgoing) -> None: ...


async def create_ledger(settings: Settings, dead_topic: str) -> None:
    """Create the ledger of a dead-letter topic if it does not exist.

    Raises:
        BrokerError: the broker refuses the topic.
    """
    name = ledger_topic(dead_topic)
    try:
        brokers = len((await describe_cluster(settings)).brokers)
        await create_topic(settings, TopicPlan(name, 1, min(MAX_REPLICAS, max(1, brokers)), CONFIGS))
    except BrokerError as exc:
        settings_of_topic = " ".join(f"--config {key}={value}" for key, value in CONFIGS.items())
        raise BrokerError(
            f"topic {name}, which records what was replayed, could not be created",
            cause=exc.cause or exc.message,
            fix=f"create it: kafka-topics.sh --bootstrap-server {settings.broker} --create --topic {name} "
            f"--partitions 1 {settings_of_topic}",
        ) from exc


async def read_done(settings: Settings, extent: Extent) -> OffsetSet:
    """Return the dead letters that earlier runs have replayed.

    Args:
        settings: the address of the broker and the credentials.
        extent: the offsets of the dead-letter topic, whose ledger has to exist.

    Raises:
        BrokerError: the ledger cannot be read.
    """
    done = OffsetSet(extent.begin, extent.end)
    async with open_scan(settings, ledger_topic(extent.topic)) as scan:
        async for _, records in scan.records([0]):
            for record in records:
                entry = decode_entry(record.value)
                if entry is not None:
                    add_entry(done, entry, extent.topic_id)
    return done


class LedgerRun:
    """The entries of one run.

    Attributes:
        done: the dead letters that earlier runs have replayed.
    """

    def __init__(
        self,
        reader: TopicReader,
        append: Appender,
        extent: Extent,
        clock: Callable[[], float] = monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """
        Args:
            reader: a reader that was started without topics.
            append: writes an entry.
            extent: the offsets of the dead-letter topic.
            clock: returns monotonic seconds.
            now: returns the current time.
        """
        self._reader = reader
        self._append = append
        self._extent = extent
        self._topic = ledger_topic(extent.topic)
        self._clock = clock
        self._now = now
        self._run = token_hex(8)
        self._number = 0
        self.done = OffsetSet(extent.begin, extent.end)

    async def start(self) -> None:
        """Write the start of the run, and read the entries before it into `done`.

        Raises:
            BrokerError: the ledger cannot be written or read.
        """
        ledger = TopicPartition(self._topic, 0)
        self._reader.consumer.assign([ledger])
        await self._reader.consumer.seek_to_beginning(ledger)
        await self._write({}, lambda entry: add_entry(self.done, entry, self._extent.topic_id))

    async def record(self, positions: Collection[Position]) -> None:
        """Record dead letters as replayed.

        Raises:
            FencedError: a later run has started. The entry is written, and this run has to stop.
            BrokerError: the ledger cannot be written or read.
        """
        await self._write(to_ranges(positions), self._check_start)

    def _check_start(self, entry: Entry) -> None:
        """Stop this run if another one has started."""
        if entry.number == 0:
            raise FencedError(
                f"another replay of {self._extent.topic} has started",
                cause="two replays at the same time would send events twice, so the earlier one stops",
                fix="wait for the other one; what both have sent is at most one batch",
            )

    async def _write(self, done: Mapping[int, Ranges], on_other: Callable[[Entry], None]) -> None:
        """Write an entry, and read the entries up to it.

        Args:
            done: the replayed dead letters.
            on_other: called with each entry of another run.
        """
        entry = Entry(self._run, self._number, self._extent.topic_id, done)
        self._number += 1
        value = encode_entry(entry, self._now().isoformat(timespec="milliseconds"))
        await self._append(self._topic, pack_record(None, value, (), -1))
        last_read = self._clock()
        while self._clock() - last_read < IDLE_S:
            for records in (await self._reader.poll(POLL_MS)).values():
                last_read = self._clock()
                if self._reads(records, entry.number, on_other):
                    return
        raise BrokerError(
            f"topic {self._topic} cannot be read up to its end",
            cause=f"the entry that this run has written was not read within {IDLE_S:g} s",
            fix="check the brokers of the topic: labelstream doctor",
        )

    def _reads(self, records: Sequence[Record], own_number: int, on_other: Callable[[Entry], None]) -> bool:
        """Pass on the entries of other runs, and return True if the records have this run's entry."""
        reached = False
        for record in records:
            entry = decode_entry(record.value)
            if entry is None:
                continue
            if entry.run == self._run:
                reached = reached or entry.number == own_number
            else:
                on_other(entry)
        return reached
