"""Cache hits, in Redis and in the in-process LRU cache."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from benchmarks.speed.backlog import Backlog, Measurement, backlog, drain
from benchmarks.speed.bundles import bench_bundle
from benchmarks.speed.context import Bench, failure_notes
from benchmarks.speed.events import few_texts, small_events
from benchmarks.speed.report import Section, Table, at_least, at_most
from benchmarks.speed.scrape import Scrape
from benchmarks.speed.stats import spread
from benchmarks.speed.systems import FREE_WORKER, LabelstreamWorker, RunningSystem
from tests.real.redis import RedisServer
from tests.real.wait import until
from tests.real.worker import WorkerProcess

TITLE = "Cache hits"
EVENTS = 600_000
QUICK = 100_000
LRU_TEXTS = 10_000
LIMIT_S = 60.0
REDIS, LRU = "Redis tier, LRU off", "LRU tier"
METHOD = (
    "The worker with the free model, events of 200 bytes, measured as above. Redis tier: all texts are"
    " unique, and an earlier worker labelled each of them once, so every event is one hit in Redis (checked"
    " against Redis's own keyspace_hits). The worker runs with --cache-local-entries 0; Redis shares the"
    f" cores and listens on a unix socket. LRU tier: the events cycle through {LRU_TEXTS:,} texts, without"
    " Redis."
)


def run(bench: Bench) -> Section:
    """Run the group."""
    count = bench.size(EVENTS, QUICK)
    bundle = bench_bundle(bench, "tiny").bundle.path
    redis = RedisServer()
    try:
        redis.start()
        redis_worker = LabelstreamWorker(bundle, FREE_WORKER, (("redis_url", redis.url),))
        lru_worker = LabelstreamWorker(bundle, FREE_WORKER, (("cache_local_entries", 2 * LRU_TEXTS),))

        def all_are_stored(_: RunningSystem) -> dict[str, float]:
            # The worker writes to Redis after publishing, and is killed once all labels are published.
            until(lambda: redis.key_count() >= count, LIMIT_S, "all labels in Redis")
            return {}

        @contextmanager
        def loaded(repeat: int) -> Iterator[tuple[Backlog, Backlog]]:
            with (
                backlog(bench, "redis", small_events(count), count) as unique,
                backlog(bench, "lru", few_texts(count, LRU_TEXTS), count) as few,
            ):
                if repeat == 0 and bench.options.wants(REDIS):
                    bench.show_step("filling Redis")
                    drain(bench, redis_worker, unique, LIMIT_S, all_are_stored)
                yield unique, few

        def from_redis(shared: tuple[Backlog, Backlog]) -> Measurement:
            before = redis.info()["keyspace_hits"]
            measured = drain(bench, redis_worker, shared[0], LIMIT_S, partial(_hits, tier="redis"))
            measured.notes["keyspace_hits"] = redis.info()["keyspace_hits"] - before
            return measured

        def from_lru(shared: tuple[Backlog, Backlog]) -> Measurement:
            return drain(bench, lru_worker, shared[1], LIMIT_S, partial(_hits, tier="local"))

        results = bench.alternate(TITLE, {REDIS: from_redis, LRU: from_lru}, loaded)
        section = Section(
            TITLE, METHOD, notes=[*failure_notes(results), f"Redis {redis.version}: {redis.origin}."]
        )
    finally:
        redis.close()
    rows = []
    for name, runs in results.items():
        if runs.done:
            hits = [m.notes.get("keyspace_hits", m.notes["hits"]) for m in runs.done]
            rows.append(
                [
                    name,
                    spread(runs.figures(lambda m: m.steady_state.rate)).text(),
                    spread(runs.figures(lambda m: m.steady_state.cpu_us)).text(2),
                    spread(hits).text(),
                ]
            )
    columns = ["tier", "events/s, median (min – max)", "worker CPU µs/event", "hits"]
    section.tables.append(Table(f"{count:,} events", columns, rows))
    if redis_runs := results[REDIS].done if REDIS in results else []:
        section.checks += [
            at_least(
                "Redis tier, events per second",
                spread([m.steady_state.rate for m in redis_runs]).median,
                60_000,
                digits=0,
            ),
            at_most(
                "Redis tier, worker CPU per event",
                spread([m.steady_state.cpu_us for m in redis_runs]).median,
                12,
                " µs",
            ),
            at_least(
                "Redis keyspace_hits per event",
                min(m.notes["keyspace_hits"] for m in redis_runs) / count,
                1,
                digits=4,
            ),
        ]
    return section


def _hits(running: RunningSystem, tier: str) -> dict[str, float]:
    assert isinstance(running, WorkerProcess)
    scrape = Scrape.read(running.exposition())
    return {"hits": scrape.total("labelstream_cache_requests_total", tier=tier, result="hit")}
