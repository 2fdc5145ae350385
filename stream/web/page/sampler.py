"""Samples of confirmed batches for the status page."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from stream.classify import Prediction, RowResult
from stream.records import DeadLetter, Decoded, Event, Source
from stream.web.page.recent import LABELS_SHOWN, DeadLetterSample, LabelledSample, RecentOutcomes, truncate

EVENTS_PER_BATCH = 8
# The spans of a long text can be as long as the text. Parsing them is too expensive for one line of the page.
MAX_PARSED_BYTES = 8_192
NAME_CHARS = 120
TEXT_CHARS = 160


class Sampler:
    """Samples the last few events of each batch of a route, at no cost for the other events."""

    def __init__(self, route: str, recent: RecentOutcomes) -> None:
        """
        Args:
            route: the name of the route.
            recent: stores the samples and limits their rate.
        """
        self._route = route
        self._recent = recent

    def sample(
        self,
        source: Source,
        decoded: Sequence[Decoded],
        results: Sequence[RowResult],
        dead_letters: Iterable[DeadLetter],
        now_ms: int,
    ) -> None:
        """Sample the end of a batch. See `stream.pipeline.outcomes.EventSampler`."""
        for dead in dead_letters:
            self._recent.add_dead_letter(
                DeadLetterSample(self._route, *dead.source, dead.record.offset, dead.reason.value, now_ms)
            )
        if results and (granted := self._recent.acquire(min(len(results), EVENTS_PER_BATCH))):
            self._sample_events(source, decoded, results, granted, now_ms)

    def _sample_events(
        self,
        source: Source,
        decoded: Sequence[Decoded],
        results: Sequence[RowResult],
        granted: int,
        now_ms: int,
    ) -> None:
        events = (item for item in reversed(decoded) if isinstance(item, Event))
        shows_texts = self._recent.show_texts
        last = [*islice(zip(events, reversed(results), strict=False), granted)]
        for event, result in reversed(last):
            if isinstance(result, Prediction):
                labels, text, score = summarize_prediction(result)
                record = event.record
                self._recent.add_labelled(
                    LabelledSample(
                        self._route,
                        *source,
                        record.offset,
                        truncate(event.id, NAME_CHARS),
                        truncate(text, NAME_CHARS),
                        score,
                        max(0, now_ms - record.timestamp),
                        len(event.text),
                        truncate(event.text, TEXT_CHARS) if shows_texts else None,
                    ),
                    [truncate(label, NAME_CHARS) for label in labels[:LABELS_SHOWN]],
                )


def summarize_prediction(prediction: Prediction) -> tuple[list[str], str, float | None]:
    """Return the labels to count, a line of text, and the score of a single label."""
    if len(prediction.members) > MAX_PARSED_BYTES:
        return [], "(long)", None
    fields: dict[str, Any] = prediction.fields()
    if fields.get("abstained"):
        return ["(abstained)"], "(abstained)", None
    if "label" in fields:
        return [fields["label"]], fields["label"], fields["score"]
    if "labels" in fields:
        return fields["labels"] or ["(none)"], ", ".join(fields["labels"]) or "(none)", None
    if "spans" in fields:
        kinds = [span["type"] for span in fields["spans"]]
        return kinds or ["(none)"], ", ".join(kinds) or "(none)", None
    value = fields["value"]
    return [f"about {float(f'{value:.1g}'):g}"], f"{value:g}", None
