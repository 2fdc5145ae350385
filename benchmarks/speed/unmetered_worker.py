"""The free model's worker with metrics that do nothing: beside the real ones it shows what metrics cost.

python -m benchmarks.speed.unmetered_worker --bundle support --broker HOST:PORT ...
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import typer
from prometheus_client import Metric

from benchmarks.speed.free_worker import load_free_model
from stream.commands.options import EVERY, with_settings
from stream.commands.worker import serve
from stream.observe.logs import configure_logs
from stream.observe.metrics import AgeHistogram, Metrics
from stream.settings import Settings
from stream.worker.run import run_worker


class NoInstrument:
    """Stands in for a counter, gauge or histogram, with or without labels."""

    def labels(self, *_: str) -> "NoInstrument":
        """Itself, whatever the labels."""
        return self

    def nothing(self, *_: object) -> None:
        """What it does."""

    inc = set = observe = clear = set_function = nothing

    def collect(self) -> Sequence[Metric]:
        """What it has found: nothing."""
        return ()

    def time(self) -> AbstractContextManager[object]:
        """Times nothing."""
        return nullcontext()


class NoAges(AgeHistogram):
    """Counts no ages."""

    def observe(self, route: str, timestamps: npt.NDArray[np.int64], now: int) -> None:
        """Nothing."""


class NoMetrics(Metrics):
    """Metrics whose instruments do nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.event_age = NoAges(type(self.registry)())

    def _counter(self, *_: object) -> Any:
        return NoInstrument()

    _gauge = _histogram = _counter

    def timed(self, stage: str) -> AbstractContextManager[object]:
        """Times nothing."""
        return nullcontext()

    def inferred(self, rows: int, real_tokens: int, padded_tokens: int) -> None:
        """Nothing."""

    def cache_result(self, tier: str, result: str, n: int) -> None:
        """Nothing."""


@with_settings(*EVERY)
def worker(settings: Settings) -> None:
    """Like `benchmarks.speed.free_worker`, without metrics."""
    configure_logs(settings.log_level, settings.log_format)
    serve(run_worker(settings, load_free_model, NoMetrics()))


if __name__ == "__main__":
    app = typer.Typer()
    app.command()(worker)
    app()
