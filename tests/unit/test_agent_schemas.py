"""The agent fetches the schemas of a batch before it reads values, and before its output copies fields."""

import json
from typing import Any

import msgspec
import orjson
import pytest

from stream.quarantine import Quarantine
from stream.registry import SchemaCache
from stream.registry.formats import ValueParser
from stream.registry.frame import write_frame
from stream.routes import RouteOptions
from tests.unit.record_path import record_path
from tests.unit.test_agent import Setup

__all__ = ["record_path"]
pytestmark = pytest.mark.usefixtures("record_path")

OPTIONS = RouteOptions(input_format="json-schema", include=("plan",))


class AnyJson:
    """The parser of a schema that every JSON value fits."""

    type = "JSON"

    def parse(self, payload: bytes) -> Any:
        return msgspec.json.decode(payload)


class Registry:
    """A scripted registry."""

    def __init__(self) -> None:
        self.requests: list[int] = []

    async def fetch(self, schema_id: int) -> ValueParser:
        self.requests.append(schema_id)
        return AnyJson()


def framed(schema_id: int, plan: str = '"pro"') -> bytes:
    return write_frame(schema_id, b'{"text": "hello", "plan": %b}' % plan.encode())


async def test_schemas_that_were_dropped_during_the_inference_are_fetched_again() -> None:
    registry = Registry()
    cache = SchemaCache(registry.fetch, lambda: 0.0, capacity=1)
    setup = Setup(options=OPTIONS, schemas=cache)
    classify = setup.classifier.classify

    async def while_another_batch_fills_the_cache(*args: Any) -> Any:
        await cache.resolve([framed(8), framed(9)])
        await cache.resolve([framed(10)])
        return await classify(*args)

    setup.classifier.classify = while_another_batch_fills_the_cache
    await setup.run(setup.batch(framed(1), framed(2)))
    await setup.settle()
    (written,) = setup.publisher.published
    labels = [orjson.loads(record.value or b"") for record in written["labels"]]
    assert [label["event"] for label in labels] == [{"plan": "pro"}] * 2
    assert setup.failures == []


async def test_the_schema_of_a_quarantined_record_is_not_fetched() -> None:
    registry = Registry()
    cache = SchemaCache(registry.fetch, lambda: 0.0)
    setup = Setup(options=OPTIONS, schemas=cache, quarantine=Quarantine(["texts:0:1"]))
    await setup.run(setup.batch(framed(1), framed(7), framed(1)))
    await setup.settle()
    assert registry.requests == [1]
    (written,) = setup.publisher.published
    assert len(written["labels"]) == 2
    assert [record.value for record in written["texts.dead"]] == [framed(7)]


@pytest.mark.parametrize("plan", [str(2**70), '"\\ud83d\\ude00"', "1e300", "[" * 200 + "]" * 200])
async def test_any_value_is_copied_exactly(plan: str) -> None:
    setup = Setup(options=OPTIONS, schemas=SchemaCache(Registry().fetch, lambda: 0.0))
    await setup.run(setup.batch(framed(1, plan)))
    await setup.settle()
    (written,) = setup.publisher.published
    label = json.loads(written["labels"][0].value or b"")
    assert label["event"] == {"plan": json.loads(plan)}
