"""The processing of record batches: decode, classify, publish, acknowledge, in this order.

Faust runs the consumer group and owns the Kafka clients. `stream.worker.faust_app` gives each route a
`LabelAgent`, to which Faust passes the record batches of the route's input topic.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from time import monotonic

import structlog

from stream.classify import Classifier, InputReader, ModelInput
from stream.kafka.batches import RecordBatch
from stream.kafka.delivery import Delivery, FinishedBatch
from stream.observe.logs import debug_enabled
from stream.observe.metrics import Metrics
from stream.pipeline.outcomes import OutcomeWriter, record_batch_fields
from stream.pipeline.sequencer import PartitionSequencer, Ticket
from stream.records import Decoded, Decoder, Event

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RoutePipeline:
    """The parts of one route, in the order in which they process an event.

    Attributes:
        route: the name of the route.
        decoder: parses records into events, dead letters and tombstones.
        reader: turns events into model inputs; None if the model reads only the text.
        classifier: turns model inputs into predictions.
        writer: turns predictions, dead letters and tombstones into output records.
        delivery: publishes output records and acknowledges their batches.
        log_texts: True if the debug line of a record batch shows the first characters of some texts.
    """

    route: str
    decoder: Decoder
    reader: InputReader | None
    classifier: Classifier
    writer: OutcomeWriter
    delivery: Delivery
    log_texts: bool = False


class LabelAgent:
    """Labels the record batches of one route.

    Every record has exactly one outcome: the agent publishes its label, publishes it as a dead letter, passes
    on its tombstone, or releases it. The next owner of the partition reads a released record again.

    The agent acknowledges a batch only after the broker has confirmed all output records of the batch; only
    then may its offsets be committed. A record that cannot be labelled becomes a dead letter. Any other error
    ends the worker and leaves the batch unacknowledged.
    """

    def __init__(
        self, pipeline: RoutePipeline, metrics: Metrics, fail: Callable[[BaseException], None]
    ) -> None:
        """
        Args:
            pipeline: the parts of the route.
            metrics: the metrics of the worker.
            fail: ends the worker with an error.
        """
        self._pipeline = pipeline
        self._metrics = metrics
        self._events_in = metrics.events_in.labels(pipeline.route)
        self._fail = fail
        self._failed = False
        self._sequencer = PartitionSequencer(self._deliver)
        self._running: set[asyncio.Task[None]] = set()
        self._unfinished = 0
        self._capacity = asyncio.Event()

    async def wait_for_capacity(self) -> None:
        """Wait until the unfinished events leave room for another batch."""
        while self._unfinished >= self._pipeline.classifier.window_events:
            self._capacity.clear()
            await self._capacity.wait()

    async def run(self, batches: AsyncIterator[RecordBatch]) -> None:
        """Process batches concurrently. The batches of a partition are published in offset order."""
        async for batch in batches:
            self._unfinished += len(batch)
            ticket = self._sequencer.reserve((batch.topic, batch.partition))
            task = asyncio.create_task(self._process(batch, ticket))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _process(self, batch: RecordBatch, ticket: Ticket[FinishedBatch]) -> None:
        try:
            await self._label(batch, ticket)
        except Exception as exc:  # noqa: BLE001 - any error ends the worker
            self._stop(exc)
        finally:
            self._sequencer.cancel(ticket)
            self._unfinished -= len(batch)
            self._capacity.set()

    async def _label(self, batch: RecordBatch, ticket: Ticket[FinishedBatch]) -> None:
        """Decode and classify a batch, publish and acknowledge it in its turn, then count its outcomes."""
        began, parts = monotonic(), self._pipeline
        self._events_in.inc(len(batch))
        with self._metrics.timed("decode"):
            decoded = parts.decoder.decode_all(batch.source, batch.records)
        classified = await parts.classifier.classify(self._model_inputs(decoded))
        output = parts.writer.write(batch.source, decoded, classified.results)
        if await self._sequencer.submit(ticket, FinishedBatch(batch, output.records)):
            parts.writer.count(output)
            await parts.classifier.share(classified)
        if debug_enabled(__name__):
            texts = decoded if parts.log_texts else ()
            fields = record_batch_fields(batch, output, classified, monotonic() - began, texts)
            log.debug("record batch", **fields)

    def _model_inputs(self, decoded: Sequence[Decoded]) -> Sequence[ModelInput]:
        reader = self._pipeline.reader
        if reader is None:
            return [item.text for item in decoded if type(item) is Event]
        return reader.read(item for item in decoded if type(item) is Event)

    async def _deliver(self, group: Sequence[FinishedBatch]) -> Sequence[bool]:
        """Publish and acknowledge consecutive batches of a partition, unless the agent has failed."""
        if self._failed:
            return [False] * len(group)
        try:
            with self._metrics.timed("publish"):
                return await self._pipeline.delivery.deliver(group)
        except Exception as exc:
            self._stop(exc)
            raise

    def _stop(self, exc: Exception) -> None:
        if not self._failed:
            self._failed = True
            self._fail(exc)
