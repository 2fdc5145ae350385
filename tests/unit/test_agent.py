"""The agent acknowledges a batch after its publication, or not at all."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
import pytest

from stream.agent import LabelAgent
from stream.classify.inputs import Prediction, TextInput
from stream.errors import BrokerError, Poison, Reason
from stream.kafka.batches import RecordBatch
from stream.kafka.publisher import Outgoing
from stream.kafka.ranges import OffsetRange
from stream.observe.metrics import Metrics
from stream.outcomes import OutcomeWriter
from stream.records import Decoder, LabelEncoder
from stream.settings import Route
from tests.unit.records import FakeRecord

ROUTE = Route(name="r", input_topic="texts", output_topic="labels", bundle="b")


class OneOwner:
    """Owns batches; `epoch` moves on when partitions are taken away."""

    def __init__(self) -> None:
        self.epoch = 1
        self.acknowledged: list[OffsetRange] = []

    def take(self, batch: RecordBatch) -> bool:
        return not self.is_released(batch)

    def acknowledge(self, batch: RecordBatch) -> bool:
        if self.is_released(batch):
            return False
        self.acknowledged.append(batch.span)
        return True

    def is_released(self, batch: RecordBatch) -> bool:
        return batch.epoch != self.epoch


class LengthClassifier:
    """Predicts by length; texts named `poison` fail; shares nothing."""

    async def classify(self, rows: Sequence[TextInput]) -> list[Prediction | Poison]:
        return [
            Poison(Reason.MODEL, "failed")
            if row.text == "poison"
            else Prediction((0.9, 0.1) if len(row.text) > 3 else (0.2, 0.8))
            for row in rows
        ]

    async def share(self, rows: object, results: object) -> None:
        pass


class RecordingPublisher:
    """Keeps what is published; fails or waits when the test says so."""

    def __init__(self) -> None:
        self.published: list[list[Outgoing]] = []
        self.error: Exception | None = None
        self.gate: asyncio.Event | None = None

    async def publish(self, records: list[Outgoing]) -> None:
        if self.gate:
            await self.gate.wait()
        if self.error:
            raise self.error
        self.published.append(records)


class Setup:
    def __init__(self) -> None:
        self.owner = OneOwner()
        self.publisher: Any = RecordingPublisher()
        self.metrics = Metrics()
        self.failures: list[BaseException] = []
        classifier: Any = LengthClassifier()
        encoder = LabelEncoder(name="b", version="1", digest="sha256:" + "0" * 64, variant="fp32")
        self.agent = LabelAgent(
            "r",
            Decoder(input_format="json", max_event_bytes=1000, max_text_chars=1000),
            classifier,
            OutcomeWriter(ROUTE, "g", encoder, ["long", "short"], 2, self.metrics),
            self.publisher,
            self.metrics,
            self.failures.append,
        )

    def batch(self, *values: bytes | None, partition: int = 0, first: int = 0) -> RecordBatch:
        records = [
            FakeRecord(value, key=b"k", headers=(("h", b"1"),), partition=partition, offset=first + at)
            for at, value in enumerate(values)
        ]
        return RecordBatch(
            records, OffsetRange(first, first + len(records)), self.owner.epoch, self.owner, 0.0
        )

    async def run(self, *batches: RecordBatch) -> None:
        async def handed_out() -> AsyncIterator[RecordBatch]:
            for batch in batches:
                yield batch

        await self.agent.run(handed_out())

    async def settle(self) -> None:
        while self.agent._running:
            await asyncio.wait(set(self.agent._running))

    def count(self, outcome: str) -> float:
        return (
            self.metrics.registry.get_sample_value(
                "labelstream_events_total", {"route": "r", "outcome": outcome}
            )
            or 0
        )


async def test_every_record_has_exactly_one_outcome_and_offset_order_is_kept() -> None:
    setup = Setup()
    await setup.run(
        setup.batch(b'{"text":"hello"}', b"{broken", None, b'{"text":"poison"}', b'{"text":"hi"}')
    )
    await setup.settle()
    (written,) = setup.publisher.published
    assert [w.topic for w in written] == ["labels", "texts.dead", "labels", "texts.dead", "labels"]
    assert [orjson.loads(w.value)["label"] for w in (written[0], written[4])] == ["long", "short"]
    assert written[1].value == b"{broken"
    assert written[2].value is None
    assert dict(written[3].headers)["labelstream-error-reason"] == b"model"
    assert all(w.key == b"k" and w.headers[0] == ("h", b"1") for w in written)
    assert [setup.count(o) for o in ("labelled", "dead", "tombstone")] == [2, 2, 1]
    assert [(s.first, s.next_offset) for s in setup.owner.acknowledged] == [(0, 5)]


async def test_nothing_is_acknowledged_before_the_broker_has_confirmed() -> None:
    setup = Setup()
    setup.publisher.gate = asyncio.Event()
    await setup.run(setup.batch(b'{"text":"hello"}'))
    for _ in range(20):
        await asyncio.sleep(0)
    assert setup.owner.acknowledged == []
    setup.publisher.gate.set()
    await setup.settle()
    assert len(setup.owner.acknowledged) == 1


@pytest.mark.parametrize("error", [BrokerError("refused"), RuntimeError("a bug")])
async def test_a_failure_acknowledges_nothing_and_stops_what_comes_after_it(error: Exception) -> None:
    setup = Setup()
    setup.publisher.error = error
    await setup.run(setup.batch(b'{"text":"hello"}'), setup.batch(b'{"text":"later"}', first=1))
    await setup.settle()
    assert setup.failures == [error]
    assert setup.owner.acknowledged == []
    assert setup.publisher.published == []
    assert setup.count("labelled") == 0


async def test_a_released_batch_is_not_published() -> None:
    setup = Setup()
    batch = setup.batch(b'{"text":"hello"}')
    setup.owner.epoch += 1
    await setup.run(batch)
    await setup.settle()
    assert setup.publisher.published == []
    assert setup.failures == []


async def test_batches_of_a_partition_are_published_in_order() -> None:
    setup = Setup()
    await setup.run(*(setup.batch(b'{"text":"hello"}', first=at) for at in range(30)))
    await setup.settle()
    offsets = [orjson.loads(w.value)["source"]["offset"] for (w,) in setup.publisher.published]
    assert offsets == list(range(30))
