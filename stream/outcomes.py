"""What became of each record of a batch, and what is written for it."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from time import time_ns
from typing import Any

from stream.classify.classifier import Answers
from stream.classify.inputs import Prediction
from stream.errors import Poison, Reason
from stream.kafka.batches import RecordBatch
from stream.kafka.publisher import Outgoing
from stream.observe.metrics import Metrics
from stream.records import DeadLetter, Decoded, Event, LabelEncoder, Tombstone, dead_letter, tombstone
from stream.settings import Route

SHOWN_TEXTS = 3
SHOWN_CHARS = 80


@dataclass(slots=True)
class Written:
    """The records that a batch leads to, by topic in offset order, and what there is to count.

    `labelled` holds the input timestamps of the labelled events, milliseconds since the epoch.
    """

    records: dict[str, list[Outgoing]] = field(default_factory=dict)
    labelled: list[int] = field(default_factory=list)
    dead: Counter[Reason] = field(default_factory=Counter)
    tombstones: int = 0

    def out(self, topic: str) -> list[Outgoing]:
        """What goes to a topic."""
        return self.records.setdefault(topic, [])


class OutcomeWriter:
    """Turns the outcomes of one route into records, and counts them once the broker has those."""

    def __init__(
        self,
        route: Route,
        group: str,
        encoder: LabelEncoder,
        metrics: Metrics,
        now_ms: Callable[[], int] = lambda: time_ns() // 1_000_000,
    ) -> None:
        self._route = route
        self._group = group
        self._encoder = encoder
        self._metrics = metrics
        self._now_ms = now_ms

    def write(
        self, topic: str, partition: int, decoded: Iterable[Decoded], results: Iterable[Prediction | Poison]
    ) -> Written:
        """The one record that each decoded record leads to, in offset order.

        Args:
            topic: where the records were read.
            partition: its partition.
            decoded: the records.
            results: one for each event among them, in order.
        """
        written = Written()
        value = self._encoder.batch(topic, partition, self._now_ms())
        headers, following = self._encoder.headers, iter(results).__next__
        out, stamps = written.out(self._route.output_topic), written.labelled
        for item in decoded:
            if type(item) is Event:
                result = following()
                record = item.record
                if type(result) is Prediction:
                    stamps.append(record.timestamp)
                    members, _, cached = result
                    out.append((record.key, value(item, members, cached), headers(item), record.timestamp))
                elif isinstance(result, Poison):
                    self._bury(written, DeadLetter(record, item.id, result.reason, str(result)))
            elif isinstance(item, DeadLetter):
                self._bury(written, item)
            elif isinstance(item, Tombstone):
                written.tombstones += 1
                record = item.record
                out.append((record.key, None, tombstone(item), record.timestamp))
        return written

    def _bury(self, written: Written, dead: DeadLetter) -> None:
        record = dead.record
        written.dead[dead.reason] += 1
        written.out(self._route.dead_topic).append(
            (record.key, record.value, dead_letter(dead, self._group), record.timestamp)
        )

    def count(self, written: Written) -> None:
        """Count what was written; called once for each batch, after confirmation."""
        route, metrics = self._route.name, self._metrics
        for outcome, number in (
            ("labelled", len(written.labelled)),
            ("dead", written.dead.total()),
            ("tombstone", written.tombstones),
        ):
            if number:
                metrics.events.labels(route, outcome).inc(number)
        for reason, number in written.dead.items():
            metrics.dead_letters.labels(route, reason.value).inc(number)
        metrics.event_age.observe(route, written.labelled, self._now_ms())


def record_batch_line(
    batch: RecordBatch, written: Written, answers: Answers, seconds: float, texts: Sequence[Decoded] = ()
) -> dict[str, Any]:
    """The fields of a record batch's log line: what came of it, and no texts unless they are given.

    Args:
        batch: the records.
        written: what they led to.
        answers: what the model or the caches said.
        seconds: from the agent's taking it to its confirmation.
        texts: whose texts may be shown; empty: none.
    """
    fields: dict[str, Any] = {
        "topic": batch.topic,
        "partition": batch.partition,
        "first_offset": batch.span.first,
        "next_offset": batch.span.next_offset,
        "events": len(batch),
        "labelled": len(written.labelled),
        "dead_letters": {reason.value: count for reason, count in written.dead.items()},
        "tombstones": written.tombstones,
        "cached": sum(type(result) is Prediction and result.cached for result in answers.results),
        "ms": round(seconds * 1000, 3),
    }
    if shown := [item.text[:SHOWN_CHARS] for item in texts if type(item) is Event][:SHOWN_TEXTS]:
        fields["texts"] = shown
    return fields
