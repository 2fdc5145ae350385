"""A run of a replay: batches of events, the confirmation of each, and its entry in the ledger."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

from stream.dlq.letters import Position, StoredLetter
from stream.dlq.replay import Event, Outcome, ReplayPlan, decide, parked, replayed

# What a run that is killed may have sent without an entry in the ledger is at most one batch.
BATCH_EVENTS = 500
BATCH_BYTES = 8 * 2**20


class Writer(Protocol):
    """Writes events, and returns the positions of those that are too large. See `EventWriter.write`."""

    async def __call__(self, events: Sequence[Event], /) -> set[Position]: ...


class Recorder(Protocol):
    """Records dead letters as replayed. See `LedgerRun.record`."""

    async def __call__(self, positions: Collection[Position], /) -> None: ...


class Pacer:
    """Limits the rate of events: a batch waits until the ones before it are due."""

    def __init__(
        self,
        rate: float | None,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """
        Args:
            rate: the maximum number of events per second; None for no limit.
            clock: returns monotonic seconds.
            sleep: waits for seconds.
        """
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._due = 0.0

    @property
    def batch_events(self) -> int:
        """The maximum number of events in a batch: those of one second."""
        return BATCH_EVENTS if self._rate is None else max(1, min(BATCH_EVENTS, int(self._rate)))

    async def wait(self, count: int) -> None:
        """Wait until `count` events may be sent."""
        if self._rate is None:
            return
        now = self._clock()
        if self._due > now:
            await self._sleep(self._due - now)
        self._due = max(self._due, now) + count / self._rate


@dataclass(slots=True)
class RunCounts:
    """The counts of a run.

    Attributes:
        outcomes: the number of dead letters by outcome; an event counts when the ledger has it.
        reasons: the number of replayed and parked dead letters by reason.
        sending: the number of events in the batch that is being sent.
    """

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    sending: int = 0


class Replayer:
    """Sends events in batches, and counts the outcome of each dead letter."""

    def __init__(self, write: Writer, record: Recorder, pacer: Pacer, counts: RunCounts) -> None:
        """
        Args:
            write: writes the events of a batch.
            record: records the dead letters of a batch as replayed.
            pacer: limits the rate.
            counts: counts the outcomes.
        """
        self._write = write
        self._record = record
        self._pacer = pacer
        self._batch: list[tuple[Outcome, str, Event]] = []
        self._bytes = 0
        self._counts = counts

    def skip(self, outcome: Outcome) -> None:
        """Count a dead letter for which nothing is sent."""
        self._counts.outcomes[outcome] += 1

    async def send(self, outcome: Outcome, reason: str, event: Event) -> None:
        """Add an event to the batch, and write the batch when it is full.

        Args:
            outcome: the outcome once the broker has confirmed the event.
            reason: the reason of the dead letter.
            event: the event.

        Raises:
            Fatal: the broker did not confirm the batch, or another run has started.
        """
        record = event.record
        self._batch.append((outcome, reason, event))
        self._bytes += len(record.key or b"") + len(record.value or b"")
        if len(self._batch) >= self._pacer.batch_events or self._bytes >= BATCH_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Write the batch, wait for its confirmation, and record it.

        Raises:
            Fatal: the broker did not confirm the batch, or another run has started.
        """
        batch, self._batch, self._bytes = self._batch, [], 0
        if not batch:
            return
        await self._pacer.wait(len(batch))
        self._counts.sending = len(batch)
        refused = await self._write([event for _, _, event in batch])
        written = [entry for entry in batch if entry[2].position not in refused]
        if written:
            await self._record([event.position for _, _, event in written])
        self._counts.sending = 0
        self._counts.outcomes[Outcome.REFUSED] += len(batch) - len(written)
        for outcome, reason, _ in written:
            self._counts.outcomes[outcome] += 1
            self._counts.reasons[reason] += 1


async def replay_letter(
    replayer: Replayer, letter: StoredLetter, plan: ReplayPlan, dead_topic: str, *, done: bool
) -> None:
    """Replay or park a dead letter, or count why not.

    Args:
        replayer: sends the event.
        letter: a selected dead letter.
        plan: the options of the replay.
        dead_topic: the dead-letter topic, to which a parked dead letter is written.
        done: True if the dead letter was replayed before and is not to be sent again.

    Raises:
        Fatal: the broker did not confirm a batch, or another run has started.
    """
    outcome = decide(letter, plan, done=done)
    if outcome is Outcome.REPLAYED:
        await replayer.send(outcome, letter.reason, replayed(letter, plan))
    elif outcome is Outcome.PARKED:
        await replayer.send(outcome, letter.reason, parked(letter, dead_topic))
    else:
        replayer.skip(outcome)
