"""What became of each record of a batch, and what is written for it."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import time_ns
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.classify.classifier import Answers
from stream.classify.inputs import Prediction
from stream.errors import Poison, Reason
from stream.kafka.batches import RecordBatch
from stream.observe.metrics import Metrics
from stream.records import (
    DeadLetter,
    Decoded,
    Event,
    LabelEncoder,
    Outgoing,
    Source,
    Tombstone,
    dead_letter,
    outgoing,
    timestamps,
    tombstone,
)
from stream.settings import Route
from stream.web.page.sampler import Sampler

DEAD_LETTERS_KEPT = 6
SHOWN_TEXTS = 3
SHOWN_CHARS = 80


@dataclass(slots=True)
class Written:
    """The records that a batch leads to, by topic in offset order, and what there is to count.

    `labelled` holds the input timestamps of the labelled events, milliseconds since the epoch. `decoded` and
    `results` are what the batch, read at `source`, was written from, `dead_letters` the last dead letters.
    """

    source: Source
    decoded: Sequence[Decoded] = ()
    results: Sequence[Prediction | Poison] = ()

    records: dict[str, list[Outgoing]] = field(default_factory=dict)
    labelled: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    dead: Counter[Reason] = field(default_factory=Counter)
    dead_letters: deque[DeadLetter] = field(default_factory=lambda: deque(maxlen=DEAD_LETTERS_KEPT))
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
        sampler: Sampler | None = None,
    ) -> None:
        self._route = route
        self._group = group
        self._encoder = encoder
        self._metrics = metrics
        self._now_ms = now_ms
        self._sampler = sampler

    def write(
        self, source: Source, decoded: Sequence[Decoded], results: Sequence[Prediction | Poison]
    ) -> Written:
        """The one record that each decoded record leads to, in offset order.

        Args:
            source: where the records were read.
            decoded: the records.
            results: one for each event among them, in order.
        """
        written = Written(source, decoded, results)
        events = [item for item in decoded if type(item) is Event]
        answers = [result for result in results if type(result) is Prediction]
        if len(answers) < len(results):
            events = [e for e, result in zip(events, results, strict=True) if type(result) is Prediction]
        labels = self._encoder.write(source, self._now_ms(), events, answers)
        written.labelled = timestamps(labels)
        out = written.out(self._route.output_topic)
        if len(labels) == len(decoded):
            out += labels
            return written
        label, following = iter(labels).__next__, iter(results).__next__
        for item in decoded:
            if type(item) is Event:
                result = following()
                if type(result) is Prediction:
                    out.append(label())
                elif isinstance(result, Poison):
                    self._dead_letter(
                        written, DeadLetter(item.record, source, item.id, result.reason, str(result))
                    )
            elif isinstance(item, DeadLetter):
                self._dead_letter(written, item)
            elif isinstance(item, Tombstone):
                written.tombstones += 1
                record = item.record
                out.append(outgoing(record.key, None, tombstone(item), record.timestamp))
        return written

    def _dead_letter(self, written: Written, dead: DeadLetter) -> None:
        record = dead.record
        written.dead[dead.reason] += 1
        written.dead_letters.append(dead)
        written.out(self._route.dead_topic).append(
            outgoing(record.key, record.value, dead_letter(dead, self._group), record.timestamp)
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
        now_ms = self._now_ms()
        metrics.event_age.observe(route, written.labelled, now_ms)
        if self._sampler is not None:
            self._sampler.look(written.source, written.decoded, written.results, written.dead_letters, now_ms)


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
