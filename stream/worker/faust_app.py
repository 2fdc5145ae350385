"""The worker's Faust app: wiring, start and shutdown."""

import asyncio
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

import structlog

from stream.classify import Classifier, InputReader
from stream.deadline import Deadline
from stream.errors import LabelstreamError, StalledError, UnreadableBatchError
from stream.kafka.consumer import ConsumerConfig
from stream.kafka.delivery import AtLeastOnce, Delivery
from stream.kafka.exactly_once import ExactlyOnce
from stream.kafka.faust.app import BatchApp, BatchWorker
from stream.kafka.faust.consumer_thread import BatchConsumerThread
from stream.kafka.faust.options import REBALANCE_TIMEOUT_S, faust_options, transactional_options
from stream.kafka.faust.topic import BatchTopic, live_batches
from stream.kafka.faust.transactional_producer import TransactionalProducer
from stream.kafka.fetch_policy import FetchPolicy
from stream.kafka.group import GroupAnswers
from stream.kafka.oversized import OversizedDeadLetters
from stream.kafka.publisher import Publisher
from stream.kafka.topics.setup import read_max_bytes
from stream.kafka.transactions import Transactions
from stream.observe.metrics import Metrics
from stream.pipeline.agent import LabelAgent, RoutePipeline
from stream.pipeline.outcomes import OutcomeWriter
from stream.pipeline.topic_chooser import TopicChooser
from stream.quarantine import Quarantine
from stream.records import Decoder, LabelEncoder, make_output_form
from stream.registry import RouteSchemas
from stream.routes import Route
from stream.settings import Settings
from stream.tracing import Tracer
from stream.web.page import RecentOutcomes, Sampler
from stream.worker.exit import as_labelstream_error, exit_when_expired, is_unexpected
from stream.worker.observer import MetricsObserver
from stream.worker.route_model import Model
from stream.worker.watchdog import Watchdog

# The time after the drain for its last commit and for Faust to stop its services.
EXIT_GRACE_S = 10.0

log = structlog.get_logger(__name__)


class RouteReadLimits:
    """The `ReadLimits` of a route, derived from the throughput of its model."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier

    @property
    def record_batch_size(self) -> int:
        """The number of events that the model classifies in about half a second."""
        return self._classifier.record_batch_size

    @property
    def read_ahead(self) -> int:
        """Twice the window. Records that wait longer leave the CPU caches and cost more to process."""
        return 2 * self._classifier.window_events


class LabelstreamApp(BatchApp):
    """The Faust app of a worker. Its first fatal error ends the worker.

    Attributes:
        fatal: the error that ends the worker; None while there is none.
        failed: set as soon as there is a fatal error.
    """

    settings: Settings
    metrics: Metrics

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        recent: RecentOutcomes,
        tracer: Tracer | None = None,
    ) -> None:
        config = ConsumerConfig(
            start_at=settings.start_at,
            max_events=settings.max_queue_events,
            max_bytes=settings.max_queue_bytes,
            drain_s=min(settings.drain_deadline_s, REBALANCE_TIMEOUT_S / 2),
            max_decompressed_bytes=settings.max_decompressed_bytes,
            quarantine=Quarantine(settings.quarantine),
            retry_s=settings.retry_deadline_s,
        )
        observer = MetricsObserver(metrics, tracer)
        fetch_policy = FetchPolicy(settings.linger_ms / 1000, monotonic, self._backlog_s)
        loop = asyncio.get_running_loop()
        # The consumer's thread reports the error; the event loop ends the worker.
        group_answers = GroupAnswers(
            settings, monotonic, lambda error: loop.call_soon_threadsafe(self.fail, error)
        )
        self._transactions = Transactions(
            settings.group,
            partial(
                TransactionalProducer, transactional_options(settings), on_retry=observer.on_publish_retry
            ),
            settings.retry_deadline_s,
        )
        super().__init__(
            settings.group,
            faust_options(settings),
            config=config,
            observer=observer,
            new_thread=partial(
                BatchConsumerThread,
                config=config,
                observer=observer,
                fetch_policy=fetch_policy,
                group_answers=group_answers,
            ),
            producers=self._transactions,
        )
        self.settings = settings
        self.metrics = metrics
        self._recent = recent
        self._tracer = tracer
        self._models: list[Model] = []
        self._stop_deadline: Deadline | None = None
        self.fatal: LabelstreamError | None = None
        self.failed = asyncio.Event()

    def add_route(self, route: Route, model: Model, schemas: RouteSchemas | None = None) -> None:
        """Add an agent that reads the route's input topic.

        Args:
            route: the route.
            model: its model.
            schemas: its schemas in the schema registry; None if it has none.
        """
        self._models.append(model)
        agent = LabelAgent(self._pipeline(route, model, schemas or RouteSchemas()), self.metrics, self.fail)

        async def label(stream: Any) -> None:
            structlog.contextvars.bind_contextvars(route=route.name, bundle=model.bundle.reference)
            try:
                await agent.run(live_batches(stream, agent.wait_for_capacity))
            except Exception as exc:  # noqa: BLE001 - Faust would restart the agent and skip the failed batch
                self.fail(exc)

        topic = BatchTopic(
            self,
            topics=[route.input_topic],
            key_serializer="raw",
            value_serializer="raw",
            limits=RouteReadLimits(model.classifier),
            transactional=route.delivery == "exactly_once",
        )
        self.agent(topic, name=f"label-{route.name}")(label)

    def _pipeline(self, route: Route, model: Model, schemas: RouteSchemas) -> RoutePipeline:
        settings, manifest = self.settings, model.bundle.manifest
        reader = InputReader(manifest)
        encoder = LabelEncoder(
            name=manifest.name,
            version=manifest.version,
            digest=model.bundle.digest,
            variant=model.variant,
            output=make_output_form(route, settings.group, schemas),
        )
        return RoutePipeline(
            route=route.name,
            decoder=Decoder(
                route,
                max_event_bytes=settings.max_event_bytes,
                max_text_chars=settings.max_text_chars,
                takes_pair=manifest.takes_pair,
                quarantine=Quarantine(settings.quarantine),
                schemas=schemas.inputs,
            ),
            reader=None if reader.text_only else reader,
            classifier=model.classifier,
            writer=OutcomeWriter(
                route,
                settings.group,
                encoder,
                self.metrics,
                sampler=Sampler(route.name, self._recent),
                chooser=TopicChooser(route, manifest) if route.chooses_topics else None,
            ),
            delivery=self._delivery(route),
            log_texts=settings.log_texts,
            tracer=self._tracer,
            schemas=schemas.inputs,
        )

    def _delivery(self, route: Route) -> Delivery:
        new_publisher = self._publishers(route)
        if route.delivery == "at_least_once":
            return AtLeastOnce(new_publisher(lambda: self.producer_client))
        return ExactlyOnce(
            self._transactions,
            lambda: self.transaction_offsets,
            new_publisher,
            group=self.settings.group,
            deadline_s=self.settings.retry_deadline_s,
        )

    def _publishers(self, route: Route) -> Callable[[Callable[[], Any]], Publisher]:
        """Return a function that creates the publisher of a route for a producer."""
        oversized = OversizedDeadLetters(
            partial(read_max_bytes, self.settings),
            self.metrics.dead_letters_truncated.labels(route.name).inc,
            stop=self.settings.on_unwritable_dead_letter == "stop",
        )
        return partial(
            Publisher, deadline_s=self.settings.retry_deadline_s, fallbacks={route.dead_topic: oversized}
        )

    def _backlog_s(self) -> float:
        """Return the seconds of work that the least busy model has."""
        return min((model.classifier.backlog_s for model in self._models), default=0.0)

    def fail(self, error: BaseException) -> None:
        """Record and log the first fatal error, and request the shutdown."""
        if self.fatal is None:
            self.fatal = as_labelstream_error(error, self.settings)
            log.error(
                self.fatal.message,
                cause=self.fatal.cause,
                fix=self.fatal.fix,
                exc_info=error if is_unexpected(error) else None,
            )
            self.failed.set()

    @property
    def exit_code(self) -> int:
        """The exit code for a shutdown that hangs."""
        return self.fatal.exit_code if self.fatal else StalledError.exit_code

    @property
    def drains(self) -> bool:
        """True if a drain waits for the batches in flight, which never finish after most fatal errors."""
        # A batch that cannot be read has not failed the events of other partitions.
        return self.fatal is None or isinstance(self.fatal, UnreadableBatchError)

    def stop_deadline(self) -> Deadline:
        """Return the deadline of the shutdown's drain. The first call starts it."""
        if self._stop_deadline is None:
            self._stop_deadline = Deadline(self.settings.drain_deadline_s)
        return self._stop_deadline

    async def on_stop(self) -> None:
        """Drain the consumer, then let Faust stop its services. After most fatal errors, only commit."""
        try:
            await self.drain("stop", self.stop_deadline() if self.drains else Deadline(0.0))
        finally:
            await super().on_stop()


async def run_app(app: LabelstreamApp) -> None:
    """Run the app until it is cancelled or fails, then drain and stop it.

    Raises:
        Fatal: the error that ended the worker.
    """
    worker = BatchWorker(app)
    starting = asyncio.create_task(worker.start())
    crashed = asyncio.create_task(worker.wait_until_stopped())
    failed = asyncio.create_task(app.failed.wait())
    watching = asyncio.create_task(_watch_when_started(app, starting))
    try:
        await asyncio.wait({crashed, failed, watching}, return_when=asyncio.FIRST_COMPLETED)
        for task in (watching, starting):
            if task.done() and task.exception():
                app.fail(task.exception() or RuntimeError())
        if worker.crash_reason is not None:
            app.fail(worker.crash_reason)
    finally:
        deadline = app.stop_deadline().extended(EXIT_GRACE_S)
        with exit_when_expired(deadline, app.exit_code, lambda: app.fatal):
            for task in (starting, failed, watching):
                task.cancel()
            await worker.stop()
            crashed.cancel()
    if app.fatal is not None:
        raise app.fatal


async def _watch_when_started(app: LabelstreamApp, starting: "asyncio.Task[None]") -> None:
    await starting
    await Watchdog(app.consumer, app.metrics, app.settings.stall_exit_s, monotonic, app.fail).run()
