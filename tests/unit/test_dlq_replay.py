"""Outcomes and records of a replay, batches, rates, and runs that end early."""

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.codec import Outgoing
from stream.dlq.letters import Position, StoredLetter, read_letter
from stream.dlq.offset_set import OffsetSet, to_ranges
from stream.dlq.replay import EXPLANATIONS, Event, Outcome, ReplayPlan, decide, parked, replayed
from stream.dlq.replayer import BATCH_EVENTS, DryRun, Pacer, Replayer, RunCounts, replay_letter
from stream.errors import Reason
from stream.records import DeadLetter, dead_letter_headers
from stream.records.dead_letters import MAX_ATTEMPTS
from stream.records.quarantined import DAMAGED, POINTER
from tests.dead_letters import TIME, letter
from tests.unit.records import SOURCE, FakeRecord, contents

PLAN = ReplayPlan("texts.dead", {"texts"})
LAST = {"attempt": b"3"}


@pytest.mark.parametrize(
    ("added", "plan", "outcome"),
    [
        ({}, PLAN, Outcome.REPLAYED),
        ({"attempt": b"2"}, PLAN, Outcome.REPLAYED),
        (LAST, PLAN, Outcome.PARKED),
        (LAST, ReplayPlan("texts.dead", {"texts"}, max_attempts=4), Outcome.REPLAYED),
        ({"reason": b"attempts"}, PLAN, Outcome.PARKED_BEFORE),
        ({"reason": b"attempts"}, ReplayPlan("d", {"texts"}, parked_too=True), Outcome.REPLAYED),
        ({"reason": b"attempts", **LAST}, ReplayPlan("d", {"texts"}, parked_too=True), Outcome.PARKED_BEFORE),
        ({"reason": None}, PLAN, Outcome.FOREIGN),
        ({"truncated": b"true"}, PLAN, Outcome.INCOMPLETE),
        ({"truncated": b"true", **LAST}, PLAN, Outcome.INCOMPLETE),
        ({"reason": b"quarantined", "message": POINTER.encode()}, PLAN, Outcome.INCOMPLETE),
        ({"reason": b"quarantined"}, PLAN, Outcome.REPLAYED),
        ({"reason": b"decode", "message": DAMAGED.encode()}, PLAN, Outcome.INCOMPLETE),
        ({"topic": None}, PLAN, Outcome.NO_ORIGIN),
        ({"topic": None}, ReplayPlan("d", {"retry"}, to_topic="retry"), Outcome.REPLAYED),
        ({"topic": b"gone"}, PLAN, Outcome.NO_TOPIC),
        ({"topic": b"gone"}, ReplayPlan("d", {"retry"}, to_topic="retry"), Outcome.REPLAYED),
    ],
)
def test_each_dead_letter_has_one_outcome(added: dict[str, Any], plan: ReplayPlan, outcome: Outcome) -> None:
    assert decide(letter(**added), plan, done=False) is outcome
    done = Outcome.FOREIGN if outcome is Outcome.FOREIGN else Outcome.DONE_BEFORE
    assert decide(letter(**added), plan, done=True) is done


def test_every_outcome_has_an_explanation() -> None:
    assert set(EXPLANATIONS) == set(Outcome)


def test_a_replayed_event_is_the_original_with_its_id_and_its_attempts() -> None:
    headers = (
        ("source", b"crm"),
        ("source", b"mail"),
        ("content-type", b"text/plain"),
        ("caf\udce9", b"\xff"),
    )
    event = replayed(letter(b"hi", key=b"k", headers=headers, attempt=b"2"), PLAN)
    assert (event.topic, event.partition, event.position) == ("texts", 3, Position(3, 17))
    own = [("labelstream-id", b"t-7"), ("labelstream-error-attempt", b"2")]
    assert contents(event.record) == (b"k", b"hi", [*headers, *own], TIME)


def test_a_tombstone_is_replayed_as_one() -> None:
    record = replayed(letter(None, key=b"k", reason=b"too-large"), PLAN).record
    assert (record.key, record.value) == (b"k", None)


@given(st.integers(1, 5), st.binary(max_size=3))
def test_the_worker_counts_each_replay(replays: int, value: bytes) -> None:
    """A worker makes a dead letter of the replayed event, whose attempt is one more and whose id stays."""
    found = letter(value, attempt=b"1")
    for attempt in range(2, replays + 2):
        sent = replayed(found, PLAN).record
        record = FakeRecord(sent.value, sent.key, tuple(sent.headers), 99, sent.timestamp)
        dead = DeadLetter(record, SOURCE, "t-7", Reason.SCHEMA, "text is missing")
        found = read_letter(3, FakeRecord(value, b"k", tuple(dead_letter_headers(dead, "g")), 18, TIME))
        assert (found.attempt, found.id) == (attempt, "t-7")
        assert len([name for name, _ in found.record.headers if name.startswith("labelstream-")]) == 10


def test_the_largest_attempt_is_not_exceeded() -> None:
    record = replayed(letter(attempt=b"%d" % MAX_ATTEMPTS), PLAN).record
    assert dict(record.headers)["labelstream-error-attempt"] == b"%d" % MAX_ATTEMPTS


def test_a_parked_dead_letter_differs_in_reason_and_message_only() -> None:
    before = letter(b"hi", headers=(("source", b"crm"),), attempt=b"3")
    event = parked(before, PLAN)
    assert (event.topic, event.partition) == ("texts.dead", 3)
    changed = dict(event.record.headers)
    assert changed.pop("labelstream-error-reason") == b"attempts"
    assert (
        changed.pop("labelstream-error-message")
        == b"processed 3 times, the last time schema: text is missing"
    )
    assert changed.items() < dict(before.record.headers).items()
    after = read_letter(3, FakeRecord(b"hi", b"k", tuple(event.record.headers), 18, event.record.timestamp))
    assert decide(after, PLAN, done=False) is Outcome.PARKED_BEFORE


# ---- batches, rates, and runs that end early -------------------------------------------------------------


class KilledError(Exception):
    """Stands for the end of the process."""


class FakeBroker:
    """Stands in for the broker and the ledger, and ends the run at a chosen step.

    Attributes:
        sent: the ids of the events in the input topic.
        done: the dead letters in the ledger.
        too_large: the positions of events that the topic refuses.
    """

    def __init__(self, kill_at: Sequence[int] = ()) -> None:
        self.sent: list[str] = []
        self.batches: list[int] = []
        self.done: set[Position] = set()
        self.too_large: set[Position] = set()
        self._kill_at = set(kill_at)
        self._step = 0

    async def write(self, events: Sequence[Event]) -> set[Position]:
        self.batches.append(len(events))
        for event in events:
            self._count_step()
            if event.position not in self.too_large:
                self.sent.append(event_id(event.record))
        self._count_step()
        return self.too_large & {event.position for event in events}

    async def record(self, positions: Collection[Position]) -> None:
        self._count_step()
        self.done |= set(positions)
        self._count_step()

    def _count_step(self) -> None:
        self._step += 1
        if self._step in self._kill_at:
            raise KilledError


def event_id(record: Outgoing) -> str:
    return dict(record.headers)["labelstream-id"].decode()


def letters(count: int) -> list[StoredLetter]:
    """Return dead letters in two partitions."""
    return [letter(event_id=f"e-{n}", partition=n % 2, offset=n // 2) for n in range(count)]


async def replay(broker: FakeBroker, found: Sequence[StoredLetter], pacer: Pacer) -> RunCounts:
    counts = RunCounts()
    replayer = Replayer(broker.write, broker.record, pacer, counts)
    for one in found:
        await replay_letter(replayer, counts, one, PLAN, done=one.position in broker.done)
    await replayer.flush()
    return counts


class FakeClock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def pacer(rate: float | None) -> Pacer:
    clock = FakeClock()
    return Pacer(rate, clock, clock.sleep)


@given(st.integers(0, 30), st.lists(st.integers(1, 120), max_size=4), st.integers(1, 7))
async def test_a_run_that_is_killed_anywhere_goes_on_and_repeats_at_most_a_batch(
    count: int, kill_at: list[int], batch: int
) -> None:
    broker, kills = FakeBroker(kill_at), 0
    while True:
        try:
            counts = await replay(broker, letters(count), pacer(float(batch)))
        except KilledError:
            kills += 1
            continue
        break
    sent = Counter(broker.sent)
    assert set(sent) == {f"e-{n}" for n in range(count)}
    assert sent.total() - count <= kills * batch
    assert sum(counts.outcomes.values()) == count
    again = await replay(broker, letters(count), pacer(None))
    assert again.outcomes == Counter({Outcome.DONE_BEFORE: count} if count else {})


async def test_batches_hold_as_many_events_as_documented() -> None:
    broker = FakeBroker()
    counts = await replay(broker, letters(1_200), pacer(None))
    assert broker.batches == [BATCH_EVENTS, BATCH_EVENTS, 200]
    assert counts.outcomes == {Outcome.REPLAYED: 1_200}
    assert counts.reasons == {"schema": 1_200}


async def test_large_events_are_sent_in_smaller_batches() -> None:
    broker = FakeBroker()
    large = [letter(b"x" * 2**20, offset=n) for n in range(20)]
    await replay(broker, large, pacer(None))
    assert broker.batches == [8, 8, 4]


@pytest.mark.parametrize(("rate", "seconds"), [(10.0, 9.0), (0.5, 198.0), (1000.0, 0.0)])
async def test_a_rate_spaces_the_batches(rate: float, seconds: float) -> None:
    clock = FakeClock()
    await replay(FakeBroker(), letters(100), Pacer(rate, clock, clock.sleep))
    assert clock.now - 100 == pytest.approx(seconds)


async def test_an_event_that_is_too_large_is_counted_and_not_recorded() -> None:
    broker = FakeBroker()
    broker.too_large = {Position(0, 1)}
    counts = await replay(broker, letters(4), pacer(None))
    assert counts.outcomes == {Outcome.REPLAYED: 3, Outcome.REFUSED: 1}
    assert broker.done == {(0, 0), (1, 0), (1, 1)}
    broker.too_large = {Position(0, 0)}
    assert (await replay(broker, letters(1), pacer(None))).outcomes == {Outcome.DONE_BEFORE: 1}


async def test_the_batch_that_is_being_sent_is_known_after_an_error() -> None:
    counts = RunCounts()
    replayer = Replayer(FakeBroker([3]).write, FakeBroker().record, pacer(None), counts)
    for one in letters(5):
        await replay_letter(replayer, counts, one, PLAN, done=False)
    with pytest.raises(KilledError):
        await replayer.flush()
    assert (counts.sending, counts.outcomes) == (5, {})


async def test_a_dry_run_counts_the_same_outcomes() -> None:
    counts, found = RunCounts(), [*letters(3), letter(attempt=b"3"), letter(truncated=b"true")]
    for one in found:
        await replay_letter(DryRun(counts), counts, one, PLAN, done=False)
    await DryRun(counts).flush()
    assert counts.outcomes == {Outcome.REPLAYED: 3, Outcome.PARKED: 1, Outcome.INCOMPLETE: 1}


# ---- sets of offsets -------------------------------------------------------------------------------------

RANGES = st.lists(st.tuples(st.integers(0, 2), st.integers(-5, 60), st.integers(-5, 60)))


@given(RANGES, st.integers(0, 20), st.integers(0, 30))
def test_a_set_of_offsets_holds_the_added_ranges(
    ranges: list[tuple[int, int, int]], begin: int, count: int
) -> None:
    found = OffsetSet({0: begin, 1: 0}, {0: begin + count, 1: 40})
    expected = set()
    for partition, first, last in ranges:
        found.add_range(partition, first, last)
        expected |= {(partition, offset) for offset in range(first, last + 1)}
    for offset in range(-8, 70):
        assert (Position(0, offset) in found) is ((0, offset) in expected and begin <= offset < begin + count)
        assert (Position(1, offset) in found) is ((1, offset) in expected and 0 <= offset < 40)
        assert Position(2, offset) not in found


@given(st.sets(st.builds(Position, st.integers(0, 2), st.integers(0, 30))))
def test_ranges_hold_the_positions(positions: set[Position]) -> None:
    ranges = to_ranges(positions)
    assert {
        Position(p, o) for p, found in ranges.items() for a, b in found for o in range(a, b + 1)
    } == positions
    for found in ranges.values():
        assert all(last + 1 < first for (_, last), (first, _) in pairwise(found))


def test_ranges_of_a_ledger_cannot_fill_the_memory() -> None:
    found = OffsetSet({0: 10}, {0: 20})
    found.add_range(0, 0, 2**62)
    assert Position(0, 19) in found
    assert Position(0, 20) not in found
