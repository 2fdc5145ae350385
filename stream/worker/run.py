"""The run of a worker: build its parts, label events, and shut the parts down in reverse order."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import structlog

from stream import __version__
from stream.classify import SharedCache
from stream.classify.redis_cache import RedisCache, connect_redis
from stream.classify.signed_cache import SignedCache, read_secret
from stream.codec import load_codec
from stream.kafka.topics.wait import wait_for_topics
from stream.observe.metrics import Metrics
from stream.observe.summary import IntervalSummary, log_intervals
from stream.registry import RegistryClient, RouteSchemas, open_schemas
from stream.resolved_routes import label_topics
from stream.routes import Route
from stream.settings import Settings
from stream.tracing import Tracing, start_tracing
from stream.web.page import StatusPage
from stream.web.server import WebServer
from stream.worker.faust_app import LabelstreamApp, run_app
from stream.worker.route_model import LoadModel, load_model
from stream.worker.status import WorkerStatus, worker_name

REDIS_PING_S = 5.0

log = structlog.get_logger(__name__)


async def run_worker(
    settings: Settings, load: LoadModel = load_model, metrics: Metrics | None = None
) -> None:
    """Load the models, wait for the topics, and label events until cancelled.

    Args:
        settings: the settings of the worker.
        load: loads the model of a route.
        metrics: the metrics of the worker; default: new ones.

    Raises:
        Fatal: the worker could not start, or could not continue.
    """
    status = WorkerStatus(settings, metrics or Metrics())
    routes = settings.effective_routes
    tracing = start_tracing(settings, worker_name(), status.metrics.spans_dropped.inc)
    async with AsyncExitStack() as stack:
        if tracing is not None:
            stack.push_async_callback(_stop_tracing, tracing, status)
        web = WebServer(
            status.metrics,
            live=status.live,
            ready=status.ready,
            info=status.info,
            token_file=settings.web_token_file,
            allowed_hosts=settings.web_allowed_hosts,
            page=StatusPage(settings, status.metrics, status.recent, waiting_for=status.waiting_for),
        )
        port = await web.start(settings.web_host, settings.web_port)
        stack.push_async_callback(web.stop)
        log.info("listening", url=f"http://{settings.web_host}:{port}")
        shared: SharedCache | None = None
        if settings.redis_url is not None:
            redis = _redis_cache(settings.redis_url.get_secret_value(), settings.cache_ttl_s, status.metrics)
            stack.push_async_callback(redis.close)
            shared = _signed(redis, settings.cache_secret_file)
            _in_background(stack, _ping_redis(redis))
        topics: dict[str, tuple[str, ...]] = {}
        schemas = await _open_schemas(stack, settings, routes, status.metrics)
        for route in routes:
            model = await load(route, settings, shared, status.metrics)
            stack.callback(model.classifier.close)
            status.models.append((route, model))
            topics[route.name] = label_topics(route, model.bundle.manifest)
        settings = settings.with_label_topics(topics)
        routes = settings.effective_routes
        retry_s = settings.retry_deadline_s
        await wait_for_topics(settings, routes, retry_s, on_failure=status.on_topics_missing)
        tracer = None if tracing is None else tracing.tracer
        status.app = LabelstreamApp(settings, status.metrics, status.recent, tracer)
        for route, (_, model) in zip(routes, status.models, strict=True):
            status.app.add_route(route, model, schemas.get(route.name))
        log.info(
            "worker started",
            version=__version__,
            group=settings.group,
            broker=settings.broker,
            codec=load_codec().name,
        )
        if settings.log_interval_s:
            summary = IntervalSummary(status.metrics.registry, monotonic)
            stack.callback(summary.log_final)
            _in_background(stack, log_intervals(summary, settings.log_interval_s))
        await run_app(status.app)


def _in_background(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    stack.callback(asyncio.create_task(work).cancel)


async def _stop_tracing(tracing: Tracing, status: WorkerStatus) -> None:
    """Export the last spans in the time that the drain has left."""
    await tracing.stop(status.app.stop_deadline().remaining() if status.app is not None else 0.0)


async def _open_schemas(
    stack: AsyncExitStack, settings: Settings, routes: Sequence[Route], metrics: Metrics
) -> Mapping[str, RouteSchemas]:
    """Return the schemas of the routes that need the schema registry, by the names of the routes."""
    needing = [route for route in routes if route.needs_registry]
    if not needing:
        return {}
    client = RegistryClient(settings, on_retry=partial(metrics.retried, "registry"))
    stack.push_async_callback(client.close)
    return await open_schemas(client, needing)


def _redis_cache(url: str, ttl_s: int, metrics: Metrics) -> RedisCache:
    up = metrics.register_redis()
    return RedisCache(
        connect_redis(url),
        ttl_s,
        monotonic,
        up.set,
        partial(metrics.retried, "redis"),
        lambda operation, paused: metrics.redis_paused.labels(operation).set(paused),
    )


def _signed(shared: SharedCache, secret_file: Path | None) -> SharedCache:
    return shared if secret_file is None else SignedCache(shared, read_secret(secret_file))


async def _ping_redis(redis: RedisCache) -> None:
    """Keep `labelstream_redis_up` current while no event needs a lookup in Redis."""
    while True:
        await redis.ping()
        await asyncio.sleep(REDIS_PING_S)
