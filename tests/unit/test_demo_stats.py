"""The demo's summary says what came back."""

import io
from pathlib import Path

import orjson
import pytest
from rich.console import Console

from stream.demo.events import BROKEN, REPEATS, demo_events
from stream.demo.screen import WRAP_OFF, WRAP_ON, clipped_lines, live_view, summary
from stream.demo.stats import DemoStats
from stream.sample import sample_path


def label(event_id: str, name: str, cached: bool = False) -> bytes:
    return orjson.dumps({"id": event_id, "label": name, "score": 0.5, "cached": cached})


def test_counts_accuracy_and_latency() -> None:
    tally = DemoStats({"a": "bug", "b": "bug", "c": "login"}, held_out=frozenset({"a", "b"}))
    assert tally.accuracy is None
    tally.saw_label(label("a", "bug"), produced_at=10.0, now=10.1)
    tally.saw_label(label("b", "login"), produced_at=10.0, now=10.3)
    tally.saw_label(label("c", "login"), produced_at=10.0, now=11.1)
    tally.saw_dead_letter({"labelstream-error-reason": b"decode"}, produced_at=10.0, now=12.1)
    assert (tally.finished, tally.labelled, tally.reasons["decode"]) == (4, 3, 1)
    assert tally.accuracy == 0.5
    assert tally.events_per_second == pytest.approx(2.0)
    assert tally.latency_ms(50) == pytest.approx(700)


def test_the_events_hold_repeats_behind_their_originals_and_broken_records() -> None:
    events = demo_events(sample_path())
    place = {event.id: at for at, event in enumerate(events)}
    again = [event for event in events if event.id.endswith("-again")]
    assert len(again) == REPEATS
    assert sum(event.intent is None for event in events) == len(BROKEN)
    for event in again:
        original = event.id.removesuffix("-again")
        assert place[original] < place[event.id]
        assert orjson.loads(event.value)["text"] == orjson.loads(events[place[original]].value)["text"]


def test_the_screen_shows_labels_and_the_summary_names_every_figure() -> None:
    tally = DemoStats({"a": "bug"}, held_out=frozenset({"a"}))
    tally.produced = 1
    tally.saw_label(label("a", "bug", cached=True), produced_at=1.0, now=1.5)
    out = io.StringIO()
    console = Console(file=out, width=100)
    console.print(live_view(tally, 1, {"a": "it [bold]crashed[/]"}))
    console.print(summary(tally, {"local": 1.0}, "bundles/support/1", Path("worker.log")))
    said = out.getvalue()
    assert "it [bold]crashed[/]" in said, "a text is never taken for markup"
    for name in ("events in", "labelled", "dead-lettered", "cache hits", "throughput", "latency", "accuracy"):
        assert name in said


def test_wrapping_is_switched_back_on_also_after_an_error() -> None:
    out = io.StringIO()
    with pytest.raises(RuntimeError), clipped_lines(Console(file=out, force_terminal=True)):
        raise RuntimeError
    assert out.getvalue() == WRAP_OFF + WRAP_ON
