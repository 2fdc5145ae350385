"""Invalid records become dead letters with unchanged bytes, and tombstones are passed on."""

import jsonschema
import orjson
import pytest

from stream.schemas import load_schema
from tests.compose.inside.arrivals import await_records
from tests.compose.stack import StackBroker
from tests.compose.traffic import DEAD, LABELS, TEXTS
from tests.real.components import unique

pytestmark = pytest.mark.compose

BROKEN = {
    "not-utf-8": (b"\xff\xfe", "decode"),
    "not-json": (b'{"text": ', "decode"),
    "no-text": (b'{"body": "hello"}', "schema"),
    "blank": (b'{"text": "  \\n "}', "empty"),
    "long-text": (orjson.dumps({"text": "x" * 100_001}), "too-large"),
    "large-value": (orjson.dumps({"text": "x", "more": "y" * 2**20}), "too-large"),
}


def test_invalid_records_become_dead_letters(stack_broker: StackBroker) -> None:
    stem = unique("broken")
    for name, (value, _) in BROKEN.items():
        stack_broker.produce(
            TEXTS,
            value,
            key=name.encode(),
            headers=[("labelstream-id", f"{stem}-{name}".encode()), ("source", b"test")],
        )
    letters = await_records(stack_broker.address, [f"{stem}-{name}" for name in BROKEN], (DEAD,))
    for name, (value, reason) in BROKEN.items():
        letter = letters[f"{stem}-{name}"]
        headers = {key: (content or b"").decode() for key, content in letter.headers}
        jsonschema.validate(headers, load_schema("dead-letter-headers.v1"))
        assert (letter.value, letter.key) == (value, name.encode())
        assert (headers["labelstream-error-reason"], headers["source"]) == (reason, "test"), name


def test_valid_events_between_invalid_ones_are_labelled(stack_broker: StackBroker) -> None:
    stem = unique("mixed")
    for number in range(20):
        value = b"[1]" if number % 2 else orjson.dumps({"text": f"please cancel order {number}"})
        stack_broker.produce(
            TEXTS, value, partition=0, headers=[("labelstream-id", f"{stem}-{number}".encode())]
        )
    labels = await_records(
        stack_broker.address, [f"{stem}-{number}" for number in range(0, 20, 2)], (LABELS,)
    )
    letters = await_records(stack_broker.address, [f"{stem}-{number}" for number in range(1, 20, 2)], (DEAD,))
    assert len(labels) == len(letters) == 10


def test_a_tombstone_is_passed_on(stack_broker: StackBroker) -> None:
    event_id = unique("tombstone")
    stack_broker.produce(TEXTS, None, key=b"forget-me", headers=[("labelstream-id", event_id.encode())])
    record = await_records(stack_broker.address, [event_id], (LABELS,))[event_id]
    assert (record.key, record.value) == (b"forget-me", None)
