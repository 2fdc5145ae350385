"""The worker with the free model and no-op metrics, to measure the cost of metrics.

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
from stream.observe.metrics import AgeExemplar, AgeHistogram, Metrics
from stream.settings import Settings
from stream.worker.run import run_worker


class NoInstrument:
    """A no-op counter, gauge or histogram, with or without labels."""

    def labels(self, *_: str) -> "NoInstrument":
        """Return the instrument itself."""
        return self

    def no_resources(self, *_: object) -> None:
        """Do nothing."""

    inc = set = observe = clear = set_function = no_resources

    def collect(self) -> Sequence[Metric]:
        """Return no metrics."""
        return ()

    def time(self) -> AbstractContextManager[object]:
        """Return a context manager that measures nothing."""
        return nullcontext()


class NoAges(AgeHistogram):
    """A no-op histogram of event ages."""

    def observe(
        self,
        route: str,
        timestamps: npt.NDArray[np.int64],
        now: int,
        exemplar: AgeExemplar | None = None,
    ) -> None:
        """Do nothing."""


class NoMetrics(Metrics):
    """Metrics with no-op instruments."""

    def __init__(self) -> None:
        super().__init__()
        self.event_age = NoAges(type(self.registry)())

    def _counter(self, *_: object) -> Any:
        return NoInstrument()

    _gauge = _counter  # type: ignore[assignment]
    _histogram = _counter  # type: ignore[assignment]

    def timed(self, stage: str, traces: Sequence[object] = ()) -> AbstractContextManager[object]:
        """Return a context manager that measures nothing."""
        return nullcontext()

    def inferred(self, rows: int, real_tokens: int, padded_tokens: int) -> None:
        """Do nothing."""

    def cache_result(self, tier: str, result: str, n: int) -> None:
        """Do nothing."""


@with_settings(*EVERY)
def worker(settings: Settings) -> None:
    """Run `benchmarks.speed.free_worker` without metrics."""
    configure_logs(settings.log_level, settings.log_format)
    serve(run_worker(settings, load_free_model, NoMetrics()))


if __name__ == "__main__":
    app = typer.Typer()
    app.command()(worker)
    app()
