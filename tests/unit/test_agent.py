"""The agent acknowledges a batch after its output is published, or not at all."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast

import orjson
import pytest
from structlog.testing import capture_logs

from stream.classify import ClassifiedBatch, Classifier, Prediction
from stream.errors import BrokerError, DeviceError, Poison, Reason
from stream.kafka.batches import RecordBatch
from stream.kafka.delivery import AtLeastOnce
from stream.kafka.publisher import Publisher
from stream.kafka.ranges import OffsetRange
from stream.observe.metrics import Metrics
from stream.pipeline.agent import LabelAgent, RoutePipeline
from stream.pipeline.outcomes import OutcomeWriter
from stream.quarantine import Quarantine
from stream.records import Decoder, LabelEncoder, Outgoing, Source, make_output_form
from stream.registry import RouteSchemas, SchemaCache
from stream.routes import Route, RouteOptions
from tests.unit.record_path import record_path
from tests.unit.records import SOURCE, FakeRecord, as_read

__all__ = ["record_path"]
pytestmark = pytest.mark.usefixtures("record_path")

ROUTE = Route(name="r", input_topic="texts", output_topic="labels", bundle="b")


class OneOwner:
    """An owner of batches; a test increments `epoch` to revoke their partitions."""

    def __init__(self) -> None:
        self.epoch = 1
        self.acknowledged: list[OffsetRange] = []

    def take(self, batch: RecordBatch) -> bool:
        return not self.is_released(batch)

    def acknowledge(self, batch: RecordBatch) -> bool:
        if self.is_released(batch):
            return False
        self.acknowledged.append(batch.offset_range)
        return True

    def is_released(self, batch: RecordBatch) -> bool:
        return batch.epoch != self.epoch


def prediction(text: str) -> Prediction:
    """Return a label for the length of a text."""
    label = b"long" if len(text) > 3 else b"short"
    return Prediction(b'"label":"%b","score":1.0,"scores":{"%b":1.0}' % (label, label), b"")


class LengthClassifier:
    """A classifier that predicts by length, fails for the text `poison`, and records the batches to share."""

    def __init__(self) -> None:
        self.window_events = 1_000
        self.classified: list[str] = []
        self.shared: list[ClassifiedBatch] = []

    async def classify(self, texts: Sequence[str], trace: object = None) -> ClassifiedBatch:
        self.classified.extend(texts)
        results = [Poison(Reason.MODEL, "failed") if t == "poison" else prediction(t) for t in texts]
        return ClassifiedBatch(results, {b"key": prediction("fresh")})

    async def store_shared(self, batch: ClassifiedBatch) -> None:
        self.shared.append(batch)


class RecordingPublisher:
    """A publisher that records its output, and fails or waits as the test sets it."""

    def __init__(self) -> None:
        self.published: list[Mapping[str, Sequence[Outgoing]]] = []
        self.sources: list[tuple[str, int]] = []
        self.error: Exception | None = None
        self.gate: asyncio.Event | None = None

    async def publish(
        self, source: str, source_partition: int, records: Mapping[str, Sequence[Outgoing]]
    ) -> None:
        self.sources.append((source, source_partition))
        if self.gate:
            await self.gate.wait()
        if self.error:
            raise self.error
        self.published.append(records)


class Setup:
    def __init__(
        self,
        *,
        log_texts: bool = False,
        options: RouteOptions | None = None,
        schemas: SchemaCache | None = None,
        quarantine: Quarantine | None = None,
    ) -> None:
        route = ROUTE.with_defaults(options or RouteOptions())
        form = make_output_form(route, "g", RouteSchemas(schemas))
        self.owner = OneOwner()
        self.publisher = RecordingPublisher()
        self.metrics = Metrics()
        self.failures: list[BaseException] = []
        self.classifier: Any = LengthClassifier()
        encoder = LabelEncoder(
            name="b", version="1", digest="sha256:" + "0" * 64, variant="fp32", output=form
        )
        pipeline = RoutePipeline(
            route="r",
            decoder=Decoder(
                route, max_event_bytes=1000, max_text_chars=1000, quarantine=quarantine, schemas=schemas
            ),
            reader=None,
            classifier=cast(Classifier, self.classifier),
            writer=OutcomeWriter(route, "g", encoder, self.metrics),
            delivery=AtLeastOnce(cast(Publisher, self.publisher)),
            log_texts=log_texts,
            schemas=schemas,
        )
        self.agent = LabelAgent(pipeline, self.metrics, self.failures.append)

    def batch(self, *values: bytes | None, partition: int = 0, first: int = 0) -> RecordBatch:
        records = [
            as_read(FakeRecord(value, key=b"k", headers=(("h", b"1"),), offset=first + at))
            for at, value in enumerate(values)
        ]
        offsets = OffsetRange(first, first + len(records))
        return RecordBatch(Source("texts", partition), records, offsets, self.owner.epoch, self.owner, 0.0)

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


def label_event(record: Outgoing) -> Any:
    assert record.value is not None
    return orjson.loads(record.value)


async def test_every_record_has_exactly_one_outcome_and_offset_order_is_kept() -> None:
    setup = Setup()
    await setup.run(
        setup.batch(b'{"text":"hello"}', b"{broken", None, b'{"text":"poison"}', b'{"text":"hi"}')
    )
    await setup.settle()
    (written,) = setup.publisher.published
    labels, dead = written["labels"], written["texts.dead"]
    assert written.keys() == {"labels", "texts.dead"}
    assert setup.publisher.sources == [("texts", 0)]
    assert [label_event(labels[at])["label"] for at in (0, 2)] == ["long", "short"]
    assert [label_event(labels[at])["source"]["offset"] for at in (0, 2)] == [0, 4]
    assert labels[1].value is None
    assert [record.value for record in dead] == [b"{broken", b'{"text":"poison"}']
    assert [dict(record.headers)["labelstream-error-reason"] for record in dead] == [b"decode", b"model"]
    assert all(r.key == b"k" and r.headers[0] == ("h", b"1") for r in [*labels, *dead])
    assert setup.classifier.classified == ["hello", "poison", "hi"]
    assert [setup.count(o) for o in ("labelled", "dead", "tombstone")] == [2, 2, 1]
    assert [(s.first, s.next_offset) for s in setup.owner.acknowledged] == [(0, 5)]


async def test_nothing_is_acknowledged_before_the_broker_has_confirmed() -> None:
    setup = Setup()
    setup.publisher.gate = asyncio.Event()
    await setup.run(setup.batch(b'{"text":"hello"}'))
    for _ in range(20):
        await asyncio.sleep(0)
    assert setup.owner.acknowledged == []
    assert setup.count("labelled") == 0
    assert setup.classifier.shared == []
    setup.publisher.gate.set()
    await setup.settle()
    assert len(setup.owner.acknowledged) == 1
    assert setup.count("labelled") == 1
    (batch,) = setup.classifier.shared
    assert batch.new_predictions == {b"key": prediction("fresh")}


@pytest.mark.parametrize("error", [BrokerError("refused"), RuntimeError("a bug")])
async def test_after_a_failure_nothing_is_published_or_acknowledged(error: Exception) -> None:
    setup = Setup()
    setup.publisher.error = error
    await setup.run(setup.batch(b'{"text":"hello"}'), setup.batch(b'{"text":"later"}', first=1))
    await setup.settle()
    assert setup.failures == [error]
    assert setup.owner.acknowledged == []
    assert setup.publisher.published == []
    assert len(setup.publisher.sources) == 1, "after a failure the agent publishes nothing"
    assert setup.count("labelled") == 0
    assert setup.classifier.shared == []


async def test_after_a_failure_of_the_model_nothing_is_published_or_acknowledged() -> None:
    setup = Setup()

    async def fail(_texts: Sequence[str], _trace: object) -> ClassifiedBatch:
        setup.classifier.classify = LengthClassifier().classify
        raise DeviceError("the device is gone")

    setup.classifier.classify = fail
    await setup.run(setup.batch(b'{"text":"hello"}'), setup.batch(b'{"text":"later"}', first=1))
    await setup.settle()
    assert [type(failure) for failure in setup.failures] == [DeviceError]
    assert setup.publisher.sources == []
    assert setup.owner.acknowledged == []


async def test_a_released_batch_is_not_published() -> None:
    setup = Setup()
    batch = setup.batch(b'{"text":"hello"}')
    setup.owner.epoch += 1
    await setup.run(batch)
    await setup.settle()
    assert setup.publisher.sources == []
    assert setup.failures == []
    assert setup.count("labelled") == 0


async def test_a_batch_released_during_its_publication_is_not_counted() -> None:
    setup = Setup()
    setup.publisher.gate = asyncio.Event()
    await setup.run(setup.batch(b'{"text":"hello"}'))
    for _ in range(20):
        await asyncio.sleep(0)
    setup.owner.epoch += 1
    setup.publisher.gate.set()
    await setup.settle()
    assert len(setup.publisher.published) == 1
    assert setup.owner.acknowledged == []
    assert setup.count("labelled") == 0
    assert setup.failures == []


async def test_a_publication_of_an_earlier_epoch_that_fails_does_not_end_the_worker() -> None:
    # A topic that was created again with fewer partitions never has the partition of such a batch.
    setup = Setup()
    setup.publisher.gate = asyncio.Event()
    await setup.run(setup.batch(b'{"text":"hello"}'))
    for _ in range(20):
        await asyncio.sleep(0)
    setup.owner.epoch += 1
    setup.publisher.error = BrokerError("not confirmed")
    setup.publisher.gate.set()
    await setup.settle()
    assert setup.failures == []
    setup.publisher.error = None
    await setup.run(setup.batch(b'{"text":"next"}', first=1))
    await setup.settle()
    assert [offsets.first for offsets in setup.owner.acknowledged] == [1]


async def test_there_is_no_capacity_while_a_whole_window_is_unfinished() -> None:
    setup = Setup()
    setup.classifier.window_events = 4
    setup.publisher.gate = asyncio.Event()
    await asyncio.wait_for(setup.agent.wait_for_capacity(), 5)
    await setup.run(setup.batch(b'{"text":"a"}', b'{"text":"b"}'))
    await asyncio.wait_for(setup.agent.wait_for_capacity(), 5)
    await setup.run(setup.batch(b'{"text":"c"}', b'{"text":"d"}', first=2))
    waiting = asyncio.create_task(setup.agent.wait_for_capacity())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not waiting.done()
    setup.publisher.gate.set()
    await asyncio.wait_for(waiting, 5)
    await setup.settle()


async def test_a_failed_batch_frees_its_capacity() -> None:
    setup = Setup()
    setup.classifier.window_events = 1
    setup.publisher.error = BrokerError("refused")
    await setup.run(setup.batch(b'{"text":"a"}'))
    await asyncio.wait_for(setup.agent.wait_for_capacity(), 5)
    assert len(setup.failures) == 1


async def test_batches_of_a_partition_are_published_in_order() -> None:
    setup = Setup()
    await setup.run(*(setup.batch(b'{"text":"hello"}', first=at) for at in range(30)))
    await setup.settle()
    written = [record for records in setup.publisher.published for record in records["labels"]]
    offsets = [label_event(record)["source"]["offset"] for record in written]
    assert offsets == list(range(30))


@pytest.mark.parametrize("log_texts", [False, True])
async def test_the_debug_line_of_a_record_batch_shows_texts_only_if_the_settings_allow_it(
    log_texts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.pipeline.agent.debug_enabled", lambda _name: True)
    setup = Setup(log_texts=log_texts)
    long = "x" * 200
    values = [b'{"text":"%b"}' % text for text in (b"hello", long.encode(), b"poison", b"hi", b"fifth")]
    with capture_logs() as lines:
        await setup.run(setup.batch(*values, b"{broken", None, first=7))
        await setup.settle()
    (line,) = [line for line in lines if line["event"] == "record batch"]
    assert line["log_level"] == "debug"
    assert (line["topic"], line["partition"], line["first_offset"], line["next_offset"]) == (
        "texts",
        0,
        7,
        14,
    )
    assert (line["events"], line["labelled"], line["tombstones"], line["cached"]) == (7, 4, 1, 0)
    assert line["dead_letters"] == {"decode": 1, "model": 1}
    assert line["ms"] >= 0
    assert line.get("texts") == (["hello", "x" * 80, "poison"] if log_texts else None)


async def test_a_record_batch_logs_nothing_at_level_info() -> None:
    setup = Setup()
    with capture_logs() as lines:
        await setup.run(setup.batch(b'{"text":"hello"}'))
        await setup.settle()
    assert lines == []


class EchoClassifier(LengthClassifier):
    """A classifier that predicts the text itself as the label."""

    async def classify(self, texts: Sequence[str], trace: object = None) -> ClassifiedBatch:
        return ClassifiedBatch([Prediction(b'"label":"%b","score":1.0' % t.encode(), b"") for t in texts], {})


async def test_no_event_adds_a_time_series() -> None:
    setup = Setup()
    setup.metrics.register_route("r")
    setup.classifier.classify = EchoClassifier().classify

    def series() -> int:
        return sum(len(family.samples) for family in setup.metrics.registry.collect())

    def records(numbers: range) -> list[FakeRecord]:
        return [
            FakeRecord(
                b"{broken %d" % n if n % 7 == 0 else b'{"text":"text %d","id":"id %d"}' % (n, n),
                key=b"key %d" % n,
                headers=((f"header {n}", b"%d" % n),),
                offset=n,
            )
            for n in numbers
        ]

    before = series()
    for first in range(0, 3_000, 500):
        numbers = range(first, first + 500)
        offsets = OffsetRange(first, first + 500)
        await setup.run(RecordBatch(SOURCE, records(numbers), offsets, setup.owner.epoch, setup.owner, 0.0))
    await setup.settle()
    assert setup.count("labelled") + setup.count("dead") == 3_000
    assert setup.count("dead") > 400
    assert series() == before
