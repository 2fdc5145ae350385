"""`python -m tests.page.cost`: what the page costs the worker, for each event and each second."""

import time
from collections.abc import Callable
from statistics import median

import numpy as np
import orjson
from rich.console import Console
from rich.table import Table

from stream.classify.inputs import Prediction
from stream.observe.metrics import Metrics
from stream.records import Event
from stream.settings import Settings
from stream.web.page.composer import Composer
from stream.web.page.history import History
from stream.web.page.readings import read
from stream.web.page.recent import Recent
from stream.web.page.sampler import Sampler
from stream.web.page.snapshot import as_json
from tests.unit.records import SOURCE, FakeRecord

EVENTS = 200_000
TURNS = 5
BATCHES = (1, 16, 256, 4096)
RATES = (1_000, 10_000, 95_000)


class Arrivals:
    """A clock that moves on by a batch at a rate whenever it is asked."""

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s
        self._now = 0.0

    def __call__(self) -> float:
        self._now += self._step_s
        return self._now


def sampling_us(batch_events: int, rate: float) -> float:
    """Microseconds per event that looking into the end of every batch takes."""
    members = orjson.dumps({"label": "good", "score": 0.9, "scores": {"good": 0.9, "bad": 0.1}})[1:-1]
    decoded = [Event(FakeRecord(b"raw", offset=at), f"t-{at}", "text " * 10) for at in range(batch_events)]
    results = [Prediction(members, b"")] * batch_events
    recent = Recent(clock=Arrivals(batch_events / rate))
    look, batches = Sampler("r", recent).look, EVENTS // batch_events

    def turn() -> None:
        for _ in range(batches):
            look(SOURCE, decoded, results, (), 0)

    return seconds(turn) / (batches * batch_events) * 1e6


def second_ms() -> tuple[float, float]:
    """Milliseconds of reading the metrics once, and of making a snapshot after five minutes of them."""
    metrics = Metrics()
    for partition in range(32):
        metrics.lag.labels("texts", str(partition)).set(partition)
    for stage in ("decode", "cache", "tokenise", "queue", "infer", "postprocess", "publish", "commit"):
        metrics.stage.labels(stage).observe(0.01)
    metrics.event_age.observe("default", np.array([0]), 10)
    history = History(read(metrics, 0.0))
    for at in range(300):
        history.note(read(metrics, at + 1.0))
    composer = Composer(
        Settings(bundle="b"), metrics, history, Recent(), waiting_for=lambda: None, host="h", now_ms=lambda: 0
    )
    return seconds(lambda: read(metrics, 0.0)) * 1e3, seconds(lambda: as_json(composer.snapshot())) * 1e3


def seconds(turn: Callable[[], object]) -> float:
    """The median time of a turn."""
    taken = []
    for _ in range(TURNS):
        began = time.perf_counter()
        turn()
        taken.append(time.perf_counter() - began)
    return median(taken)


def main() -> None:
    """Measure and print."""
    table = Table("events a batch", *(f"{rate:,} events/s" for rate in RATES), title="µs per event, sampling")
    for batch in BATCHES:
        table.add_row(f"{batch:,}", *(f"{sampling_us(batch, rate):.4f}" for rate in RATES))
    console = Console()
    console.print(table)
    reading, snapshot = second_ms()
    console.print(f"each second: {reading:.2f} ms; while someone looks {snapshot:.2f} ms more")


if __name__ == "__main__":
    main()
