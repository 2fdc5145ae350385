"""The output of a record batch: its output records, and the numbers for metrics and logs."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.classify import ClassifiedBatch, Prediction, RowResult
from stream.errors import Reason
from stream.kafka.batches import RecordBatch
from stream.records import DeadLetter, Decoded, Event, Outgoing, Source

DEAD_LETTERS_KEPT = 6
SHOWN_TEXTS = 3
SHOWN_CHARS = 80


@dataclass(slots=True)
class BatchOutput:
    """The output records of a batch, and the numbers for the metrics.

    Attributes:
        source: the topic and the partition of the batch.
        decoded: the decoded records, in offset order.
        results: the results of the events among them, in order.
        targets: the topic of each prediction among the results, in order, None for an event that is dropped;
            None if all go to the output topic.
        records: the output records, by topic in offset order.
        labelled: int64 [labels], the input timestamps of the labelled events in milliseconds since the epoch.
        dead_counts: the number of dead letters, by reason.
        dead_letters: the last dead letters.
        tombstones: the number of tombstones.
        dropped: the number of events without a label that are not published.
    """

    source: Source
    decoded: Sequence[Decoded] = ()
    results: Sequence[RowResult] = ()
    targets: Sequence[str | None] | None = None
    records: dict[str, list[Outgoing]] = field(default_factory=dict)
    labelled: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    dead_counts: Counter[Reason] = field(default_factory=Counter)
    dead_letters: deque[DeadLetter] = field(default_factory=lambda: deque(maxlen=DEAD_LETTERS_KEPT))
    tombstones: int = 0
    dropped: int = 0

    def for_topic(self, topic: str) -> list[Outgoing]:
        """Return the list of a topic's records, to append to."""
        return self.records.setdefault(topic, [])


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
        "dropped": output.dropped,
        "cached": sum(type(result) is Prediction and result.cached for result in classified.results),
        "ms": round(seconds * 1000, 3),
    }
    if shown := [item.text[:SHOWN_CHARS] for item in texts if type(item) is Event][:SHOWN_TEXTS]:
        fields["texts"] = shown
    return fields
