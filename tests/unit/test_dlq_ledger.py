"""The ledger of replays: entries, earlier runs, and two runs at the same time."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.codec import Outgoing
from stream.dlq.ledger import Entry, add_entry, decode_entry, encode_entry, ledger_topic
from stream.dlq.ledger_topic import LedgerRun
from stream.dlq.letters import Position
from stream.dlq.offset_set import OffsetSet
from stream.dlq.scan import Extent
from stream.errors import BrokerError, FencedError
from tests.unit.records import FakeRecord

EXTENT = Extent("texts.dead", "id-1", {0: 0, 1: 0}, {0: 100, 1: 100})


class FakeConsumer:
    """Stands in for the consumer of aiokafka."""

    def assign(self, partitions: Sequence[Any]) -> None:
        self.assigned = partitions

    async def seek_to_beginning(self, *partitions: Any) -> None:
        assert [*partitions] == self.assigned


class FakeLog:
    """Stands in for the ledger topic."""

    def __init__(self) -> None:
        self.values: list[bytes | None] = []

    async def append(self, topic: str, record: Outgoing) -> None:
        assert topic == "texts.dead.replayed"
        self.values.append(record.value)


class FakeReader:
    """Stands in for a `TopicReader` of the ledger, and returns one record per poll."""

    def __init__(self, log: FakeLog) -> None:
        self.consumer = FakeConsumer()
        self._log = log
        self._read = 0

    async def poll(self, timeout_ms: int) -> dict[str, list[FakeRecord]]:
        await asyncio.sleep(0)
        values = self._log.values[self._read : self._read + 1]
        self._read += len(values)
        return {"0": [FakeRecord(value) for value in values]} if values else {}


def make_run(log: FakeLog, extent: Extent = EXTENT, **given_: Any) -> LedgerRun:
    return LedgerRun(FakeReader(log), log.append, extent, **given_)  # type: ignore[arg-type]


@given(
    st.text(),
    st.integers(0, 9),
    st.none() | st.text(min_size=1),
    st.dictionaries(st.integers(0, 9), st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)))),
)
def test_an_entry_is_read_as_it_was_written(
    run: str, number: int, topic_id: str | None, done: dict[int, list[tuple[int, int]]]
) -> None:
    entry = Entry(run, number, topic_id, done)
    assert decode_entry(encode_entry(entry, "now")) == entry


@given(
    st.none() | st.binary() | st.sampled_from((b"{}", b"[]", b'{"run":1,"number":0,"topic_id":1,"done":[7]}'))
)
def test_any_other_record_is_no_entry(value: bytes | None) -> None:
    assert decode_entry(value) is None


def test_an_entry_about_a_deleted_topic_does_not_count() -> None:
    for own, other, counts in (("a", "b", False), ("a", "a", True), (None, "a", True), ("a", None, True)):
        done = OffsetSet({0: 0}, {0: 9})
        add_entry(done, Entry("r", 1, own, {0: [(1, 1)]}), other)
        assert (Position(0, 1) in done) is counts


async def test_a_run_knows_what_earlier_runs_have_replayed() -> None:
    log = FakeLog()
    first = make_run(log)
    await first.start()
    await first.record([Position(0, 1), Position(0, 2), Position(1, 7)])
    log.values += [b"not an entry", None]
    second = make_run(log)
    await second.start()
    found = [p for p in (Position(n, o) for n in (0, 1) for o in range(10)) if p in second.done]
    assert found == [(0, 1), (0, 2), (1, 7)]
    new = make_run(log, EXTENT._replace(topic_id="id-2"))
    await new.start()
    assert Position(0, 1) not in new.done


async def test_the_earlier_of_two_runs_stops_after_its_batch() -> None:
    log = FakeLog()
    first, second = make_run(log), make_run(log)
    await first.start()
    await first.record([Position(0, 1)])
    await second.start()
    with pytest.raises(FencedError, match=r"another replay of texts\.dead has started"):
        await first.record([Position(0, 2)])
    await second.record([Position(0, 3)])
    third = make_run(log)
    await third.start()
    assert [offset for offset in range(9) if Position(0, offset) in third.done] == [1, 2, 3]


async def test_of_two_runs_that_start_together_one_goes_on() -> None:
    log = FakeLog()
    runs = [make_run(log), make_run(log)]
    await asyncio.gather(*(run.start() for run in runs))
    results = []
    for run in runs:
        try:
            await run.record([Position(0, 1)])
            results.append("goes on")
        except FencedError:
            results.append("stops")
    assert sorted(results) == ["goes on", "stops"]


async def test_a_ledger_that_cannot_be_read_to_its_end_is_an_error() -> None:
    clock = iter(range(0, 10_000, 7))

    async def lost(topic: str, record: Outgoing) -> None:
        """Lose the record."""

    run = LedgerRun(FakeReader(FakeLog()), lost, EXTENT, clock=lambda: float(next(clock)))  # type: ignore[arg-type]
    with pytest.raises(BrokerError, match=ledger_topic("texts.dead")):
        await run.start()
