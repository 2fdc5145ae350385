"""A worker from start to end: everything it needs is built once, and taken down in reverse."""

from contextlib import AsyncExitStack
from time import monotonic
from typing import Any

import structlog

from stream import __version__
from stream.app import LabelstreamApp, run_app
from stream.classify.cache import RedisCache, connect_redis
from stream.kafka.topics import wait_for_topics
from stream.model import LoadModel, Model, load_model
from stream.observe.metrics import Metrics
from stream.observe.page import Page, Recent
from stream.observe.web import WebPort
from stream.settings import Route, Settings

log = structlog.get_logger(__name__)


class Worker:
    """What the web port tells of a worker while its parts come into being."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.recent = Recent(show_texts=settings.web_show_texts)
        self.models: list[tuple[Route, Model]] = []
        self.app: LabelstreamApp | None = None

    @property
    def ready(self) -> bool:
        """Whether the models are warm and the consumer group has answered."""
        return self.app is not None and self.app.ready

    def waiting_for(self) -> str | None:
        """What is missing until the worker is ready, None when nothing is."""
        if len(self.models) < len(self.settings.effective_routes):
            return "the model to load"
        return None if self.ready else "the broker and the consumer group"

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


async def run_worker(settings: Settings, load: LoadModel = load_model) -> None:
    """Load the models, wait for the topics, label events until cancelled.

    Raises:
        Fatal: why the worker could not start or go on.
    """
    worker = Worker(settings)
    routes = settings.effective_routes
    async with AsyncExitStack() as stack:
        web = WebPort(
            worker.metrics,
            is_ready=lambda: worker.ready,
            info=worker.info,
            token_file=settings.web_token_file,
            page=Page(settings, worker.metrics, worker.recent, waiting_for=worker.waiting_for),
        )
        port = await web.start(settings.web_host, settings.web_port)
        stack.push_async_callback(web.stop)
        log.info("listening", url=f"http://{settings.web_host}:{port}")
        shared = None
        if settings.redis_url is not None:
            client = connect_redis(settings.redis_url.get_secret_value())
            shared = RedisCache(client, settings.cache_ttl_s, monotonic)
            stack.push_async_callback(shared.close)
        for route in routes:
            model = await load(route, settings, shared, worker.metrics)
            stack.callback(model.classifier.close)
            worker.models.append((route, model))
        await wait_for_topics(settings, routes, settings.retry_deadline_s)
        worker.app = LabelstreamApp(settings, worker.metrics, worker.recent)
        for route, model in worker.models:
            worker.app.add_route(route, model)
        log.info("worker started", version=__version__, group=settings.group, broker=settings.broker)
        await run_app(worker.app)
