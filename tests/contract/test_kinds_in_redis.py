"""Predictions of every form are equal after a round trip through Redis."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from redis import Redis

from stream.bundle import Bundle
from tests.contract.test_every_kind import events_of
from tests.pipeline import StartWorker, make_route, start_worker, tiny_bundle
from tests.real.embedded import EmbeddedBroker
from tests.real.kinds import BY_NAME, make_bundle_of
from tests.real.redis import RedisServer
from tests.real.wait import until

__all__ = ["start_worker", "tiny_bundle"]

RECOVERY_S = 60.0
KINDS = ("token", "many", "regression", "metadata")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Bundle]]:
    """One bundle of each form."""
    store: Path = tmp_path_factory.mktemp("kinds")
    yield {name: make_bundle_of(BY_NAME[name], store) for name in KINDS}


def await_labels(broker: EmbeddedBroker, topic: str, count: int) -> None:
    """Wait until a topic contains `count` labels."""
    until(lambda: sum(broker.end_offsets(topic).values()) == count, RECOVERY_S, f"{count} labels")


@pytest.mark.parametrize("name", KINDS)
def test_a_second_worker_reads_the_predictions_of_the_first_from_redis(
    embedded_broker: EmbeddedBroker,
    redis_server: RedisServer,
    start_worker: StartWorker,
    bundles: dict[str, Bundle],
    name: str,
) -> None:
    route = make_route(embedded_broker, f"redis-{name}")
    events = events_of(BY_NAME[name])
    distinct = len({orjson.dumps({k: v for k, v in event.items() if k != "id"}) for event in events})
    Redis.from_url(redis_server.url).flushdb()
    for rounds in (1, 2):
        worker = start_worker(embedded_broker, route, bundle=bundles[name].path, redis_url=redis_server.url)
        embedded_broker.produce(route, *map(orjson.dumps, events), partition=0)
        await_labels(embedded_broker, worker.labels, rounds * len(events))
        hits = worker.metric("labelstream_cache_requests_total", tier="redis", result="hit")
        assert worker.stop() == 0
    assert hits == len(events)
    assert distinct <= len(events)
    labels = [orjson.loads(record.value or b"") for record in embedded_broker.records(f"{route}.labels")]
    fresh, cached = labels[: len(events)], labels[len(events) :]
    assert {label["cached"] for label in fresh} == {False}
    assert {label["cached"] for label in cached} == {True}
    parts = ("label", "labels", "scores", "value", "spans")
    assert [[label.get(part) for part in parts] for label in fresh] == [
        [label.get(part) for part in parts] for label in cached
    ]
