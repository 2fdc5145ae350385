"""The output records of a batch, and the metrics of its outcomes."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from time import time_ns
from typing import Protocol

import structlog

from stream.classify import Prediction, RowResult
from stream.errors import Poison, Reason, is_fault_of_record
from stream.observe.metrics import AgeExemplar, Metrics
from stream.pipeline.batch_output import BatchOutput
from stream.pipeline.output_records import pack_dead_letter, pack_tombstone, without_unencodable
from stream.pipeline.topic_chooser import TopicChooser
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
        chooser: TopicChooser | None = None,
    ) -> None:
        """
        Args:
            route: the route, with the names of its output and dead-letter topics.
            group: the consumer group, for the headers of dead letters.
            encoder: turns predictions into label events.
            metrics: the metrics of the worker.
            now_ms: returns the time in milliseconds since the epoch.
            sampler: receives every confirmed batch; None without one.
            chooser: chooses the topic of each label event; None if all go to the output topic.
        """
        self._route = route
        self._group = group
        self._encoder = encoder
        self._metrics = metrics
        self._now_ms = now_ms
        self._sampler = sampler
        self._chooser = chooser

    def write(self, source: Source, decoded: Sequence[Decoded], results: Sequence[RowResult]) -> BatchOutput:
        """Return the output of a batch, in offset order: one output record for each decoded record.

        An event that is dropped has none, and a tombstone has one for each output topic. A record whose
        output cannot be encoded becomes a dead letter.

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
        if self._chooser is not None:
            targets = output.targets = self._chooser.choose(predictions)
            if None in targets:
                events = [event for event, topic in zip(events, targets, strict=True) if topic is not None]
                predictions = [p for p, topic in zip(predictions, targets, strict=True) if topic is not None]
        labels = self._encoder.write(source, self._now_ms(), events, predictions)
        if len(labels) < len(decoded):
            self._assemble(output, labels)
            return output
        output.labelled = timestamps(labels)
        if output.targets is None:
            output.for_topic(self._route.output_topic).extend(labels)
        else:
            # No event is dropped, so every target is a topic.
            records = defaultdict[str | None, list[Outgoing]](list)
            for topic, label in zip(output.targets, labels, strict=True):
                records[topic].append(label)
            output.records = {topic: found for topic, found in records.items() if topic is not None}
        return output

    def reject(self, output: BatchOutput, refused: Mapping[str, Sequence[int]]) -> dict[str, list[Outgoing]]:
        """Make dead letters of records that an output topic refuses as too large.

        Args:
            output: the output of a batch; it counts the records as dead letters afterwards.
            refused: by output topic, the indices of the refused records among those for the topic.

        Returns:
            All dead letters of the batch in offset order, by topic.
        """
        if refused:
            decoded: list[Decoded] = []
            results: list[RowResult] = []
            targets: list[str | None] = []
            labels: list[Outgoing] = []
            refused_at = {topic: frozenset(places) for topic, places in refused.items()}
            next_result, next_target = iter(output.results).__next__, self._targets(output).__next__
            written = {topic: enumerate(records) for topic, records in output.records.items()}
            for item in output.decoded:
                result = next_result() if type(item) is Event else None
                topics: Sequence[str] = ()
                if type(result) is Prediction:
                    targets.append(next_target())
                    topics = () if targets[-1] is None else (targets[-1],)
                elif isinstance(item, Tombstone):
                    topics = self._route.output_topics
                records = [(topic, *next(written[topic])) for topic in topics]
                too_large = [topic for topic, at, _ in records if at in refused_at.get(topic, ())]
                if too_large:
                    message = f"the output record is larger than the topic {too_large[0]} takes"
                    item = DeadLetter(item.record, output.source, item.id, Reason.TOO_LARGE, message)
                    if result is not None:
                        targets.pop()
                elif result is not None:
                    results.append(result)
                    labels.extend(record for _, _, record in records)
                decoded.append(item)
            output.decoded, output.results = decoded, results
            output.targets = None if output.targets is None else targets
            output.dead_counts.clear()
            output.dead_letters.clear()
            output.records, output.tombstones, output.dropped = {}, 0, 0
            self._assemble(output, labels)
        return {self._route.dead_topic: output.records.get(self._route.dead_topic, [])}

    def _targets(self, output: BatchOutput) -> Iterator[str | None]:
        return repeat(self._route.output_topic) if output.targets is None else iter(output.targets)

    def _assemble(self, output: BatchOutput, labels: Sequence[Outgoing]) -> None:
        """Add the output records of the decoded records, and their numbers, given the label records."""
        source, route = output.source, self._route
        output.labelled = timestamps(labels)
        next_label, next_result = iter(labels).__next__, iter(output.results).__next__
        if output.targets is None:
            lists: Iterator[list[Outgoing] | None] = repeat(output.for_topic(route.output_topic))
        else:
            lists = (None if topic is None else output.for_topic(topic) for topic in output.targets)
        for at, item in enumerate(output.decoded):
            if type(item) is Event:
                result = next_result()
                if type(result) is Prediction:
                    if (records := next(lists)) is None:
                        output.dropped += 1
                    else:
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
        # Any output topic may hold a label event of the key.
        for topic in self._route.output_topics:
            output.for_topic(topic).append(packed)

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
            ("dropped", output.dropped),
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
