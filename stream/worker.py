"""A worker from start to end: everything it needs is built once, and taken down in reverse."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from time import monotonic, time
from typing import Any

import structlog

from stream import __version__
from stream.app import LabelstreamApp, run_app
from stream.classify.cache import RedisCache, connect_redis
from stream.kafka.topics import wait_for_topics
from stream.model import LoadModel, Model, load_model
from stream.observe.metrics import Metrics
from stream.observe.web import WebPort
from stream.settings import Route, Settings

REDIS_LOOK_S = 5.0

log = structlog.get_logger(__name__)


class Worker:
    """What the web port tells of a worker while its parts come into being."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.models: list[tuple[Route, Model]] = []
        self.app: LabelstreamApp | None = None
        metrics.build.labels(__version__).set(1)
        metrics.ready.set_function(lambda: self.ready)
        metrics.last_progress.set(time())
        for route in settings.effective_routes:
            metrics.expect_route(route.name)

    @property
    def ready(self) -> bool:
        """Whether the models are warm and the consumer group has answered."""
        return self.app is not None and self.app.ready

    def info(self) -> dict[str, Any]:
        """Version, settings without secrets, and what each route runs on."""
        routes = [
            {
                "name": route.name,
                "bundle": model.bundle.reference,
                "digest": model.bundle.digest,
                "variant": model.variant,
                "device": model.device,
                "provider": model.provider,
            }
            for route, model in self.models
        ]
        return {"version": __version__, "settings": self.settings.public(), "routes": routes}


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
    worker = Worker(settings, metrics or Metrics())
    routes = settings.effective_routes
    async with AsyncExitStack() as stack:
        web = WebPort(
            worker.metrics,
            is_ready=lambda: worker.ready,
            info=worker.info,
            token_file=settings.web_token_file,
        )
        port = await web.start(settings.web_host, settings.web_port)
        stack.push_async_callback(web.stop)
        log.info("listening", url=f"http://{settings.web_host}:{port}")
        shared = None
        if settings.redis_url is not None:
            shared = _shared_cache(
                settings.redis_url.get_secret_value(), settings.cache_ttl_s, worker.metrics
            )
            stack.push_async_callback(shared.close)
            looking = asyncio.create_task(_look_at(shared))
            stack.callback(looking.cancel)
        for route in routes:
            model = await load(route, settings, shared, worker.metrics)
            stack.callback(model.classifier.close)
            worker.models.append((route, model))
        await wait_for_topics(
            settings,
            routes,
            settings.retry_deadline_s,
            on_wait=lambda _: worker.metrics.retried("topics"),
        )
        worker.app = LabelstreamApp(settings, worker.metrics)
        for route, model in worker.models:
            worker.app.add_route(route, model)
        log.info("worker started", version=__version__, group=settings.group, broker=settings.broker)
        await run_app(worker.app)


def _shared_cache(url: str, ttl_s: int, metrics: Metrics) -> RedisCache:
    up = metrics.expect_redis()
    return RedisCache(connect_redis(url), ttl_s, monotonic, up.set, partial(metrics.retried, "redis"))


async def _look_at(shared: RedisCache) -> None:
    """Keep `labelstream_redis_up` true while no event asks Redis."""
    while True:
        await shared.look()
        await asyncio.sleep(REDIS_LOOK_S)
