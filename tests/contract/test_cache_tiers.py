"""Cache hits as the operator sees them: in process, in a real Redis, and without one."""

import orjson
import redis

from stream.bundle import Bundle
from stream.classify.cache import decode_stored
from stream.classify.heads import make_head
from tests.pipeline import StartWorker, event, make_route, start_worker, tiny_bundle
from tests.real.embedded import EmbeddedBroker
from tests.real.redis import RedisServer
from tests.real.wait import until

__all__ = ["start_worker", "tiny_bundle"]

BACK_S = 60.0


def await_labels(broker: EmbeddedBroker, topic: str, count: int) -> None:
    until(lambda: sum(broker.end_offsets(topic).values()) == count, BACK_S, f"{count} labels")


def test_repeated_texts_come_from_the_process_and_from_redis_after_a_restart(
    embedded_broker: EmbeddedBroker,
    redis_server: RedisServer,
    start_worker: StartWorker,
    tiny_bundle: Bundle,
) -> None:
    route = make_route(embedded_broker, "tiers")
    first = start_worker(embedded_broker, route, redis_url=redis_server.url, cache_ttl_s=500)
    values = [event(number)[1] for number in range(40)]
    embedded_broker.produce(route, *values, partition=0)
    await_labels(embedded_broker, first.labels, 40)
    embedded_broker.produce(route, *values, partition=0)
    await_labels(embedded_broker, first.labels, 80)
    assert first.metric("labelstream_cache_requests_total", tier="local", result="hit") == 40
    client = redis.Redis.from_url(redis_server.url)
    keys = client.keys(f"labelstream:1:{first.info()['routes'][0]['digest'][7:23]}:fp32:*")
    assert len(keys) == 40
    assert 400 < client.ttl(keys[0]) <= 500
    assert decode_stored(client.get(keys[0]), make_head(tiny_bundle.manifest).fits) is not None
    first.stop()
    calls = client.info("commandstats")
    second = start_worker(embedded_broker, route, redis_url=redis_server.url, cache_local_entries=0)
    embedded_broker.produce(route, *values, partition=0)
    await_labels(embedded_broker, second.labels, 120)
    assert second.metric("labelstream_cache_requests_total", tier="redis", result="hit") == 40
    asked = client.info("commandstats")["cmdstat_mget"]["calls"] - calls["cmdstat_mget"]["calls"]
    batches = second.metric("labelstream_stage_duration_seconds_count", stage="decode")
    assert 1 <= asked <= batches, "one round trip a batch"
    cached = [orjson.loads(r.value)["cached"] for r in embedded_broker.records(second.labels) if r.value]
    assert cached == [False] * 40 + [True] * 80


def test_a_value_that_was_spoilt_is_computed_again(
    embedded_broker: EmbeddedBroker, redis_server: RedisServer, start_worker: StartWorker
) -> None:
    route = make_route(embedded_broker, "mark_failed")
    client = redis.Redis.from_url(redis_server.url)
    client.flushall()
    worker = start_worker(embedded_broker, route, redis_url=redis_server.url, cache_local_entries=0)
    embedded_broker.produce(route, event(1)[1], partition=0)
    await_labels(embedded_broker, worker.labels, 1)
    (key,) = until(lambda: client.keys("labelstream:*"), BACK_S, "the cached value")
    stored = client.get(key)
    client.set(key, stored[:-1] + bytes([stored[-1] ^ 1]))
    embedded_broker.produce(route, event(1)[1], partition=0)
    await_labels(embedded_broker, worker.labels, 2)
    assert worker.metric("labelstream_cache_requests_total", tier="redis", result="invalid") == 1
    one, two = [orjson.loads(r.value or b"") for r in embedded_broker.records(worker.labels)]
    assert one["scores"] == two["scores"]


def test_the_worker_goes_on_while_redis_is_away_and_finds_it_again(
    embedded_broker: EmbeddedBroker, redis_server: RedisServer, start_worker: StartWorker
) -> None:
    route = make_route(embedded_broker, "away")
    redis_server.stop()
    worker = start_worker(embedded_broker, route, redis_url=redis_server.url, cache_local_entries=0)
    embedded_broker.produce(route, *(event(number)[1] for number in range(20)), partition=0)
    await_labels(embedded_broker, worker.labels, 20)
    redis_server.start()
    sent = 20

    def hits() -> bool:
        nonlocal sent
        embedded_broker.produce(route, event(1)[1], partition=0)
        sent += 1
        return worker.metric("labelstream_cache_requests_total", tier="redis", result="hit") > 0

    until(hits, BACK_S, "a hit in the Redis that came back")
    await_labels(embedded_broker, worker.labels, sent)
    assert worker.log.count("redis is away") == 1
    assert worker.log.count("redis is back") == 1
