"""What the page is shown of a batch: its end, within a budget, and texts only when asked for."""

from collections.abc import Sequence

import orjson
import pytest

from stream.classify.inputs import Prediction
from stream.errors import Poison, Reason
from stream.records import DeadLetter, Decoded, Event, Tombstone
from stream.web.page.recent import (
    DEAD_KEPT,
    EVENTS_KEPT,
    LABELS_KEPT,
    LABELS_SHOWN,
    Recent,
)
from stream.web.page.sampler import EVENTS_A_BATCH, LARGEST_READ_BYTES, TEXT_CHARS, Sampler, told
from tests.unit.records import SOURCE, FakeRecord

NOW_MS = 10_000


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def prediction(**fields: object) -> Prediction:
    return Prediction(orjson.dumps(fields)[1:-1], b"")


def good(label: str = "good") -> Prediction:
    return prediction(label=label, score=0.9, scores={label: 0.9})


def event(at: int, text: str = "hi") -> Event:
    return Event(FakeRecord(b"raw", offset=at, timestamp=NOW_MS - 500), f"t-{at}", text)


def look(recent: Recent, decoded: Sequence[Decoded], results: Sequence[Prediction | Poison]) -> None:
    dead = [item for item in decoded if isinstance(item, DeadLetter)]
    Sampler("r", recent).look(SOURCE, decoded, results, dead, NOW_MS)


def test_the_end_of_a_batch_is_shown_with_its_own_labels() -> None:
    recent = Recent()
    decoded: list[Decoded] = [event(at) for at in range(20)]
    decoded[17] = Tombstone(FakeRecord(None, offset=17), "t-17")
    decoded[18] = DeadLetter(FakeRecord(b"raw", offset=18), SOURCE, "t-18", Reason.EMPTY, "no text")
    results: list[Prediction | Poison] = [good(f"label-{at}") for at in range(20) if at not in (17, 18)]
    results[16] = Poison(Reason.MODEL, "failed")
    look(recent, decoded, results)
    assert [(e.offset, e.said, e.score, e.age_ms) for e in recent.events] == [
        (at, f"label-{at}", 0.9, 500) for at in (10, 11, 12, 13, 14, 15, 19)
    ], "the last eight of them, less the one that became a dead letter"
    assert len(recent.events) == EVENTS_A_BATCH - 1
    assert [(d.offset, d.reason) for d in recent.dead] == [(18, "empty")]


def test_no_more_is_looked_into_than_the_budget_allows() -> None:
    clock = Clock()
    recent = Recent(samples_per_s=10, clock=clock)
    batch = [event(at) for at in range(8)]
    for _ in range(5):
        look(recent, batch, [good()] * 8)
    assert recent.tally("r").sampled == 10
    clock.now = 0.5
    look(recent, batch, [good()] * 8)
    assert recent.tally("r").sampled == 15
    clock.now = 1_000
    look(recent, batch, [good()] * 8)
    look(recent, batch, [good()] * 8)
    assert recent.tally("r").sampled == 25, "what was not used does not add up for ever"


def test_texts_are_kept_only_when_they_may_be_shown() -> None:
    secret = "my card number is " + "4" * 400
    hidden, shown = Recent(), Recent(show_texts=True)
    for recent in (hidden, shown):
        look(recent, [event(0, secret)], [good()])
    assert hidden.events[0].text is None
    assert "4444" not in repr(hidden.events)
    assert hidden.events[0].chars == len(secret)
    assert shown.events[0].text == f"{secret[: TEXT_CHARS - 1]}…"


def test_a_dead_letter_shows_nothing_of_its_value() -> None:
    recent = Recent(show_texts=True)
    broken = FakeRecord(b"secret-value", key=b"secret-key", offset=3, headers=(("h", b"secret-header"),))
    look(recent, [DeadLetter(broken, SOURCE, "secret-id", Reason.DECODE, "secret-message")], [])
    assert recent.dead[0].offset == 3
    assert "secret" not in repr(recent.dead)


def test_what_is_remembered_is_bounded() -> None:
    clock = Clock()
    recent = Recent(show_texts=True, clock=clock)
    for at in range(3 * LABELS_KEPT):
        clock.now += 1
        long = f"{at}-" + "x" * 1_000
        look(recent, [Event(FakeRecord(b"raw", offset=at), long, long)], [good(long)])
        dead = DeadLetter(FakeRecord(b"raw", offset=at), SOURCE, "d", Reason.EMPTY, "no text")
        look(recent, [dead], [])
    assert (len(recent.events), len(recent.dead)) == (EVENTS_KEPT, DEAD_KEPT)
    tally = recent.tally("r")
    assert tally.sampled == LABELS_KEPT
    assert len(tally.counts) == LABELS_SHOWN
    assert tally.others == LABELS_KEPT - LABELS_SHOWN
    assert all(len(text) <= TEXT_CHARS for e in recent.events for text in (e.id, e.said, e.text or ""))


@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        ({"label": "a", "score": 0.5, "scores": {}}, (["a"], "a", 0.5)),
        ({"label": None, "abstained": True, "scores": {}}, (["(abstained)"], "(abstained)", None)),
        ({"labels": ["a", "b"], "scores": {}}, (["a", "b"], "a, b", None)),
        ({"labels": [], "scores": {}}, (["(none)"], "(none)", None)),
        ({"spans": [{"type": "PER"}, {"type": "LOC"}]}, (["PER", "LOC"], "PER, LOC", None)),
        ({"spans": []}, (["(none)"], "(none)", None)),
        ({"value": 4.18}, (["about 4"], "4.18", None)),
        ({"label": "a", "score": 1.0, "scores": {}, "value": 2.5}, (["a"], "a", 1.0)),
        ({"labels": ["x" * LARGEST_READ_BYTES]}, ([], "(long)", None)),
    ],
)
def test_every_kind_of_prediction_can_be_told(members: dict[str, object], wanted: object) -> None:
    assert told(prediction(**members)) == wanted
