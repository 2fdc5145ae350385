"""One record that makes a stage of the pipeline fail has one outcome; every other error ends the worker."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import orjson
import pytest

from stream.bundle import CategoricalColumn, MetadataColumn, NumericColumn
from stream.classify import (
    ClassifiedBatch,
    Classifier,
    InputReader,
    MetadataEncoder,
    Prediction,
    RowResult,
    as_category,
)
from stream.errors import DeviceError, Poison, Reason
from stream.pipeline.agent import LabelAgent, RoutePipeline
from stream.pipeline.inputs import read_inputs
from stream.pipeline.outcomes import OutcomeWriter
from stream.records import Decoder, Event, LabelEncoder, Source, Tombstone
from stream.routes import RouteOptions
from tests.unit.record_path import record_path
from tests.unit.records import SOURCE, FakeRecord, as_read
from tests.unit.small_bundle import partial_manifest, small_bundle
from tests.unit.test_agent import ROUTE, LengthClassifier, prediction
from tests.unit.test_agent import Setup as AgentSetup
from tests.unit.test_poison_texts import PANICS, StopWord, classifier_of, panicking_tokenizer, save

__all__ = ["record_path"]
pytestmark = pytest.mark.usefixtures("record_path")

COLUMNS: list[MetadataColumn] = [
    NumericColumn(name="n", mean=0.0, std=1.0),
    CategoricalColumn(name="c", values=["x"]),
]
READER = InputReader(partial_manifest(task="single-label", labels=["a", "b"], metadata=COLUMNS))


def agent_of(setup: AgentSetup, **parts: Any) -> LabelAgent:
    """Return the agent of a setup with other parts."""
    pipeline: RoutePipeline = setup.agent._pipeline
    changed = {name: getattr(pipeline, name) for name in RoutePipeline.__slots__} | parts
    setup.agent = LabelAgent(RoutePipeline(**changed), setup.metrics, setup.failures.append)
    return setup.agent


def reasons(records: Sequence[Any]) -> list[bytes]:
    return [dict(record.headers)["labelstream-error-reason"] for record in records]


def decoder(**more: Any) -> Decoder:
    return Decoder(RouteOptions(), max_event_bytes=100_000, max_text_chars=100_000, **more)


# --- the agent


async def test_a_text_that_makes_the_tokenizer_panic_is_a_dead_letter_and_its_batch_is_acknowledged(
    tmp_path: Path,
) -> None:
    setup = AgentSetup()
    classifier = classifier_of(save(panicking_tokenizer(), small_bundle(tmp_path)), local=10)
    agent_of(setup, classifier=classifier)
    texts = ["good", PANICS, "bad", PANICS]
    await setup.run(setup.batch(*(orjson.dumps({"text": text}) for text in texts)))
    await asyncio.wait_for(setup.settle(), 60)
    (written,) = setup.publisher.published
    assert [orjson.loads(r.value or b"")["label"] for r in written["labels"]] == ["good", "bad"]
    assert reasons(written["texts.dead"]) == [b"model", b"model"]
    assert b"aaaa" not in dict(written["texts.dead"][0].headers)["labelstream-error-message"]
    assert [(s.first, s.next_offset) for s in setup.owner.acknowledged] == [(0, 4)]
    assert setup.failures == []


@pytest.mark.parametrize("error", [StopWord("panic"), asyncio.CancelledError(), GeneratorExit()])
@pytest.mark.parametrize("stage", ["classify", "publish"])
async def test_an_error_of_any_class_reaches_fail(stage: str, error: BaseException) -> None:
    setup = AgentSetup()

    async def fail(*_given: object) -> ClassifiedBatch:
        raise error

    if stage == "classify":
        setup.classifier.classify = fail
    else:
        setup.publisher.error = error  # type: ignore[assignment]
    await setup.run(setup.batch(b'{"text":"hello"}'), setup.batch(b'{"text":"later"}', first=1))
    await asyncio.wait_for(setup.settle(), 10)
    assert [type(failure) for failure in setup.failures] == [type(error)]
    assert setup.owner.acknowledged == []
    await asyncio.wait_for(setup.agent.wait_for_capacity(), 10)


async def test_the_cancellation_of_a_released_batch_is_no_failure() -> None:
    setup = AgentSetup()

    async def cancelled(*_given: object) -> ClassifiedBatch:
        setup.owner.epoch += 1
        raise asyncio.CancelledError

    setup.classifier.classify = cancelled
    await setup.run(setup.batch(b'{"text":"hello"}'))
    await setup.settle()
    assert setup.failures == []


async def test_the_cancellation_of_the_task_is_no_failure() -> None:
    setup = AgentSetup()
    setup.publisher.gate = asyncio.Event()
    await setup.run(setup.batch(b'{"text":"hello"}'))
    await asyncio.sleep(0)
    for task in [*setup.agent._running]:
        task.cancel()
    await setup.settle()
    assert setup.failures == []


async def test_an_error_of_the_device_still_ends_the_worker() -> None:
    setup = AgentSetup()

    async def fail(*_given: object) -> ClassifiedBatch:
        raise DeviceError("the device is gone")

    setup.classifier.classify = fail
    await setup.run(setup.batch(b'{"text":"hello"}'))
    await setup.settle()
    assert [type(failure) for failure in setup.failures] == [DeviceError]


async def test_metadata_that_cannot_be_read_is_a_dead_letter() -> None:
    setup = AgentSetup()

    class Classified(LengthClassifier):
        async def classify(self, texts: Sequence[Any], trace: object = None) -> ClassifiedBatch:
            return ClassifiedBatch([prediction(given.text) for given in texts], {})

    class PickyReader(InputReader):
        def _values(self, metadata: Mapping[str, Any]) -> Any:
            if "bad" in metadata:
                raise StopWord("secret")
            return super()._values(metadata)

    reader = PickyReader(partial_manifest(task="single-label", labels=["a", "b"], metadata=COLUMNS))
    agent_of(setup, reader=reader, classifier=cast(Classifier, Classified()))
    good, bad = b'{"text":"hello","metadata":{"n":1}}', b'{"text":"hello","metadata":{"bad":1}}'
    await setup.run(setup.batch(good, bad, None, good, b"{broken", bad))
    await setup.settle()
    (written,) = setup.publisher.published
    assert [dict(r.headers)["labelstream-id"] for r in written["labels"]] == [
        b"texts-0-0",
        b"texts-0-2",
        b"texts-0-3",
    ]
    assert reasons(written["texts.dead"]) == [b"decode"] * 3
    messages = {dict(r.headers)["labelstream-error-message"] for r in written["texts.dead"]}
    assert b"the metadata cannot be read" in messages
    assert not any(b"secret" in message for message in messages)
    assert setup.failures == []


# --- decoding and reading


NESTED = b"[" * 90 + b"]" * 90
METADATA = [
    b'{"n": 1e400}',
    b'{"n": -1e400, "c": 1e400}',
    b'{"n": %b}' % (b"9" * 400),
    b'{"c": %b}' % (b"9" * 400),
    b'{"c": %b}' % (b"9" * 6_000),
    b'{"c": %b, "n": %b}' % (NESTED, NESTED),
    b'{"c": {"a": {"b": [null]}}, "n": {"a": 1}}',
    b'{"c": "\\u0000", "n": "NaN"}',
    b'{"c": NaN}',
    b'{"n": "Infinity", "c": true}',
    b'{"n": "\xd9\xa3", "c": ""}',
    b"{}",
    b"null",
    b"[1]",
    b'"text"',
]


@pytest.mark.parametrize("metadata", METADATA)
def test_any_metadata_lead_to_one_outcome(metadata: bytes) -> None:
    values = [b'{"text":"before"}', b'{"text":"odd","metadata":%b}' % metadata, b'{"text":"after"}']
    records = [as_read(FakeRecord(value, offset=at)) for at, value in enumerate(values)]
    decoded, inputs = read_inputs(READER, SOURCE, decoder().decode_all(SOURCE, records))
    assert [item.record.offset for item in decoded] == [0, 1, 2]
    assert sum(type(item) is Event for item in decoded) == len(inputs)
    assert [given.text for given in inputs if given.text != "odd"] == ["before", "after"]  # type: ignore[union-attr]
    rows = [dict(given.metadata) for given in inputs]  # type: ignore[union-attr]
    assert MetadataEncoder(COLUMNS).encode(rows).shape == (len(inputs), 3)


def test_a_category_that_python_cannot_write_is_unseen() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for value in (10**5_000, deep):
        category = as_category(value)
        assert category is not None
        assert MetadataEncoder([COLUMNS[1]]).encode([{"c": value}]).tolist() == [[1.0]]
    while deep:
        deep = deep.pop()


# --- encoding


class PickyEncoder(LabelEncoder):
    """An encoder that fails on a batch with an event with the id `odd`."""

    def write(self, source: Source, labelled_at: int, events: Any, predictions: Any) -> Any:
        if any(event.id == "odd" for event in events):
            raise StopWord("the event cannot be encoded")
        return super().write(source, labelled_at, events, predictions)


def writer(kind: type[LabelEncoder] = LabelEncoder, sampler: Any = None) -> OutcomeWriter:
    encoder = kind(name="b", version="1", digest="sha256:" + "0" * 64, variant="fp32")
    return OutcomeWriter(ROUTE, "g", encoder, AgentSetup().metrics, lambda: 0, sampler)


def events(*ids: str) -> list[Event]:
    return [Event(as_read(FakeRecord(b"{}", offset=at)), name, "text") for at, name in enumerate(ids)]


@pytest.mark.parametrize(("kind", "odd"), [(PickyEncoder, "odd"), (LabelEncoder, "\ud800")])
def test_a_label_event_that_cannot_be_encoded_is_a_dead_letter(kind: type[LabelEncoder], odd: str) -> None:
    results: list[RowResult] = [
        prediction("a"),
        prediction("a"),
        Poison(Reason.MODEL, "failed"),
        prediction("a"),
    ]
    output = writer(kind).write(SOURCE, events("a", odd, "b", "c"), results)
    labels = [orjson.loads(record.value or b"")["id"] for record in output.records["labels"]]
    assert labels == ["a", "c"]
    assert reasons(output.records["texts.dead"]) == [b"model", b"model"]
    assert output.dead_counts == {Reason.MODEL: 2}
    assert len(output.labelled) == 2


class BrokenHeaders(FakeRecord):
    """A record whose headers cannot be read."""

    @property
    def headers(self) -> Any:
        raise StopWord("the headers are damaged")

    @headers.setter
    def headers(self, value: Any) -> None:
        """Ignore the default."""


@pytest.mark.parametrize("is_event", [True, False])
def test_a_record_whose_headers_cannot_be_copied_is_a_dead_letter_without_them(is_event: bool) -> None:
    record = object.__new__(BrokenHeaders)
    for name, value in {"value": b"raw", "key": b"k", "offset": 7, "timestamp": 1}.items():
        object.__setattr__(record, name, value)
    item = Event(record, "id", "text") if is_event else Tombstone(record, "id")
    output = writer().write(SOURCE, [item], [prediction("a")] if is_event else [])
    (dead,) = output.records["texts.dead"]
    assert (dead.key, dead.value) == (b"k", b"raw")
    assert dict(dead.headers)["labelstream-error-offset"] == b"7"
    assert output.tombstones == 0


def test_a_status_page_that_fails_does_not_end_the_worker() -> None:
    class BrokenSampler:
        def sample(self, *_given: object) -> None:
            raise ValueError("the page")

    outcomes = writer(sampler=BrokenSampler())
    output = outcomes.write(SOURCE, events("a"), [prediction("a")])
    outcomes.count(output)
    assert isinstance(output.results[0], Prediction)
