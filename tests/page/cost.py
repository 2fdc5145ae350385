"""`python -m tests.page.cost`: the cost of the page for the worker, per event and per second."""

import time
from collections.abc import Callable
from statistics import median

import numpy as np
import orjson
from rich.console import Console
from rich.table import Table

from stream.classify import Prediction
from stream.observe.metrics import Metrics
from stream.records import Event
from stream.settings import Settings
from stream.web.page.history import History
from stream.web.page.recent import RecentOutcomes
from stream.web.page.sampler import Sampler
from stream.web.page.scrape import scrape
from stream.web.page.snapshot import as_json
from stream.web.page.snapshot_builder import SnapshotBuilder
from tests.unit.records import SOURCE, FakeRecord

EVENTS = 200_000
TURNS = 5
BATCHES = (1, 16, 256, 4096)
RATES = (1_000, 10_000, 95_000)


class Arrivals:
    """A clock that advances by the duration of a batch at every call."""

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s
        self._now = 0.0

    def __call__(self) -> float:
        self._now += self._step_s
        return self._now


def sampling_us(batch_events: int, rate: float) -> float:
    """Return the microseconds per event that sampling the end of every batch takes."""
    members = orjson.dumps({"label": "good", "score": 0.9, "scores": {"good": 0.9, "bad": 0.1}})[1:-1]
    decoded = [Event(FakeRecord(b"raw", offset=at), f"t-{at}", "text " * 10) for at in range(batch_events)]
    results = [Prediction(members, b"")] * batch_events
    recent = RecentOutcomes(clock=Arrivals(batch_events / rate))
    sample, batches = Sampler("r", recent).sample, EVENTS // batch_events

    def turn() -> None:
        for _ in range(batches):
            sample(SOURCE, decoded, results, (), 0)

    return seconds(turn) / (batches * batch_events) * 1e6


def second_ms() -> tuple[float, float]:
    """Return the milliseconds of one scrape, and of one snapshot with five minutes of history."""
    metrics = Metrics()
    for partition in range(32):
        metrics.lag.labels("texts", str(partition)).set(partition)
    for stage in ("decode", "cache", "tokenise", "queue", "infer", "postprocess", "publish", "commit"):
        metrics.stage.labels(stage).observe(0.01)
    metrics.event_age.observe("default", np.array([0]), 10)
    history = History(scrape(metrics, 0.0))
    for at in range(300):
        history.append(scrape(metrics, at + 1.0))
    builder = SnapshotBuilder(
        Settings(bundle="b"),
        metrics,
        history,
        RecentOutcomes(),
        waiting_for=lambda: None,
        host="h",
        now_ms=lambda: 0,
    )
    return seconds(lambda: scrape(metrics, 0.0)) * 1e3, seconds(lambda: as_json(builder.snapshot())) * 1e3


def seconds(turn: Callable[[], object]) -> float:
    """Return the median seconds of a turn."""
    taken = []
    for _ in range(TURNS):
        began = time.perf_counter()
        turn()
        taken.append(time.perf_counter() - began)
    return median(taken)


def main() -> None:
    """Measure, and print a table."""
    table = Table(
        "events per batch", *(f"{rate:,} events/s" for rate in RATES), title="µs per event, sampling"
    )
    for batch in BATCHES:
        table.add_row(f"{batch:,}", *(f"{sampling_us(batch, rate):.4f}" for rate in RATES))
    console = Console()
    console.print(table)
    one_scrape, snapshot = second_ms()
    console.print(f"per second: {one_scrape:.2f} ms; with viewers {snapshot:.2f} ms more")


if __name__ == "__main__":
    main()
