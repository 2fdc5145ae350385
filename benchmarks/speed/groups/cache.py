"""Texts that were labelled before: from Redis, and from the worker's own memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from benchmarks.speed.backlog import Backlog, Measured, backlog, work_off
from benchmarks.speed.bundles import bundle_of
from benchmarks.speed.context import Bench, failures
from benchmarks.speed.events import few_texts, small_events
from benchmarks.speed.report import Section, Table, at_least, at_most
from benchmarks.speed.scrape import Scrape
from benchmarks.speed.stats import spread
from benchmarks.speed.ways import FREE_WORKER, Ours, Running
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
    "The free-model worker, 200-byte events, measured as above. Redis tier: every text is unique and was"
    " labelled once by an earlier worker, so each event is one hit in Redis (its own keyspace_hits counts),"
    " with --cache-local-entries 0; Redis runs on the same cores over a unix socket. LRU tier: the events"
    f" repeat {LRU_TEXTS:,} texts in turn, no Redis."
)


def run(bench: Bench) -> Section:
    """Run the group."""
    count = bench.size(EVENTS, QUICK)
    bundle = bundle_of(bench, "tiny").bundle.path
    redis = RedisServer()
    try:
        redis.start()
        behind = Ours(bundle, FREE_WORKER, (("redis_url", redis.url),))
        local = Ours(bundle, FREE_WORKER, (("cache_local_entries", 2 * LRU_TEXTS),))

        def all_are_stored(_: Running) -> dict[str, float]:
            # Labels go to Redis after they are published, and the worker is killed once all are published.
            until(lambda: redis.keys() >= count, LIMIT_S, "what the worker still writes to Redis")
            return {}

        @contextmanager
        def loaded(repeat: int) -> Iterator[tuple[Backlog, Backlog]]:
            with (
                backlog(bench, "redis", small_events(count), count) as unique,
                backlog(bench, "lru", few_texts(count, LRU_TEXTS), count) as few,
            ):
                if repeat == 0 and bench.options.wants(REDIS):
                    bench.tell("filling Redis")
                    work_off(bench, behind, unique, LIMIT_S, all_are_stored)
                yield unique, few

        def from_redis(shared: tuple[Backlog, Backlog]) -> Measured:
            before = redis.info()["keyspace_hits"]
            measured = work_off(bench, behind, shared[0], LIMIT_S, partial(_hits, tier="redis"))
            measured.notes["keyspace_hits"] = redis.info()["keyspace_hits"] - before
            return measured

        def from_lru(shared: tuple[Backlog, Backlog]) -> Measured:
            return work_off(bench, local, shared[1], LIMIT_S, partial(_hits, tier="local"))

        found = bench.alternate(TITLE, {REDIS: from_redis, LRU: from_lru}, loaded)
        done = Section(TITLE, METHOD, notes=[*failures(found), f"Redis {redis.version}: {redis.found}."])
    finally:
        redis.close()
    rows = []
    for name, runs in found.items():
        if runs.done:
            hits = [m.notes.get("keyspace_hits", m.notes["hits"]) for m in runs.done]
            rows.append(
                [
                    name,
                    spread(runs.figures(lambda m: m.steady.rate)).text(),
                    spread(runs.figures(lambda m: m.steady.cpu_us)).text(2),
                    spread(hits).text(),
                ]
            )
    columns = ["tier", "events/s, median (least – most)", "worker CPU µs/event", "hits"]
    done.tables.append(Table(f"{count:,} events", columns, rows))
    if hot := found[REDIS].done if REDIS in found else []:
        done.checks += [
            at_least(
                "Redis tier, events per second",
                spread([m.steady.rate for m in hot]).median,
                60_000,
                digits=0,
            ),
            at_most(
                "Redis tier, worker CPU per event", spread([m.steady.cpu_us for m in hot]).median, 12, " µs"
            ),
            at_least(
                "Redis's own keyspace_hits by events",
                min(m.notes["keyspace_hits"] for m in hot) / count,
                1,
                digits=4,
            ),
        ]
    return done


def _hits(running: Running, tier: str) -> dict[str, float]:
    assert isinstance(running, WorkerProcess)
    told = Scrape.read(running.exposition())
    return {"hits": told.total("labelstream_cache_requests_total", tier=tier, result="hit")}
