"""The output records of a batch, and the metrics of its outcomes."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from time import time_ns
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import structlog

from stream.classify import ClassifiedBatch, Prediction, RowResult
from stream.errors import Poison, Reason, is_fault_of_record
from stream.kafka.batches import RecordBatch
from stream.observe.metrics import AgeExemplar, Metrics
from stream.pipeline.output_records import pack_dead_letter, pack_tombstone, without_unencodable
from stream.records import (
    DeadLetter,
    Decoded,
    Event,
    LabelEncoder,
    Outgoing,
    Source,
    Tombstone,
    timestamps,
)
from stream.routes import Route

DEAD_LETTERS_KEPT = 6
SHOWN_TEXTS = 3
SHOWN_CHARS = 80

log = structlog.get_logger(__name__)


class EventSampler(Protocol):
    """Receives every confirmed batch and may keep a few of its events, for display."""

    def sample(
        self,
        source: Source,
        decoded: Sequence[Decoded],
        results: Sequence[RowResult],
        dead_letters: Iterable[DeadLetter],
        now_ms: int,
    ) -> None:
        """Sample a batch.

        Args:
            source: the topic and the partition of the batch.
            decoded: the decoded records, in offset order.
            results: the results of the events among them, in order.
            dead_letters: the last dead letters of the batch.
            now_ms: the time of the confirmation, in milliseconds since the epoch.
        """


@dataclass(slots=True)
class BatchOutput:
    """The output records of a batch, and the numbers for the metrics.

    Attributes:
        source: the topic and the partition of the batch.
        decoded: the decoded records, in offset order.
        results: the results of the events among them, in order.
        records: the output records, by topic in offset order.
        labelled: int64 [labels], the input timestamps of the labelled events in milliseconds since the epoch.
        dead_counts: the number of dead letters, by reason.
        dead_letters: the last dead letters.
        tombstones: the number of tombstones.
    """

    source: Source
    decoded: Sequence[Decoded] = ()
    results: Sequence[RowResult] = ()
    records: dict[str, list[Outgoing]] = field(default_factory=dict)
    labelled: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    dead_counts: Counter[Reason] = field(default_factory=Counter)
    dead_letters: deque[DeadLetter] = field(default_factory=lambda: deque(maxlen=DEAD_LETTERS_KEPT))
    tombstones: int = 0

    def for_topic(self, topic: str) -> list[Outgoing]:
        """Return the list of a topic's records, to append to."""
        return self.records.setdefault(topic, [])


class OutcomeWriter:
    """Turns the outcomes of one route into output records, and counts them after their confirmation."""

    def __init__(
        self,
        route: Route,
        group: str,
        encoder: LabelEncoder,
        metrics: Metrics,
        now_ms: Callable[[], int] = lambda: time_ns() // 1_000_000,
        sampler: EventSampler | None = None,
    ) -> None:
        """
        Args:
            route: the route, with the names of its output and dead-letter topics.
            group: the consumer group, for the headers of dead letters.
            encoder: turns predictions into label events.
            metrics: the metrics of the worker.
            now_ms: returns the time in milliseconds since the epoch.
            sampler: receives every confirmed batch; None without one.
        """
        self._route = route
        self._group = group
        self._encoder = encoder
        self._metrics = metrics
        self._now_ms = now_ms
        self._sampler = sampler

    def write(self, source: Source, decoded: Sequence[Decoded], results: Sequence[RowResult]) -> BatchOutput:
        """Return the output of a batch: one output record for each decoded record, in offset order.

        A record whose output cannot be encoded becomes a dead letter.

        Args:
            source: the topic and the partition of the records.
            decoded: the decoded records, in offset order.
            results: the results of the events among them, in order.
        """
        try:
            return self._write(source, decoded, results)
        except BaseException as exc:
            if not is_fault_of_record(exc):
                raise
        known = without_unencodable(self._encoder, source, self._now_ms(), decoded, results)
        return self._write(source, decoded, known)

    def _write(self, source: Source, decoded: Sequence[Decoded], results: Sequence[RowResult]) -> BatchOutput:
        output = BatchOutput(source, decoded, results)
        events = [item for item in decoded if type(item) is Event]
        predictions = [result for result in results if type(result) is Prediction]
        if len(predictions) < len(results):
            events = [e for e, result in zip(events, results, strict=True) if type(result) is Prediction]
        labels = self._encoder.write(source, self._now_ms(), events, predictions)
        if len(labels) == len(decoded):
            output.labelled = timestamps(labels)
            output.for_topic(self._route.output_topic).extend(labels)
        else:
            self._assemble(output, labels)
        return output

    def reject(self, output: BatchOutput, indices: Sequence[int]) -> dict[str, list[Outgoing]]:
        """Make dead letters of records that the output topic refuses as too large.

        Args:
            output: the output of a batch; it counts the records as dead letters afterwards.
            indices: the indices of the refused records among those for the output topic.

        Returns:
            All dead letters of the batch in offset order, by topic.
        """
        topic, dead_topic = self._route.output_topic, self._route.dead_topic
        if indices:
            refused, written = frozenset(indices), output.records[topic]
            message = f"the output record is larger than the topic {topic} takes"
            decoded: list[Decoded] = []
            results: list[RowResult] = []
            labels: list[Outgoing] = []
            at, next_result = 0, iter(output.results).__next__
            for item in output.decoded:
                result = next_result() if type(item) is Event else None
                has_output = type(result) is Prediction or isinstance(item, Tombstone)
                if has_output and at in refused:
                    item = DeadLetter(item.record, output.source, item.id, Reason.TOO_LARGE, message)
                elif result is not None:
                    results.append(result)
                    if has_output:
                        labels.append(written[at])
                decoded.append(item)
                at += has_output
            output.decoded, output.results = decoded, results
            output.dead_counts.clear()
            output.dead_letters.clear()
            output.records, output.tombstones = {}, 0
            self._assemble(output, labels)
        return {dead_topic: output.records.get(dead_topic, [])}

    def _assemble(self, output: BatchOutput, labels: Sequence[Outgoing]) -> None:
        """Add the output records of the decoded records, and their numbers, given the label records."""
        source = output.source
        output.labelled = timestamps(labels)
        records = output.for_topic(self._route.output_topic)
        next_label, next_result = iter(labels).__next__, iter(output.results).__next__
        for at, item in enumerate(output.decoded):
            if type(item) is Event:
                result = next_result()
                if type(result) is Prediction:
                    records.append(next_label())
                elif isinstance(result, Poison):
                    self._dead_letter(
                        output, DeadLetter(item.record, source, item.id, result.reason, str(result))
                    )
            elif isinstance(item, DeadLetter):
                self._dead_letter(output, item)
            elif isinstance(item, Tombstone):
                self._tombstone(output, item, at)

    def _tombstone(self, output: BatchOutput, tombstone: Tombstone, at: int) -> None:
        try:
            packed = pack_tombstone(tombstone)
        except BaseException as exc:
            if not is_fault_of_record(exc):
                raise
            message = "the tombstone cannot be written"
            dead = DeadLetter(tombstone.record, output.source, tombstone.id, Reason.DECODE, message)
            output.decoded = [*output.decoded[:at], dead, *output.decoded[at + 1 :]]
            self._dead_letter(output, dead)
            return
        output.tombstones += 1
        output.for_topic(self._route.output_topic).append(packed)

    def _dead_letter(self, output: BatchOutput, dead: DeadLetter) -> None:
        output.dead_counts[dead.reason] += 1
        output.dead_letters.append(dead)
        output.for_topic(self._route.dead_topic).append(pack_dead_letter(dead, self._group))

    def count(self, output: BatchOutput, exemplar: AgeExemplar | None = None) -> None:
        """Count the outcomes of a batch and sample its events, once per batch after its confirmation.

        Args:
            output: the output of the batch.
            exemplar: a traced event of the batch, None if it has none.
        """
        route, metrics = self._route.name, self._metrics
        for outcome, number in (
            ("labelled", len(output.labelled)),
            ("dead", output.dead_counts.total()),
            ("tombstone", output.tombstones),
        ):
            if number:
                metrics.events.labels(route, outcome).inc(number)
        for reason, number in output.dead_counts.items():
            metrics.dead_letters.labels(route, reason.value).inc(number)
        now_ms = self._now_ms()
        metrics.event_age.observe(route, output.labelled, now_ms, exemplar)
        if self._sampler is None:
            return
        try:
            self._sampler.sample(output.source, output.decoded, output.results, output.dead_letters, now_ms)
        except Exception as exc:  # noqa: BLE001 - the status page must not end a worker that labels
            log.warning("the status page cannot show a batch", error=type(exc).__name__)


def record_batch_fields(
    batch: RecordBatch,
    output: BatchOutput,
    classified: ClassifiedBatch,
    seconds: float,
    texts: Sequence[Decoded] = (),
) -> dict[str, Any]:
    """Return the fields of a record batch's log line. The line shows texts only if `texts` is given.

    Args:
        batch: the record batch.
        output: the output of the batch.
        classified: the classified batch.
        seconds: the time from the agent's receipt of the batch to its confirmation.
        texts: decoded records; the line shows the texts of the first events among them.
    """
    fields: dict[str, Any] = {
        "topic": batch.topic,
        "partition": batch.partition,
        "first_offset": batch.offset_range.first,
        "next_offset": batch.offset_range.next_offset,
        "events": len(batch),
        "labelled": len(output.labelled),
        "dead_letters": {reason.value: count for reason, count in output.dead_counts.items()},
        "tombstones": output.tombstones,
        "cached": sum(type(result) is Prediction and result.cached for result in classified.results),
        "ms": round(seconds * 1000, 3),
    }
    if shown := [item.text[:SHOWN_CHARS] for item in texts if type(item) is Event][:SHOWN_TEXTS]:
        fields["texts"] = shown
    return fields
