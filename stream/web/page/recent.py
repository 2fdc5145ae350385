"""Recent outcomes: a sample of labelled events and dead letters, and the labels of sampled events."""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

EVENTS_KEPT = 14
DEAD_KEPT = 6
LABELS_KEPT = 1_000
LABELS_SHOWN = 8
# Sampling an event takes some microseconds: this rate costs about a thousandth of a core at any throughput.
SAMPLES_PER_S = 100.0


class LabelledSample(NamedTuple):
    """A labelled event as the page shows it.

    Attributes:
        prediction: the label, the labels, the value or the span types, as a line for people.
        score: the score of a single label, in 0..1; None where there is none or there are several.
        age_ms: the milliseconds from the record's timestamp to the confirmation of its label.
        chars: the length of the text in characters.
        text: the beginning of the text; None where texts are hidden.
    """

    route: str
    topic: str
    partition: int
    offset: int
    id: str
    prediction: str
    score: float | None
    age_ms: int
    chars: int
    text: str | None


class DeadLetterSample(NamedTuple):
    """A dead letter as the page shows it, without any part of its value."""

    route: str
    topic: str
    partition: int
    offset: int
    reason: str
    at_ms: int


class LabelCounts(NamedTuple):
    """The labels of a route's sampled events.

    Attributes:
        sampled: the number of events sampled.
        counts: the most frequent labels with their counts, most frequent first.
        others: the count of all other labels.
    """

    sampled: int
    counts: list[tuple[str, int]]
    others: int


class RecentOutcomes:
    """A bounded store of sampled outcomes, newest last, with a limit on samples per second."""

    def __init__(
        self,
        *,
        show_texts: bool = False,
        samples_per_s: float = SAMPLES_PER_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            show_texts: True to keep the beginnings of texts.
            samples_per_s: the average limit on sampled events per second.
            clock: returns monotonic seconds.
        """
        self.show_texts = show_texts
        self.events: deque[LabelledSample] = deque(maxlen=EVENTS_KEPT)
        self.dead: deque[DeadLetterSample] = deque(maxlen=DEAD_KEPT)
        self._labels: dict[str, deque[tuple[str, ...]]] = {}
        self._samples_per_s = samples_per_s
        self._clock = clock
        self._tokens = samples_per_s
        self._refilled_at = clock()

    def acquire(self, wanted: int) -> int:
        """Return how many of `wanted` samples the rate limit, a token bucket, permits now."""
        now = self._clock()
        refill = (now - self._refilled_at) * self._samples_per_s
        self._tokens = min(self._samples_per_s, self._tokens + refill)
        self._refilled_at = now
        granted = min(wanted, int(self._tokens))
        self._tokens -= granted
        return granted

    def add_labelled(self, event: LabelledSample, labels: Sequence[str]) -> None:
        """Store a labelled event.

        Args:
            event: the event.
            labels: its labels for the counts; few, and of bounded length.
        """
        kept = self._labels.get(event.route)
        if kept is None:
            kept = self._labels[event.route] = deque(maxlen=LABELS_KEPT)
        kept.append((*labels,))
        self.events.append(event)

    def add_dead_letter(self, dead: DeadLetterSample) -> None:
        """Store a dead letter."""
        self.dead.append(dead)

    def label_counts(self, route: str) -> LabelCounts:
        """Return the label counts of the route's last sampled events."""
        kept = self._labels.get(route, ())
        counts = Counter(label for labels in kept for label in labels)
        shown = sorted(counts.most_common(LABELS_SHOWN), key=lambda item: (-item[1], item[0]))
        return LabelCounts(len(kept), shown, counts.total() - sum(number for _, number in shown))


def truncate(text: str, chars: int) -> str:
    """Return the text, or its beginning and an ellipsis when it is longer than `chars`."""
    return text if len(text) <= chars else f"{text[: chars - 1]}…"
