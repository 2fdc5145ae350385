"""The stack as an operator sees it: results in Redis, metrics and health."""

import json

import orjson
import pytest
import redis

from tests.compose.inside.arrivals import await_records
from tests.compose.stack import StackBroker, get, metric
from tests.compose.traffic import LABELS, TEXTS
from tests.real.components import unique
from tests.real.wait import until

pytestmark = pytest.mark.compose

SEEN_S = 60.0


def send(broker: StackBroker, text: str, event_id: str) -> dict[str, object]:
    """Send one event, and return its label event."""
    broker.produce(TEXTS, orjson.dumps({"id": event_id, "text": text}), partition=0)
    record = await_records(broker.address, [event_id], (LABELS,))[event_id]
    label_event: dict[str, object] = orjson.loads(record.value or b"")
    return label_event


def test_a_repeated_text_comes_from_the_cache(stack_broker: StackBroker, stack_redis: "redis.Redis") -> None:
    text = f"the parcel {unique('cached')} came twice"
    keys = "labelstream:1:*"
    before = sum(1 for _ in stack_redis.scan_iter(keys))
    first = send(stack_broker, text, unique("first"))
    until(lambda: sum(1 for _ in stack_redis.scan_iter(keys)) > before, SEEN_S, "a new result in Redis")
    second = send(stack_broker, text, unique("second"))
    assert (first["cached"], second["cached"]) == (False, True)
    assert first["scores"] == second["scores"]


def test_labelled_events_are_counted(stack_broker: StackBroker, web_addresses: list[str]) -> None:
    def counted() -> float:
        return metric(web_addresses, "labelstream_events_total", outcome="labelled")

    before = counted()
    stem = unique("counted")
    for number in range(10):
        send(stack_broker, f"login does not work {number}", f"{stem}-{number}")
    until(lambda: counted() >= before + 10, SEEN_S, "ten more labelled events in the metrics")
    until(lambda: metric(web_addresses, "labelstream_consumer_lag") == 0, SEEN_S, "no lag")
    assert metric(web_addresses, "labelstream_bundle_info") == len(web_addresses)


def test_health_and_info(web_addresses: list[str]) -> None:
    for web in web_addresses:
        assert get(f"{web}/live")
        assert get(f"{web}/ready")
        info = json.loads(get(f"{web}/info"))
        assert info["routes"][0]["bundle"]
        assert "redis://" not in json.dumps(info["settings"]["redis_url"])
