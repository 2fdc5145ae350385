"""A run of a replay: batches of events, the confirmation of each, and its entry in the ledger."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Protocol

from stream.dlq.letters import Position, StoredLetter
from stream.dlq.replay import Event, Outcome, ReplayPlan, decide, parked, replayed

# What a run that is killed may have sent without an entry in the ledger is at most one batch.
BATCH_EVENTS = 500
BATCH_BYTES = 8 * 2**20
SENT = frozenset((Outcome.REPLAYED, Outcome.PARKED))

MakeEvent = Callable[[], Event]


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

    def add(self, outcome: Outcome, reason: str) -> None:
        """Count a dead letter."""
        self.outcomes[outcome] += 1
        if outcome in SENT:
            self.reasons[reason] += 1


class DryRun:
    """Counts the outcome that each dead letter would have; it has the interface of `Replayer`."""

    def __init__(self, counts: RunCounts) -> None:
        """
        Args:
            counts: counts the outcomes.
        """
        self._counts = counts

    async def send(self, outcome: Outcome, reason: str, _make: MakeEvent) -> None:
        """Count a dead letter, and make no event of it."""
        self._counts.add(outcome, reason)

    async def flush(self) -> None:
        """Do nothing: there is no batch."""


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

    async def send(self, outcome: Outcome, reason: str, make: MakeEvent) -> None:
        """Add the event of a dead letter to the batch, and write the batch when it is full.

        Args:
            outcome: the outcome once the broker has confirmed the event.
            reason: the reason of the dead letter.
            make: returns the event.

        Raises:
            Fatal: the broker did not confirm the batch, or another run has started.
        """
        event = make()
        self._batch.append((outcome, reason, event))
        self._bytes += len(event.record.key or b"") + len(event.record.value or b"")
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
        for outcome, reason, event in batch:
            self._counts.add(Outcome.REFUSED if event.position in refused else outcome, reason)


async def replay_letter(
    replayer: Replayer | DryRun, counts: RunCounts, letter: StoredLetter, plan: ReplayPlan, *, done: bool
) -> None:
    """Replay or park a dead letter, or count why not.

    Args:
        replayer: sends the event.
        counts: counts the outcome if nothing is sent.
        letter: a selected dead letter.
        plan: the options of the replay.
        done: True if the dead letter was replayed before and is not to be sent again.

    Raises:
        Fatal: the broker did not confirm a batch, or another run has started.
    """
    outcome = decide(letter, plan, done=done)
    if outcome in SENT:
        make = replayed if outcome is Outcome.REPLAYED else parked
        await replayer.send(outcome, letter.reason, partial(make, letter, plan))
    else:
        counts.add(outcome, letter.reason)
