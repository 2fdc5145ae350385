"""`labelstream worker` with a model that is slow, held up or breaks, or one that comes and goes.

    python -m tests.odd_worker '{"seconds_a_batch": 0.05}' --bundle FOLDER --broker HOST:PORT ...

Everything but this is the worker's own.
"""

import asyncio
import json
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import typer

from stream.bundle import open_bundle
from stream.classify.cache import SharedCache
from stream.classify.queue import Limits
from stream.classify.tokenise import Tokeniser
from stream.cli import show_error
from stream.commands.options import EVERY, with_settings
from stream.commands.worker import serve
from stream.errors import LabelstreamError
from stream.observe.logs import configure_logs
from stream.observe.metrics import Metrics
from stream.runtime import OnnxRuntime, Padded
from stream.runtime.base import Logits
from stream.settings import Route, Settings
from stream.worker.route_model import Model, make_classifier
from stream.worker.run import run_worker

ROWS, TOKENS = 64, 512


@dataclass(frozen=True)
class Oddity:
    """What is odd about a worker.

    Attributes:
        seconds_a_batch: what an inference takes at least.
        held_by: a file; while it exists, inferences wait.
        works_for: batches after which the device fails for good.
        widest: tokens of the longest row that it can compute; wider batches fail.
        stays_s: seconds of each of its stays in the group, ended as by SIGTERM; then it stays.
    """

    seconds_a_batch: float = 0.0
    held_by: str = ""
    works_for: int = sys.maxsize
    widest: int = sys.maxsize
    stays_s: tuple[float, ...] = ()

    def program(self) -> tuple[str, str]:
        """What `WorkerProcess` runs."""
        return "tests.odd_worker", json.dumps(vars(self))


class OddRuntime:
    """A session with an oddity."""

    device = "cpu"
    provider = "odd"
    pad_multiple = 1
    kept_shapes = ()
    padded_cost = np.multiply
    max_same_shape_batches = 1

    def __init__(self, runtime: OnnxRuntime, oddity: Oddity) -> None:
        self._runtime = runtime
        self._oddity = oddity
        self._batches = 0

    def infer(self, inputs: Padded) -> Logits:
        """As the session does, but late or never.

        Raises:
            RuntimeError: the device failed.
        """
        self._batches += 1
        if self._batches > self._oddity.works_for:
            raise RuntimeError("the device has fallen off the bus")
        if inputs["input_ids"].shape[1] > self._oddity.widest:
            raise RuntimeError("too wide")
        time.sleep(self._oddity.seconds_a_batch)
        while self._oddity.held_by and Path(self._oddity.held_by).exists():
            time.sleep(0.01)
        return self._runtime.infer(inputs)


@dataclass(frozen=True)
class OddModel:
    """Loads the route's bundle with an oddity, cold."""

    oddity: Oddity

    async def __call__(
        self, route: Route, settings: Settings, shared: SharedCache | None, metrics: Metrics
    ) -> Model:
        bundle = open_bundle(route.bundle, settings.bundle_store)
        runtime = OddRuntime(OnnxRuntime(bundle, "fp32"), self.oddity)
        limits = Limits(settings.max_batch_rows or ROWS, settings.max_batch_tokens or TOKENS)
        classifier = make_classifier(
            bundle, "fp32", [runtime], Tokeniser(bundle), limits, settings, shared, metrics
        )
        return Model(bundle, "fp32", runtime.device, runtime.provider, classifier)


async def come_and_go(settings: Settings, load: OddModel) -> None:
    """Join and leave as often as the oddity says, then stay."""
    for stay_s in load.oddity.stays_s:
        staying = asyncio.create_task(run_worker(settings, load))
        done, _ = await asyncio.wait({staying}, timeout=stay_s)
        if not done:
            staying.cancel()
        with suppress(asyncio.CancelledError):
            await staying
    await run_worker(settings, load)


def main() -> None:
    """Read the oddity, which stands before the flags, and run."""
    oddity = Oddity(**json.loads(sys.argv.pop(1)))

    @with_settings(*EVERY)
    def worker(settings: Settings) -> None:
        level = configure_logs(settings.log_level, settings.log_format)
        serve(come_and_go(settings, OddModel(oddity)), level)

    app = typer.Typer()
    app.command()(worker)
    try:
        app()
    except LabelstreamError as error:
        show_error(error)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
