"""What became of each record of a batch, and what is written for it."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from stream.classify.inputs import Prediction
from stream.classify.postprocess import label_fields
from stream.errors import Poison
from stream.kafka.publisher import Outgoing
from stream.observe.metrics import Metrics
from stream.records import DeadLetter, Event, LabelEncoder, Tombstone, dead_letter, tombstone
from stream.settings import Route

Labelled = tuple[Event, Prediction]
Outcome = Labelled | DeadLetter | Tombstone


def join(
    decoded: Iterable[Event | DeadLetter | Tombstone], results: Iterable[Prediction | Poison]
) -> list[Outcome]:
    """Join records and the results of their events again, in offset order."""
    waiting = iter(results)
    outcomes: list[Outcome] = []
    for item in decoded:
        if not isinstance(item, Event):
            outcomes.append(item)
        elif isinstance(result := next(waiting), Poison):
            outcomes.append(DeadLetter(item.record, item.id, result.reason, str(result)))
        else:
            outcomes.append((item, result))
    return outcomes


class OutcomeWriter:
    """Turns the outcomes of one route into records, and counts them once the broker has those."""

    def __init__(
        self,
        route: Route,
        group: str,
        encoder: LabelEncoder,
        labels: list[str],
        top_k: int,
        metrics: Metrics,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._route = route
        self._group = group
        self._encoder = encoder
        self._labels = labels
        self._top_k = top_k
        self._metrics = metrics
        self._now = now

    def outgoing(self, outcome: Outcome) -> Outgoing:
        """The one record that an outcome leads to."""
        value: bytes | None
        if isinstance(outcome, DeadLetter):
            record, headers = outcome.record, dead_letter(outcome, self._group)
            topic, value = self._route.dead_topic, record.value
        elif isinstance(outcome, Tombstone):
            record, headers = outcome.record, tombstone(outcome)
            topic, value = self._route.output_topic, None
        else:
            event, prediction = outcome
            record, headers = event.record, self._encoder.headers(event)
            fields = label_fields(prediction, self._labels, self._top_k)
            value = self._encoder.value(event, fields, cached=prediction.cached, labelled_at=self._now())
            topic = self._route.output_topic
        return Outgoing(topic, record.topic, record.partition, record.key, value, headers, record.timestamp)

    def count(self, outcomes: Iterable[Outcome]) -> None:
        """Count outcomes; called once for each, after confirmation."""
        route, now_ms = self._route.name, self._now().timestamp() * 1000
        for outcome in outcomes:
            if isinstance(outcome, DeadLetter):
                self._metrics.events.labels(route, "dead").inc()
                self._metrics.dead_letters.labels(route, outcome.reason.value).inc()
            elif isinstance(outcome, Tombstone):
                self._metrics.events.labels(route, "tombstone").inc()
            else:
                self._metrics.events.labels(route, "labelled").inc()
                age_s = max(0.0, now_ms - outcome[0].record.timestamp) / 1000
                self._metrics.event_age.labels(route).observe(age_s)
