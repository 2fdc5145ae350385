"""Runs on a dead-letter topic: the replay of selected dead letters, and the import of a file."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from stream.dlq.edited_file import EditedFile
from stream.dlq.event_writer import EventWriter
from stream.dlq.ledger import ledger_topic
from stream.dlq.ledger_topic import LedgerRun, create_ledger, read_done
from stream.dlq.letters import StoredLetter, read_letter
from stream.dlq.offset_set import OffsetSet
from stream.dlq.replay import Outcome, ReplayPlan
from stream.dlq.replayer import DryRun, Pacer, Replayer, RunCounts, replay_letter
from stream.dlq.scan import Extent, TopicScan, open_reader, open_scan
from stream.dlq.selection import Selection
from stream.errors import Reason, UsageError
from stream.kafka.topics.cluster import describe_cluster
from stream.kafka.topics.wait import missing_topics
from stream.settings import Settings

PROGRESS_LINES = 100

Progress = Callable[[int, int], None]
"""Called with the number of read offsets or bytes, and the number of all of them."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of a run.

    Attributes:
        dead_topic: the dead-letter topic.
        max_attempts: a dead letter with this attempt is parked instead of replayed.
        to_topic: the topic of the events; empty for the input topic of each.
        again: True to send dead letters that were replayed before.
        dry_run: True to send and record nothing.
        rate: the maximum number of events per second; None for no limit.
    """

    dead_topic: str
    max_attempts: int
    to_topic: str = ""
    again: bool = False
    dry_run: bool = False
    rate: float | None = None


class Found(NamedTuple):
    """A selected dead letter, and whether it was replayed or parked before."""

    letter: StoredLetter
    done: bool


async def select(
    scan: TopicScan, selection: Selection, done: OffsetSet, progress: Progress
) -> AsyncIterator[list[Found]]:
    """Yield the selected dead letters of a topic, in lists of those that were read together.

    Args:
        scan: the dead-letter topic.
        selection: the conditions.
        done: the dead letters that were replayed or parked before.
        progress: called after each read.

    Raises:
        BrokerError: the topic cannot be read up to its end.
    """
    extent = scan.extent
    wanted = [partition for partition in extent.begin if selection.wants(partition)]
    total = sum(extent.end[partition] - extent.begin[partition] for partition in wanted)
    read: dict[int, int] = {}
    async for partition, records in scan.records(wanted):
        letters = [read_letter(partition, record) for record in records]
        yield [Found(letter, letter.position in done) for letter in letters if selection.matches(letter)]
        read[partition] = records[-1].offset + 1 - extent.begin[partition]
        progress(sum(read.values()), total)


async def done_before(settings: Settings, extent: Extent) -> OffsetSet:
    """Return the dead letters that were replayed or parked; none if the topic has no ledger.

    Args:
        settings: the address of the broker and the credentials.
        extent: the offsets of the dead-letter topic.

    Raises:
        BrokerError: the ledger cannot be read.
    """
    topics = (await describe_cluster(settings)).topics
    if ledger_topic(extent.topic) not in topics:
        return OffsetSet(extent.begin, extent.end)
    return await read_done(settings, extent)


async def replay_selected(
    settings: Settings, selection: Selection, options: RunOptions, counts: RunCounts, progress: Progress
) -> None:
    """Replay the selected dead letters that the topic has at the start.

    What becomes a dead letter again during the run is behind that end, so no event is sent twice in a run.

    Args:
        settings: the address of the broker and the credentials.
        selection: the conditions on a dead letter.
        options: the options of the run.
        counts: counts the outcomes; it is valid if the run ends with an error or is cancelled, too.
        progress: called after each read.

    Raises:
        Fatal: the broker did not confirm a batch, or another run has started.
    """
    async with open_scan(settings, options.dead_topic) as scan:
        topics = await _partition_counts(settings, options)
        parked_too = Reason.ATTEMPTS in selection.reasons
        plan = ReplayPlan(options.dead_topic, topics, options.max_attempts, options.to_topic, parked_too)
        async with _open_replayer(settings, options, scan.extent, topics, counts) as (replayer, done):
            async for found in select(scan, selection, done, progress):
                for letter, was_done in found:
                    skip = was_done and not options.again
                    await replay_letter(replayer, counts, letter, plan, done=skip)
            await replayer.flush()


async def replay_file(
    settings: Settings, path: Path, options: RunOptions, counts: RunCounts, progress: Progress
) -> None:
    """Send the events of an edited file, after a check of the whole file.

    Args:
        settings: the address of the broker and the credentials.
        path: the file.
        options: the options of the run; a dead letter from a file is not parked.
        counts: counts the outcomes; it is valid if the run ends with an error or is cancelled, too.
        progress: called after each part of the file.

    Raises:
        UsageError: a line of the file is invalid; nothing was sent.
        Fatal: the broker did not confirm a batch, or another run has started.
    """
    async with open_scan(settings, options.dead_topic) as scan:
        topics = await _partition_counts(settings, options)
        with EditedFile(path) as file:
            begin = file.check(options.dead_topic, scan.extent.end, () if options.to_topic else topics)
            extent = scan.extent._replace(begin=begin, end={p: scan.extent.end[p] for p in begin})
            async with _open_replayer(settings, options, extent, topics, counts) as (replayer, done):
                for number, letter in enumerate(file.letters()):
                    if letter.position in done and not options.again:
                        counts.add(Outcome.DONE_BEFORE, letter.reason)
                    else:
                        make = partial(letter.event, options.to_topic)
                        await replayer.send(Outcome.REPLAYED, letter.reason, make)
                    if number % PROGRESS_LINES == 0:
                        progress(file.position, file.size)
                await replayer.flush()


async def _partition_counts(settings: Settings, options: RunOptions) -> Mapping[str, int]:
    """Return the partition counts of all topics, by name.

    Raises:
        BrokerError: the broker does not answer, or the target topic does not exist.
        UsageError: the target topic is the dead-letter topic.
    """
    if options.to_topic in (options.dead_topic, ledger_topic(options.dead_topic)):
        raise UsageError(
            f"events cannot be replayed to {options.to_topic}",
            cause="it is the dead-letter topic, or its record of replays",
            fix="choose an input topic with --to",
        )
    found = (await describe_cluster(settings)).topics
    if options.to_topic and options.to_topic not in found:
        raise missing_topics([options.to_topic], settings)
    return {name: shape.partitions for name, shape in found.items()}


@asynccontextmanager
async def _open_replayer(
    settings: Settings, options: RunOptions, extent: Extent, topics: Mapping[str, int], counts: RunCounts
) -> AsyncIterator[tuple[Replayer | DryRun, OffsetSet]]:
    """Open a replayer, and return it with the dead letters that were replayed before."""
    if options.dry_run:
        yield DryRun(counts), await done_before(settings, extent)
        return
    await create_ledger(settings, extent.topic)
    async with (
        EventWriter(settings, topics) as writer,
        open_reader(settings, ledger_topic(extent.topic)) as reader,
    ):
        run = LedgerRun(reader, writer.append, extent)
        await run.start()
        yield Replayer(writer.write, run.record, Pacer(options.rate), counts), run.done
