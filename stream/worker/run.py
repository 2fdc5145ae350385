"""A worker from start to end: everything it needs is built once, and taken down in reverse."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from time import monotonic, time
from typing import Any

import structlog

from stream import __version__
from stream.classify.cache import RedisCache, connect_redis
from stream.codec import load_codec
from stream.errors import BrokerError
from stream.kafka.topics.cluster import wait_for_topics
from stream.observe.metrics import Metrics
from stream.observe.summary import Summary, tell_each
from stream.settings import Route, Settings
from stream.web.health import (
    Check,
    Checks,
    check_broker,
    check_bundles,
    check_group,
    check_sessions,
    passed,
)
from stream.web.page import Page, Recent
from stream.web.server import WebPort
from stream.worker.faust_app import LabelstreamApp, run_app
from stream.worker.info import describe
from stream.worker.route_model import LoadModel, Model, load_model

REDIS_LOOK_S = 5.0

log = structlog.get_logger(__name__)


class WorkerStatus:
    """What the web port tells of a worker while its parts come into being."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.recent = Recent(show_texts=settings.web_show_texts)
        self.models: list[tuple[Route, Model]] = []
        self.app: LabelstreamApp | None = None
        self.waits_for = "it comes after the bundles"
        self._started_at = datetime.now(UTC).isoformat(timespec="seconds")
        metrics.build.labels(__version__).set(1)
        metrics.ready.set_function(lambda: passed(self.ready()))
        metrics.last_progress.set(time())
        for route in settings.effective_routes:
            metrics.expect_route(route.name)

    def live(self) -> Checks:
        """The loop turns, since it answers; and so do the models' sessions."""
        longest_s = max((model.classifier.inferring_s for _, model in self.models), default=0.0)
        return {
            "loop": Check(True, "the event loop turns"),
            "model": check_sessions(longest_s, self.settings.stall_exit_s),
        }

    def ready(self) -> Checks:
        """The bundles are warm, the group has answered, and the broker still does."""
        bundles = check_bundles(len(self.models), len(self.settings.effective_routes))
        consumer = self.app.reading if self.app is not None else None
        if self.app is None or consumer is None:
            waiting = Check(False, f"not asked yet: {self.waits_for}")
            return {"bundles": bundles, "group": waiting, "broker": waiting}
        return {
            "bundles": bundles,
            "group": check_group(consumer, self.app.should_stop),
            "broker": check_broker(self.settings.broker, consumer.probe),
        }

    def waits(self, reason: BrokerError) -> None:
        """The topics were looked for in vain, and are looked for again."""
        self.waits_for = f"{reason.message}, {reason.cause}"
        self.metrics.retried("topics")

    def waiting_for(self) -> str | None:
        """What is missing until the worker is ready, None when nothing is."""
        missing = (f"the {name}: {check.found}" for name, check in self.ready().items() if not check.ok)
        return next(missing, None)

    def info(self) -> dict[str, Any]:
        """What /info tells."""
        consumer = self.app.reading if self.app is not None else None
        return describe(self.settings, self.models, consumer.assigned if consumer else (), self._started_at)


async def run_worker(
    settings: Settings, load: LoadModel = load_model, metrics: Metrics | None = None
) -> None:
    """Load the models, wait for the topics, label events until cancelled.

    Args:
        settings: the worker's.
        load: how a route comes by its model.
        metrics: what is counted in; default: a worker's own.

    Raises:
        Fatal: why the worker could not start or go on.
    """
    worker = WorkerStatus(settings, metrics or Metrics())
    routes = settings.effective_routes
    async with AsyncExitStack() as stack:
        web = WebPort(
            worker.metrics,
            live=worker.live,
            ready=worker.ready,
            info=worker.info,
            token_file=settings.web_token_file,
            page=Page(settings, worker.metrics, worker.recent, waiting_for=worker.waiting_for),
        )
        port = await web.start(settings.web_host, settings.web_port)
        stack.push_async_callback(web.stop)
        log.info("listening", url=f"http://{settings.web_host}:{port}")
        shared = None
        if settings.redis_url is not None:
            url = settings.redis_url.get_secret_value()
            shared = _shared_cache(url, settings.cache_ttl_s, worker.metrics)
            stack.push_async_callback(shared.close)
            _in_background(stack, _look_at(shared))
        for route in routes:
            model = await load(route, settings, shared, worker.metrics)
            stack.callback(model.classifier.close)
            worker.models.append((route, model))
        await wait_for_topics(settings, routes, settings.retry_deadline_s, on_wait=worker.waits)
        worker.app = LabelstreamApp(settings, worker.metrics, worker.recent)
        for route, model in worker.models:
            worker.app.add_route(route, model)
        log.info(
            "worker started",
            version=__version__,
            group=settings.group,
            broker=settings.broker,
            codec=load_codec().name,
        )
        if settings.log_interval_s:
            summary = Summary(worker.metrics.registry, monotonic)
            stack.callback(summary.tell_last)
            _in_background(stack, tell_each(summary, settings.log_interval_s))
        await run_app(worker.app)


def _in_background(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    stack.callback(asyncio.create_task(work).cancel)


def _shared_cache(url: str, ttl_s: int, metrics: Metrics) -> RedisCache:
    up = metrics.expect_redis()
    return RedisCache(connect_redis(url), ttl_s, monotonic, up.set, partial(metrics.retried, "redis"))


async def _look_at(shared: RedisCache) -> None:
    """Keep `labelstream_redis_up` true while no event asks Redis."""
    while True:
        await shared.look()
        await asyncio.sleep(REDIS_LOOK_S)
