"""The processing loop: decode, classify, encode, publish and acknowledge record batches, in this order.

Faust runs the consumer group and owns the Kafka clients. `stream.worker.faust_app` creates a `LabelAgent` for
each route, and passes it the record batches of the route's input topic. The glossary in docs/architecture.md
defines the terms.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic

import structlog

from stream.classify import Classifier, InputReader
from stream.errors import BrokerError
from stream.isolation import is_exit
from stream.kafka.batches import RecordBatch
from stream.kafka.delivery import Delivery, FinishedBatch
from stream.observe.logs import debug_enabled
from stream.observe.metrics import Metrics
from stream.pipeline.batch_output import record_batch_fields
from stream.pipeline.inputs import read_inputs
from stream.pipeline.outcomes import OutcomeWriter
from stream.pipeline.sequencer import PartitionSequencer, Ticket
from stream.records import Decoder
from stream.registry import SchemaCache
from stream.tracing import TracedBatch, Tracer, log_context, trace_batch

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RoutePipeline:
    """The name, the processing steps in their order, and the log setting of one route.

    Attributes:
        route: the name of the route.
        decoder: parses records into events, dead letters and tombstones.
        reader: turns events into model inputs; None if the model reads only `Event.text`.
        classifier: turns model inputs into predictions.
        writer: encodes label events, dead letters and tombstones as output records.
        delivery: publishes output records and acknowledges their record batches.
        log_texts: True if the debug line of a record batch shows the first characters of some texts.
        tracer: traces the batches with a sampled event; None if tracing is off.
        schemas: the schemas that the values of records name; None if they name none.
    """

    route: str
    decoder: Decoder
    reader: InputReader | None
    classifier: Classifier
    writer: OutcomeWriter
    delivery: Delivery
    log_texts: bool = False
    tracer: Tracer | None = None
    schemas: SchemaCache | None = None


class LabelAgent:
    """Labels the record batches of one route.

    Each record of a batch leads to one outcome: a label event, a dead letter if the record cannot be
    labelled, a tombstone if its value is null, or nothing if the route drops events without a label. A batch
    is acknowledged after the broker has confirmed all its output records, and only the offsets of
    acknowledged batches are committed.

    A batch is released instead if its partition was revoked or the worker failed. The offsets of a released
    batch are not committed, so the next owner of the partition reads its records again; their output is
    published a second time if the broker had already received it.

    An error that does not concern a single record ends the worker. If it occurs before the acknowledgement of
    a batch, the batch stays unacknowledged.
    """

    def __init__(
        self, pipeline: RoutePipeline, metrics: Metrics, fail: Callable[[BaseException], None]
    ) -> None:
        """
        Args:
            pipeline: the parts of the route.
            metrics: the metrics of the worker.
            fail: called once, with the error that ends the worker.
        """
        self._pipeline = pipeline
        self._metrics = metrics
        self._events_in = metrics.events_in.labels(pipeline.route)
        self._fail = fail
        self._failed = False
        self._sequencer = PartitionSequencer(self._deliver)
        # asyncio keeps only weak references to tasks. Nothing awaits these: a drain of the consumer waits for
        # the acknowledgement of their batches.
        self._running: set[asyncio.Task[None]] = set()
        self._records_in_flight = 0
        self._capacity = asyncio.Event()

    async def wait_for_capacity(self) -> None:
        """Wait until fewer records are in flight than the in-flight limit, `Classifier.window_events`."""
        while self._records_in_flight >= self._pipeline.classifier.window_events:
            self._capacity.clear()
            await self._capacity.wait()

    async def run(self, batches: AsyncIterator[RecordBatch]) -> None:
        """Start a task for each batch, and publish the batches of a partition in offset order.

        Args:
            batches: the batches to process. `live_batches` awaits `wait_for_capacity` before it yields one,
                which bounds the number of tasks.
        """
        async for batch in batches:
            self._records_in_flight += len(batch)
            ticket = self._sequencer.reserve((batch.topic, batch.partition))
            task = asyncio.create_task(self._process(batch, ticket))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _process(self, batch: RecordBatch, ticket: Ticket[FinishedBatch]) -> None:
        try:
            tracer = self._pipeline.tracer
            with trace_batch(tracer, batch.source, batch.records, batch.delivered_at) as traced:
                await self._label(batch, ticket, traced)
        except BaseException as exc:
            # Nothing awaits this task, so an error that did not reach `fail` would leave the offsets of its
            # batch uncommitted for ever, in a worker that looks alive.
            self._stop(exc, [batch])
            if is_exit(exc):
                raise
        finally:
            # A batch that failed before `submit` would block the later batches of its partition. After
            # `submit` this has no effect.
            self._sequencer.cancel(ticket)
            self._records_in_flight -= len(batch)
            self._capacity.set()

    async def _label(self, batch: RecordBatch, ticket: Ticket[FinishedBatch], traced: TracedBatch) -> None:
        """Decode, classify and encode a batch, publish and acknowledge it in its turn, then count it."""
        began, parts, trace = monotonic(), self._pipeline, traced.trace
        self._events_in.inc(len(batch))
        await self._resolve_schemas(batch)
        with self._metrics.timed("decode", traced.traces), log_context(trace):
            decoded = parts.decoder.decode_all(batch.source, traced.records)
            decoded, inputs = read_inputs(parts.reader, batch.source, decoded)
        classified = await parts.classifier.classify(inputs, trace)
        # The output may copy fields of the events, whose schemas other batches may have dropped meanwhile.
        await self._resolve_schemas(batch)
        with log_context(trace):
            output = parts.writer.write(batch.source, decoded, classified.results)
        reject = partial(parts.writer.reject, output)
        finished = FinishedBatch(batch, output.records, reject, trace)
        traced.acknowledged = await self._sequencer.submit(ticket, finished)
        if traced.acknowledged:
            parts.writer.count(output, traced.oldest)
            await parts.classifier.store_shared(classified)
        if debug_enabled(__name__):
            texts = decoded if parts.log_texts else ()
            fields = record_batch_fields(batch, output, classified, monotonic() - began, texts)
            with log_context(trace):
                log.debug("record batch", **fields)

    async def _resolve_schemas(self, batch: RecordBatch) -> None:
        """Fetch the schemas of a batch that are not in memory; reading its values waits for nothing then."""
        parts = self._pipeline
        if parts.schemas is not None:
            await parts.schemas.resolve(parts.decoder.values(batch.source, batch.records))

    async def _deliver(self, group: Sequence[FinishedBatch]) -> Sequence[bool]:
        """Publish and acknowledge consecutive batches of a partition.

        Returns:
            For each batch, True if it was acknowledged, False if it was released. After a failure of the
            agent every batch is released.
        """
        if self._failed:
            return [False] * len(group)
        try:
            traces = [finished.trace for finished in group if finished.trace is not None]
            with self._metrics.timed("publish", traces):
                return await self._pipeline.delivery.deliver(group)
        except BaseException as exc:
            # The sequencer sends the next group before `_process` receives this error, so `_process` alone
            # would stop too late.
            self._stop(exc, [finished.batch for finished in group])
            raise

    def _stop(self, exc: BaseException, batches: Sequence[RecordBatch]) -> None:
        """Publish nothing more, and end the worker with the first error."""
        if self._failed or _is_shutdown(exc, batches) or _is_obsolete(exc, batches):
            return
        self._failed = True
        self._fail(exc)


def _is_shutdown(exc: BaseException, batches: Sequence[RecordBatch]) -> bool:
    """Return True if a task was cancelled by the shutdown of the worker, which has released its batches."""
    if not isinstance(exc, asyncio.CancelledError):
        return False
    task = asyncio.current_task()
    return bool(task and task.cancelling()) or all(batch.released for batch in batches)


def _is_obsolete(exc: BaseException, batches: Sequence[RecordBatch]) -> bool:
    """Return True if the broker refused only batches that another epoch reads again.

    Their topic may have been created again with fewer partitions. If the fault lasts, the next batches meet
    it.
    """
    return isinstance(exc, BrokerError) and all(batch.released for batch in batches)
