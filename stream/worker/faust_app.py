"""The Faust app: built once a worker, started, drained and stopped in one place."""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import Any

import faust
import structlog
from aiokafka.errors import KafkaError
from faust.types import TP

from stream.classify.inputs import InputReader
from stream.errors import BrokerError, Fatal, LabelstreamError
from stream.kafka.batches import live_batches
from stream.kafka.delivery import AtLeastOnce
from stream.kafka.faust.options import REBALANCE_TIMEOUT_S, faust_options
from stream.kafka.faust.transport import (
    COMMIT_TIMEOUT_S,
    BatchConsumer,
    BatchProducer,
    BatchTopic,
    BatchTransport,
)
from stream.kafka.fetch_policy import FetchPolicy
from stream.kafka.publisher import Publisher
from stream.observe.metrics import Metrics
from stream.pipeline.agent import LabelAgent
from stream.pipeline.outcomes import OutcomeWriter
from stream.records import Decoder, LabelEncoder
from stream.settings import Route, Settings
from stream.web.page import Recent
from stream.web.page.sampler import Sampler
from stream.worker.route_model import Model
from stream.worker.watchdog import Watch

EXIT_GRACE_S = 5.0
HUNG_EXIT_CODE = 5

log = structlog.get_logger(__name__)


class LabelstreamApp(faust.App):  # type: ignore[misc]
    """A Faust app whose transport carries record batches and whose first fatal error ends it."""

    logger = logging.getLogger("faust.batches")
    settings: Settings
    metrics: Metrics

    def __init__(self, settings: Settings, metrics: Metrics, recent: Recent) -> None:
        super().__init__(settings.group, **faust_options(settings))
        self.settings = settings
        self.metrics = metrics
        self._recent = recent
        self.fatal: LabelstreamError | None = None
        self._models: list[Model] = []
        self.ended = asyncio.Event()

    def fail(self, error: BaseException) -> None:
        """Note the first error that cannot be gone past, and begin to stop."""
        if self.fatal is None:
            self.fatal = told(error)
            log.error(
                self.fatal.message, cause=self.fatal.cause, fix=self.fatal.fix, exc_info=_unforeseen(error)
            )
            self.ended.set()

    def add_route(self, route: Route, model: Model) -> None:
        """Connect an input topic to an agent."""
        manifest = model.bundle.manifest
        self._models.append(model)
        reader = InputReader(manifest)
        agent = LabelAgent(
            route.name,
            Decoder(
                input_format=route.input_format,
                max_event_bytes=self.settings.max_event_bytes,
                max_text_chars=self.settings.max_text_chars,
                takes_pair=manifest.takes_pair,
            ),
            model.classifier,
            OutcomeWriter(
                route,
                self.settings.group,
                LabelEncoder(
                    name=manifest.name,
                    version=manifest.version,
                    digest=model.bundle.digest,
                    variant=model.variant,
                ),
                self.metrics,
                sampler=Sampler(route.name, self._recent),
            ),
            AtLeastOnce(Publisher(lambda: self.producer._producer, self.settings.retry_deadline_s)),
            self.metrics,
            self.fail,
            None if reader.plain else reader,
            log_texts=self.settings.log_texts,
        )

        async def label(stream: Any) -> None:
            structlog.contextvars.bind_contextvars(route=route.name, bundle=model.bundle.reference)
            try:
                await agent.run(live_batches(stream, agent.room))
            except Exception as exc:  # noqa: BLE001 - Faust would restart the agent and go on past the fault
                self.fail(exc)

        topic = BatchTopic(self, topics=[route.input_topic], key_serializer="raw", value_serializer="raw")
        topic.events_at_once = lambda: model.classifier.events_at_once
        # What lies read and cold costs more than what comes when it is wanted.
        topic.read_ahead = lambda: 2 * model.classifier.window_events
        self.agent(topic, name=f"label-{route.name}")(label)

    @property
    def reading(self) -> BatchConsumer | None:
        """The consumer, once it is made."""
        consumer: BatchConsumer | None = self._consumer
        return consumer

    def _new_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_consumer, self)

    def _new_consumer(self) -> BatchConsumer:
        consumer: BatchConsumer = super()._new_consumer()
        consumer.start_at = self.settings.start_at
        consumer.max_events = self.settings.max_queue_events
        consumer.max_bytes = self.settings.max_queue_bytes
        consumer.fetch_policy = FetchPolicy(self.settings.linger_ms / 1000, monotonic, self._busy_s)
        consumer.drain_s = min(self.settings.drain_deadline_s, REBALANCE_TIMEOUT_S / 2)
        consumer.on_waited = self.metrics.stage.labels("queue").observe
        consumer.on_commit = self._on_commit
        consumer.on_offsets_skipped = self._on_offsets_skipped
        consumer.on_assigned = self.metrics.expect_partitions
        consumer.on_asked_again = partial(self.metrics.retried, "broker")
        return consumer

    def _new_producer(self) -> BatchProducer:
        producer: BatchProducer = super()._new_producer()
        producer.on_retry = partial(self.metrics.retried, "publish")
        return producer

    def _busy_s(self) -> float:
        """Seconds of work that the least busy model has."""
        return min((model.classifier.busy_s for model in self._models), default=0.0)

    def _on_commit(self, done: bool, seconds: float) -> None:
        self.metrics.commits.labels("done" if done else "failed").inc()
        if not done:
            # The next interval tries again.
            self.metrics.retried("commit")
        self.metrics.stage.labels("commit").observe(seconds)

    def _on_offsets_skipped(self, tp: TP, offsets: int) -> None:
        self.metrics.offsets_skipped.labels(tp.topic, str(tp.partition)).inc(offsets)
        log.error(
            "retention removed events before they were read",
            topic=tp.topic,
            partition=tp.partition,
            offsets=offsets,
            fix="lengthen the topic's retention, or add workers",
        )

    def _create_directories(self) -> None:
        """Faust keeps tables on disk; there are none, and a container's root may be read-only."""

    def on_rebalance_start(self) -> None:
        self.metrics.rebalances.inc()
        super().on_rebalance_start()

    async def on_stop(self) -> None:
        """Finish and commit what is in flight, then let Faust stop its services."""
        try:
            if self._consumer is not None and self._consumer.ranges:
                await self._consumer.drain("stop", 0 if self.fatal else self.settings.drain_deadline_s)
        finally:
            await super().on_stop()


class LabelstreamWorker(faust.Worker):  # type: ignore[misc]
    """Faust's worker without its logging, spinner and signal handlers."""

    logger = logging.getLogger("faust.batches")

    def __init__(self, app: LabelstreamApp) -> None:
        super().__init__(
            app,
            quiet=True,
            override_logging=False,
            redirect_stdouts=False,
            daemon=False,
            loop=asyncio.get_running_loop(),
        )
        self.spinner = None

    def install_signal_handlers(self) -> None:
        """Signals are the command's."""


async def run_app(app: LabelstreamApp) -> None:
    """Run until cancelled or until a fatal error; drain, stop, and raise that error.

    Raises:
        Fatal: why the worker could not go on.
    """
    worker = LabelstreamWorker(app)
    starting = asyncio.create_task(worker.start())
    crashed = asyncio.create_task(worker.wait_until_stopped())
    ended = asyncio.create_task(app.ended.wait())
    watching = asyncio.create_task(_watch_when_started(app, starting))
    try:
        await asyncio.wait({crashed, ended, watching}, return_when=asyncio.FIRST_COMPLETED)
        for failed in (watching, starting):
            if failed.done() and failed.exception():
                app.fail(failed.exception() or RuntimeError())
        if worker.crash_reason is not None:
            app.fail(worker.crash_reason)
    finally:
        exit_code = app.fatal.exit_code if app.fatal else HUNG_EXIT_CODE
        with exit_at_last(app.settings.drain_deadline_s + COMMIT_TIMEOUT_S + EXIT_GRACE_S, exit_code):
            for task in (starting, ended, watching):
                task.cancel()
            await worker.stop()
            crashed.cancel()
    if app.fatal is not None:
        raise app.fatal


async def _watch_when_started(app: LabelstreamApp, starting: "asyncio.Task[None]") -> None:
    await starting
    await Watch(app.consumer, app.metrics, app.settings.stall_exit_s, monotonic, app.fail).run()


@contextmanager
def exit_at_last(within_s: float, exit_code: int) -> Iterator[None]:
    """End the process when the body outlives its deadline: Faust waits for a dead broker for ever."""
    timer = threading.Timer(within_s, _exit_hung, (within_s, exit_code))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _exit_hung(within_s: float, exit_code: int) -> None:
    sys.stderr.write(
        f"error: the worker did not stop within {within_s:g} s and was ended; nothing was lost\n"
    )
    sys.stderr.flush()
    os._exit(exit_code)


def told(error: BaseException) -> LabelstreamError:
    """Any error as one that has an exit code and a fix."""
    if isinstance(error, LabelstreamError):
        return error
    if isinstance(error, KafkaError):
        return BrokerError(
            "the connection to the broker failed",
            cause=f"{type(error).__name__}: {error}",
            fix="check the broker: labelstream doctor; nothing was lost",
        )
    return Fatal(
        f"{type(error).__name__}: {error}",
        cause="this was not foreseen",
        fix="run with --log-level debug and report it",
    )


def _unforeseen(error: BaseException) -> BaseException | None:
    return None if isinstance(error, LabelstreamError | KafkaError) else error
