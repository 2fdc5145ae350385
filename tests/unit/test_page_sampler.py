"""The page samples the last events of a batch at a limited rate, with texts only if the settings allow."""

from collections.abc import Sequence

import orjson
import pytest

from stream.classify import Prediction
from stream.errors import Poison, Reason
from stream.records import DeadLetter, Decoded, Event, Tombstone
from stream.web.page.recent import (
    DEAD_KEPT,
    EVENTS_KEPT,
    LABELS_KEPT,
    LABELS_SHOWN,
    RecentOutcomes,
)
from stream.web.page.sampler import (
    EVENTS_PER_BATCH,
    MAX_PARSED_BYTES,
    TEXT_CHARS,
    Sampler,
    summarize_prediction,
)
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


def sample(
    recent: RecentOutcomes, decoded: Sequence[Decoded], results: Sequence[Prediction | Poison]
) -> None:
    dead = [item for item in decoded if isinstance(item, DeadLetter)]
    Sampler("r", recent).sample(SOURCE, decoded, results, dead, NOW_MS)


def test_the_last_events_of_a_batch_are_shown_with_their_own_labels() -> None:
    recent = RecentOutcomes()
    decoded: list[Decoded] = [event(at) for at in range(20)]
    decoded[17] = Tombstone(FakeRecord(None, offset=17), "t-17")
    decoded[18] = DeadLetter(FakeRecord(b"raw", offset=18), SOURCE, "t-18", Reason.EMPTY, "no text")
    results: list[Prediction | Poison] = [good(f"label-{at}") for at in range(20) if at not in (17, 18)]
    results[16] = Poison(Reason.MODEL, "failed")
    sample(recent, decoded, results)
    assert [(e.offset, e.prediction, e.score, e.age_ms) for e in recent.events] == [
        (at, f"label-{at}", 0.9, 500) for at in (10, 11, 12, 13, 14, 15, 19)
    ], "the last eight of them, less the one that became a dead letter"
    assert len(recent.events) == EVENTS_PER_BATCH - 1
    assert [(d.offset, d.reason) for d in recent.dead] == [(18, "empty")]


def test_the_rate_of_samples_is_limited() -> None:
    clock = Clock()
    recent = RecentOutcomes(samples_per_s=10, clock=clock)
    batch = [event(at) for at in range(8)]
    for _ in range(5):
        sample(recent, batch, [good()] * 8)
    assert recent.label_counts("r").sampled == 10
    clock.now = 0.5
    sample(recent, batch, [good()] * 8)
    assert recent.label_counts("r").sampled == 15
    clock.now = 1_000
    sample(recent, batch, [good()] * 8)
    sample(recent, batch, [good()] * 8)
    assert recent.label_counts("r").sampled == 25, "an unused allowance does not accumulate"


def test_texts_are_kept_only_if_the_settings_show_them() -> None:
    secret = "my card number is " + "4" * 400
    hidden, shown = RecentOutcomes(), RecentOutcomes(show_texts=True)
    for recent in (hidden, shown):
        sample(recent, [event(0, secret)], [good()])
    assert hidden.events[0].text is None
    assert "4444" not in repr(hidden.events)
    assert hidden.events[0].chars == len(secret)
    assert shown.events[0].text == f"{secret[: TEXT_CHARS - 1]}…"


def test_a_dead_letter_sample_contains_no_part_of_its_record() -> None:
    recent = RecentOutcomes(show_texts=True)
    broken = FakeRecord(b"secret-value", key=b"secret-key", offset=3, headers=(("h", b"secret-header"),))
    sample(recent, [DeadLetter(broken, SOURCE, "secret-id", Reason.DECODE, "secret-message")], [])
    assert recent.dead[0].offset == 3
    assert "secret" not in repr(recent.dead)


def test_memory_is_bounded() -> None:
    clock = Clock()
    recent = RecentOutcomes(show_texts=True, clock=clock)
    for at in range(3 * LABELS_KEPT):
        clock.now += 1
        long = f"{at}-" + "x" * 1_000
        sample(recent, [Event(FakeRecord(b"raw", offset=at), long, long)], [good(long)])
        dead = DeadLetter(FakeRecord(b"raw", offset=at), SOURCE, "d", Reason.EMPTY, "no text")
        sample(recent, [dead], [])
    assert (len(recent.events), len(recent.dead)) == (EVENTS_KEPT, DEAD_KEPT)
    counts = recent.label_counts("r")
    assert counts.sampled == LABELS_KEPT
    assert len(counts.counts) == LABELS_SHOWN
    assert counts.others == LABELS_KEPT - LABELS_SHOWN
    assert all(len(text) <= TEXT_CHARS for e in recent.events for text in (e.id, e.prediction, e.text or ""))


@pytest.mark.parametrize(
    ("members", "summary"),
    [
        ({"label": "a", "score": 0.5, "scores": {}}, (["a"], "a", 0.5)),
        ({"label": None, "abstained": True, "scores": {}}, (["(abstained)"], "(abstained)", None)),
        ({"labels": ["a", "b"], "scores": {}}, (["a", "b"], "a, b", None)),
        ({"labels": [], "scores": {}}, (["(none)"], "(none)", None)),
        ({"spans": [{"type": "PER"}, {"type": "LOC"}]}, (["PER", "LOC"], "PER, LOC", None)),
        ({"spans": []}, (["(none)"], "(none)", None)),
        ({"value": 4.18}, (["about 4"], "4.18", None)),
        ({"label": "a", "score": 1.0, "scores": {}, "value": 2.5}, (["a"], "a", 1.0)),
        ({"labels": ["x" * MAX_PARSED_BYTES]}, ([], "(long)", None)),
    ],
)
def test_every_kind_of_prediction_has_a_summary(members: dict[str, object], summary: object) -> None:
    assert summarize_prediction(prediction(**members)) == summary
