"""What came through lately: the last few events and dead letters, and the labels of sampled events."""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

EVENTS_KEPT = 14
DEAD_KEPT = 6
LABELS_KEPT = 1_000
LABELS_SHOWN = 8
# Looking into an event takes some microseconds: at this rate about a thousandth of a core, however many come.
SAMPLES_PER_S = 100.0


class Labelled(NamedTuple):
    """A labelled event as the page shows it.

    Attributes:
        said: the label, the labels, the value or the spans, for people.
        score: of the label, in 0..1; None where there is none or several.
        age_ms: now minus the record's timestamp, when its label was confirmed.
        chars: the text's length.
        text: its beginning, None where texts are not to be shown.
    """

    route: str
    topic: str
    partition: int
    offset: int
    id: str
    said: str
    score: float | None
    age_ms: int
    chars: int
    text: str | None


class DeadLetterSample(NamedTuple):
    """A dead letter as the page shows it, without anything of its value."""

    route: str
    topic: str
    partition: int
    offset: int
    reason: str
    at_ms: int


class Tally(NamedTuple):
    """Which labels the sampled events of a route got.

    Attributes:
        sampled: events looked at.
        counts: the most frequent labels, most frequent first.
        others: labels that are not among those, counted together.
    """

    sampled: int
    counts: list[tuple[str, int]]
    others: int


class Recent:
    """A bounded memory of the outcomes that were sampled, newest last."""

    def __init__(
        self,
        *,
        show_texts: bool = False,
        samples_per_s: float = SAMPLES_PER_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            show_texts: whether the beginnings of texts are kept.
            samples_per_s: most events looked into, on average.
            clock: monotonic seconds.
        """
        self.show_texts = show_texts
        self.events: deque[Labelled] = deque(maxlen=EVENTS_KEPT)
        self.dead: deque[DeadLetterSample] = deque(maxlen=DEAD_KEPT)
        self._labels: dict[str, deque[tuple[str, ...]]] = {}
        self._per_s = samples_per_s
        self._clock = clock
        self._room = samples_per_s
        self._at = clock()

    def grant(self, wanted: int) -> int:
        """How many of so many events may be looked into now."""
        now = self._clock()
        self._room = min(self._per_s, self._room + (now - self._at) * self._per_s)
        self._at = now
        granted = min(wanted, int(self._room))
        self._room -= granted
        return granted

    def labelled(self, event: Labelled, labels: Sequence[str]) -> None:
        """Remember an event, and the labels it got for the tally: few of them, and all of bounded length."""
        kept = self._labels.get(event.route)
        if kept is None:
            kept = self._labels[event.route] = deque(maxlen=LABELS_KEPT)
        kept.append((*labels,))
        self.events.append(event)

    def dead_letters(self, dead: DeadLetterSample) -> None:
        """Remember a dead letter."""
        self.dead.append(dead)

    def tally(self, route: str) -> Tally:
        """The labels of the route's last sampled events."""
        kept = self._labels.get(route, ())
        counts = Counter(label for labels in kept for label in labels)
        shown = sorted(counts.most_common(LABELS_SHOWN), key=lambda item: (-item[1], item[0]))
        return Tally(len(kept), shown, counts.total() - sum(number for _, number in shown))


def shortened(text: str, chars: int) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= chars else f"{text[: chars - 1]}…"
