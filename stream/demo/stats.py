"""Counts and latencies of the events that come back in the demo."""

from collections import Counter, deque
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any

import orjson

RECENT = 12


@dataclass
class DemoStats:
    """Statistics of the label events and dead letters that were consumed; times are in seconds.

    Attributes:
        intents: the label in the sample by event id.
        held_out: the ids of events that were not used for training.
        judged: the number of held-out events consumed.
        correct: the number of these with the label of the sample.
    """

    intents: dict[str, str]
    held_out: frozenset[str]
    produced: int = 0
    labelled: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    recent: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=RECENT))
    correct: int = 0
    judged: int = 0
    first_at: float = 0.0
    last_at: float = 0.0

    @property
    def finished(self) -> int:
        """The number of events that came back as a label event or a dead letter."""
        return self.labelled + self.reasons.total()

    def add_label(self, value: bytes, produced_at: float, now: float) -> None:
        """Count a label event.

        Args:
            value: the record's value.
            produced_at: its Kafka timestamp, which is that of the input event.
            now: the time at which it was consumed.
        """
        label = orjson.loads(value)
        self.labelled += 1
        self.labels[label["label"]] += 1
        self.recent.append(label)
        self._add_latency(produced_at, now)
        if label["id"] in self.held_out:
            self.judged += 1
            self.correct += label["label"] == self.intents[label["id"]]

    def add_dead_letter(self, headers: dict[str, bytes], produced_at: float, now: float) -> None:
        """Count a dead letter by its reason; for the arguments see `add_label`."""
        self.reasons[headers["labelstream-error-reason"].decode()] += 1
        self._add_latency(produced_at, now)

    def _add_latency(self, produced_at: float, now: float) -> None:
        self.first_at = self.first_at or now
        self.last_at = now
        self.latencies_s.append(max(0.0, now - produced_at))

    @property
    def accuracy(self) -> float | None:
        """The share of held-out events with the label of the sample; None without held-out events."""
        return self.correct / self.judged if self.judged else None

    @property
    def events_per_second(self) -> float:
        """The events that came back per second, between the first and the last."""
        return self.finished / max(self.last_at - self.first_at, 1e-9)

    def latency_ms(self, percentile: int) -> float:
        """Return a percentile of the milliseconds from producing an event to consuming its result."""
        if len(self.latencies_s) < 2:
            return float("nan")
        return quantiles(self.latencies_s, n=100)[percentile - 1] * 1000
