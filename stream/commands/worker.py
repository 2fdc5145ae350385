"""`labelstream worker`: read texts, write labels, until told to stop."""

import asyncio
import signal
from contextlib import AsyncExitStack, suppress
from time import monotonic
from typing import Any

import structlog

from stream.commands.options import EVERY, with_settings
from stream.settings import Settings

log = structlog.get_logger(__name__)


@with_settings(*EVERY)
def worker(settings: Settings) -> None:
    """Classify the events of the input topic and publish labels.

    Stops on SIGTERM or Ctrl-C after finishing and committing what is in flight. Exit codes: 3 bundle,
    4 broker or topics, 5 stalled, 6 fenced, 7 device.

        labelstream worker --bundle support

        LABELSTREAM_BROKER=kafka:9092 labelstream worker --bundle support@3 --redis-url redis://cache:6379/0

        labelstream worker --config labelstream.toml
    """
    from stream.observe.logs import configure_logs

    configure_logs(settings.log_level, settings.log_format)
    stopped_by = asyncio.run(_until_signalled(settings))
    if stopped_by == signal.SIGINT:
        raise KeyboardInterrupt


async def _until_signalled(settings: Settings) -> signal.Signals | None:
    loop = asyncio.get_running_loop()
    serving = asyncio.create_task(serve(settings))
    received: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        # Once: a second cancellation would interrupt the draining that the first one began.
        if not received:
            log.info("stopping", signal=number.name)
            serving.cancel()
        received.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    with suppress(asyncio.CancelledError):
        await serving
    return received[0] if received else None


async def serve(settings: Settings) -> None:
    """Build everything once, run, and take it down in reverse.

    Raises:
        Fatal: why the worker could not start or go on.
    """
    from stream import __version__
    from stream.app import build_app, run_app
    from stream.classify.cache import RedisCache, connect_redis
    from stream.kafka.topics import wait_for_topics
    from stream.model import Model, load_model
    from stream.observe.metrics import Metrics
    from stream.observe.web import WebPort
    from stream.settings import Route

    metrics = Metrics()
    models: list[tuple[Route, Model]] = []
    state: dict[str, Any] = {}
    async with AsyncExitStack() as stack:
        web = WebPort(
            metrics,
            is_ready=lambda: "app" in state and state["app"].ready,
            info=lambda: {
                "version": __version__,
                "settings": settings.public(),
                "routes": [
                    {
                        "name": route.name,
                        "bundle": model.bundle.reference,
                        "digest": model.bundle.digest,
                        "variant": model.variant,
                        "device": model.device,
                        "provider": model.provider,
                    }
                    for route, model in models
                ],
            },
            token_file=settings.web_token_file,
        )
        port = await web.start(settings.web_host, settings.web_port)
        stack.push_async_callback(web.stop)
        log.info("listening", url=f"http://{settings.web_host}:{port}")
        shared = None
        if settings.redis_url is not None:
            shared = RedisCache(
                connect_redis(settings.redis_url.get_secret_value()), settings.cache_ttl_s, monotonic
            )
            stack.push_async_callback(shared.close)
        for route in settings.effective_routes:
            model = await load_model(route, settings, shared, metrics)
            stack.callback(model.classifier.close)
            models.append((route, model))
        await wait_for_topics(settings, settings.effective_routes, settings.retry_deadline_s)
        state["app"] = build_app(settings, metrics, models)
        log.info("worker started", version=__version__, group=settings.group, broker=settings.broker)
        await run_app(state["app"])
