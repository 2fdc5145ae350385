"""Shows the page a few of the outcomes of every confirmed batch."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from stream.classify.inputs import Prediction
from stream.errors import Poison
from stream.records import DeadLetter, Decoded, Event, Source
from stream.web.page.recent import LABELS_SHOWN, DeadLetterSample, Labelled, Recent, shortened

EVENTS_A_BATCH = 8
# Spans of a long text can be as long as the text; reading them to show a line is not worth it.
LARGEST_READ_BYTES = 8_192
NAME_CHARS = 120
TEXT_CHARS = 160


class Sampler:
    """Looks into the last few events of a route's batches; it costs nothing per event."""

    def __init__(self, route: str, recent: Recent) -> None:
        """
        Args:
            route: its name.
            recent: remembers what is seen, and says how much may be looked into.
        """
        self._route = route
        self._recent = recent

    def look(
        self,
        source: Source,
        decoded: Sequence[Decoded],
        results: Sequence[Prediction | Poison],
        dead_letters: Iterable[DeadLetter],
        now_ms: int,
    ) -> None:
        """Remember the end of a batch.

        Args:
            source: where its records were read.
            decoded: these, in offset order.
            results: one for each event among them.
            dead_letters: its last dead letters.
            now_ms: milliseconds since the epoch, at the confirmation.
        """
        for dead in dead_letters:
            self._recent.dead_letters(
                DeadLetterSample(self._route, *dead.source, dead.record.offset, dead.reason.value, now_ms)
            )
        if results and (granted := self._recent.grant(min(len(results), EVENTS_A_BATCH))):
            self._look_into(source, decoded, results, granted, now_ms)

    def _look_into(
        self,
        source: Source,
        decoded: Sequence[Decoded],
        results: Sequence[Prediction | Poison],
        granted: int,
        now_ms: int,
    ) -> None:
        events = (item for item in reversed(decoded) if isinstance(item, Event))
        shows_texts = self._recent.show_texts
        last = [*islice(zip(events, reversed(results), strict=False), granted)]
        for event, result in reversed(last):
            if isinstance(result, Prediction):
                labels, said, score = told(result)
                record = event.record
                self._recent.labelled(
                    Labelled(
                        self._route,
                        *source,
                        record.offset,
                        shortened(event.id, NAME_CHARS),
                        shortened(said, NAME_CHARS),
                        score,
                        max(0, now_ms - record.timestamp),
                        len(event.text),
                        shortened(event.text, TEXT_CHARS) if shows_texts else None,
                    ),
                    [shortened(label, NAME_CHARS) for label in labels[:LABELS_SHOWN]],
                )


def told(prediction: Prediction) -> tuple[list[str], str, float | None]:
    """What a prediction says: labels to tally, a line for people, and the score of a single label."""
    if len(prediction.members) > LARGEST_READ_BYTES:
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
