"""What happens to an event: decode, classify, publish, acknowledge. In this order, nothing in between."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from time import monotonic

import structlog

from stream.classify.classifier import Classifier
from stream.classify.inputs import InputReader, ModelInput
from stream.kafka.batches import RecordBatch
from stream.kafka.delivery import Delivery, Finished
from stream.observe.logs import debugging
from stream.observe.metrics import Metrics
from stream.pipeline.outcomes import OutcomeWriter, record_batch_line
from stream.pipeline.sequencer import PartitionSequencer, Ticket
from stream.records import Decoded, Decoder, Event

log = structlog.get_logger(__name__)


class LabelAgent:
    """Labels the record batches of one route.

    Every record ends in exactly one of: labelled, dead letter, tombstone passed on, released (given back, to
    be read again). A batch is acknowledged, and so its offsets may be committed, only after the broker has
    confirmed everything that it led to. A record at fault becomes a dead letter; any other fault ends the
    worker, with the batch unacknowledged.
    """

    def __init__(
        self,
        route: str,
        decoder: Decoder,
        classifier: Classifier,
        writer: OutcomeWriter,
        delivery: Delivery,
        metrics: Metrics,
        fail: Callable[[BaseException], None],
        reader: InputReader | None = None,
        *,
        log_texts: bool = False,
    ) -> None:
        """
        Args:
            route: its name.
            decoder: bytes to events.
            classifier: the route's model.
            writer: outcomes to records.
            delivery: records to the broker.
            metrics: the worker's.
            fail: told the error that ends the worker.
            reader: takes from an event what the model reads; None where that is the text alone.
            log_texts: whether the debug line of a record batch may show the beginnings of texts.
        """
        self._decoder = decoder
        self._classifier = classifier
        self._writer = writer
        self._delivery = delivery
        self._metrics = metrics
        self._received = metrics.events_in.labels(route)
        self._fail = fail
        self._reader = reader
        self._log_texts = log_texts
        self._failed = False
        self._sequencer = PartitionSequencer(self._deliver)
        self._running: set[asyncio.Task[None]] = set()
        self._unfinished = 0
        self._space = asyncio.Event()

    async def room(self) -> None:
        """Wait until so few events are unfinished that more are welcome."""
        while self._unfinished >= self._classifier.window_events:
            self._space.clear()
            await self._space.wait()

    async def run(self, batches: AsyncIterator[RecordBatch]) -> None:
        """Work on several batches at once; those of one partition are published in offset order."""
        async for batch in batches:
            self._unfinished += len(batch)
            ticket = self._sequencer.reserve((batch.topic, batch.partition))
            task = asyncio.create_task(self._finish(batch, ticket))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _finish(self, batch: RecordBatch, ticket: Ticket[Finished]) -> None:
        try:
            await self._label(batch, ticket)
        except Exception as exc:  # noqa: BLE001 - whatever it is: nothing is committed past it, the worker ends
            self._stop(exc)
        finally:
            self._sequencer.cancel(ticket)
            self._unfinished -= len(batch)
            self._space.set()

    async def _label(self, batch: RecordBatch, ticket: Ticket[Finished]) -> None:
        began = monotonic()
        self._received.inc(len(batch))
        with self._metrics.timed("decode"):
            decoded = self._decoder.decode_all(batch.source, batch.records)
        answers = await self._classifier.classify(self._inputs(decoded))
        written = self._writer.write(batch.source, decoded, answers.results)
        if await self._sequencer.submit(ticket, Finished(batch, written.records)):
            self._writer.count(written)
            await self._classifier.share(answers)
        if debugging(__name__):
            texts = decoded if self._log_texts else ()
            log.debug(
                "record batch", **record_batch_line(batch, written, answers, monotonic() - began, texts)
            )

    def _inputs(self, decoded: Sequence[Decoded]) -> Sequence[ModelInput]:
        if self._reader is None:
            return [item.text for item in decoded if type(item) is Event]
        return self._reader.read(item for item in decoded if type(item) is Event)

    async def _deliver(self, group: Sequence[Finished]) -> Sequence[bool]:
        """Publish and acknowledge neighbouring batches of a partition; nothing after a failure."""
        if self._failed:
            return [False] * len(group)
        try:
            with self._metrics.timed("publish"):
                return await self._delivery.deliver(group)
        except Exception as exc:
            self._stop(exc)
            raise

    def _stop(self, exc: Exception) -> None:
        if not self._failed:
            self._failed = True
            self._fail(exc)
