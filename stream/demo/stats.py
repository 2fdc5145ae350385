"""What the demo counts while events come back."""

from collections import Counter, deque
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any

import orjson

RECENT = 12


@dataclass
class DemoStats:
    """Labelled events and dead letters as a consumer of their topics sees them; times in seconds.

    Attributes:
        intents: the sample's label by event id.
        held_out: ids that training never saw.
    """

    intents: dict[str, str]
    held_out: frozenset[str]
    produced: int = 0
    labelled: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    recent: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=RECENT))
    right: int = 0
    judged: int = 0
    first_at: float = 0.0
    last_at: float = 0.0

    @property
    def finished(self) -> int:
        """Events that have come back one way or the other."""
        return self.labelled + self.reasons.total()

    def saw_label(self, value: bytes, produced_at: float, now: float) -> None:
        """Count a label event; `produced_at` is its Kafka timestamp, that of the input."""
        label = orjson.loads(value)
        self.labelled += 1
        self.labels[label["label"]] += 1
        self.recent.append(label)
        self._timed(produced_at, now)
        if label["id"] in self.held_out:
            self.judged += 1
            self.right += label["label"] == self.intents[label["id"]]

    def saw_dead_letter(self, headers: dict[str, bytes], produced_at: float, now: float) -> None:
        """Count a dead letter by its reason."""
        self.reasons[headers["labelstream-error-reason"].decode()] += 1
        self._timed(produced_at, now)

    def _timed(self, produced_at: float, now: float) -> None:
        self.first_at = self.first_at or now
        self.last_at = now
        self.latencies_s.append(max(0.0, now - produced_at))

    @property
    def accuracy(self) -> float | None:
        """Share of held-out events whose label is the sample's."""
        return self.right / self.judged if self.judged else None

    @property
    def events_per_second(self) -> float:
        """Events that came back, over the time in which they came."""
        return self.finished / max(self.last_at - self.first_at, 1e-9)

    def latency_ms(self, percentile: int) -> float:
        """A percentile of the time from producing to receiving, milliseconds."""
        if len(self.latencies_s) < 2:
            return float("nan")
        return quantiles(self.latencies_s, n=100)[percentile - 1] * 1000
