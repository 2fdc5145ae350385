"""What happens to an event: decode, classify, publish, acknowledge. In this order, nothing in between."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from stream.classify.classifier import Classifier
from stream.classify.inputs import InputReader, ModelInput
from stream.kafka.batches import RecordBatch
from stream.kafka.delivery import Delivery
from stream.kafka.turns import Turn, Turns
from stream.observe.metrics import Metrics
from stream.outcomes import OutcomeWriter
from stream.records import Decoded, Decoder, Event


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
        """
        self._decoder = decoder
        self._classifier = classifier
        self._writer = writer
        self._delivery = delivery
        self._metrics = metrics
        self._received = metrics.events_in.labels(route)
        self._fail = fail
        self._reader = reader
        self._failed = False
        self._turns = Turns()
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
            turn = self._turns.draw((batch.topic, batch.partition))
            task = asyncio.create_task(self._finish(batch, turn))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _finish(self, batch: RecordBatch, turn: Turn) -> None:
        try:
            await self._label(batch, turn)
        except Exception as exc:  # noqa: BLE001 - whatever it is: nothing is committed past it, the worker ends
            self._failed = True
            self._fail(exc)
        finally:
            turn.give_up()
            self._unfinished -= len(batch)
            self._space.set()

    async def _label(self, batch: RecordBatch, turn: Turn) -> None:
        self._received.inc(len(batch))
        with self._metrics.timed("decode"):
            decoded = self._decoder.decode_all(batch.records)
        answers = await self._classifier.classify(self._inputs(decoded))
        written = self._writer.write(batch.topic, batch.partition, decoded, answers.results)
        async with turn.taken():
            if self._failed:
                return
            with self._metrics.timed("publish"):
                delivered = await self._delivery.deliver(batch, written.records)
        if delivered:
            self._writer.count(written)
        await self._classifier.share(answers)

    def _inputs(self, decoded: Sequence[Decoded]) -> Sequence[ModelInput]:
        if self._reader is None:
            return [item.text for item in decoded if type(item) is Event]
        return self._reader.read(item for item in decoded if type(item) is Event)
