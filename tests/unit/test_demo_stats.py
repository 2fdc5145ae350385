"""The events, statistics and output of the demo."""

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
    stats = DemoStats({"a": "bug", "b": "bug", "c": "login"}, held_out=frozenset({"a", "b"}))
    assert stats.accuracy is None
    stats.add_label(label("a", "bug"), produced_at=10.0, now=10.1)
    stats.add_label(label("b", "login"), produced_at=10.0, now=10.3)
    stats.add_label(label("c", "login"), produced_at=10.0, now=11.1)
    stats.add_dead_letter({"labelstream-error-reason": b"decode"}, produced_at=10.0, now=12.1)
    assert (stats.finished, stats.labelled, stats.reasons["decode"]) == (4, 3, 1)
    assert stats.accuracy == 0.5
    assert stats.events_per_second == pytest.approx(2.0)
    assert stats.latency_ms(50) == pytest.approx(700)


def test_the_events_include_repeats_after_their_originals_and_invalid_records() -> None:
    events = demo_events(sample_path())
    place = {event.id: at for at, event in enumerate(events)}
    again = [event for event in events if event.id.endswith("-again")]
    assert len(again) == REPEATS
    assert sum(event.intent is None for event in events) == len(BROKEN)
    for event in again:
        original = event.id.removesuffix("-again")
        assert place[original] < place[event.id]
        assert orjson.loads(event.value)["text"] == orjson.loads(events[place[original]].value)["text"]


def test_the_screen_shows_labels_and_the_summary_all_figures() -> None:
    stats = DemoStats({"a": "bug"}, held_out=frozenset({"a"}))
    stats.produced = 1
    stats.add_label(label("a", "bug", cached=True), produced_at=1.0, now=1.5)
    out = io.StringIO()
    console = Console(file=out, width=100)
    console.print(live_view(stats, 1, {"a": "it [bold]crashed[/]"}))
    console.print(summary(stats, {"local": 1.0}, "bundles/support/1", Path("worker.log")))
    text = out.getvalue()
    assert "it [bold]crashed[/]" in text, "texts are not interpreted as markup"
    for name in ("events in", "labelled", "dead letters", "cache hits", "throughput", "latency", "accuracy"):
        assert name in text


def test_line_wrapping_is_restored_also_after_an_error() -> None:
    out = io.StringIO()
    with pytest.raises(RuntimeError), clipped_lines(Console(file=out, force_terminal=True)):
        raise RuntimeError
    assert out.getvalue() == WRAP_OFF + WRAP_ON
