"""`labelstream worker` with a model that is slow, waits or fails, or a worker that often leaves the group.

    python -m tests.odd_worker '{"seconds_a_batch": 0.05}' --bundle FOLDER --broker HOST:PORT ...

Everything else is the same as in `labelstream worker`.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import typer

from stream.bundle import open_bundle
from stream.classify import BatchLimits, SharedCache, Tokeniser
from stream.classify.classifier import ClassifiedBatch
from stream.cli import show_error
from stream.commands.options import EVERY, with_settings
from stream.commands.worker import serve
from stream.errors import LabelstreamError
from stream.kafka import exactly_once
from stream.kafka.faust.consumer import BatchConsumer
from stream.kafka.transactions import Transactions
from stream.observe.logs import configure_logs
from stream.observe.metrics import Metrics
from stream.routes import Route
from stream.runtime import Logits, OnnxRuntime, PaddedBatch
from stream.settings import Settings
from stream.worker.route_model import Model, make_classifier
from stream.worker.run import run_worker

ROWS, TOKENS = 64, 512
Classify = Callable[..., Coroutine[Any, Any, ClassifiedBatch]]


@dataclass(frozen=True)
class Oddity:
    """The faults of a worker.

    Attributes:
        seconds_a_batch: the shortest duration of an inference, in seconds. held_by: the path of a file; while
        the file exists, inferences wait. works_for: the number of batches after which the device fails
        permanently. widest: the largest number of tokens of a row; an inference with a longer row fails.
        loses: a word; the classification of a record batch with this word in a text never ends.
        stays_s: the durations of the worker's first stays in the group, in seconds. Each ends as by SIGTERM;
        after them the worker stays. holds_commits: the path of a file; while the file exists, transactions
        stay open after their records are written. seconds_a_transaction: the time in seconds that they stay
        open after that. reads_offsets_early: the path of a file; the worker reads the committed offsets
        before it opens its transactional producers, which is wrong, creates the file, and opens them when
        the file is gone.
    """

    seconds_a_batch: float = 0.0
    held_by: str = ""
    works_for: int = sys.maxsize
    widest: int = sys.maxsize
    loses: str = ""
    stays_s: tuple[float, ...] = ()
    holds_commits: str = ""
    seconds_a_transaction: float = 0.0
    reads_offsets_early: str = ""

    def program(self) -> tuple[str, str]:
        """Return the module and the argument for `WorkerProcess`."""
        return "tests.odd_worker", json.dumps(vars(self))


class OddRuntime:
    """A session with these faults."""

    device = "cpu"
    provider = "odd"
    pad_multiple = 1
    bucket_shapes: Sequence[tuple[int, int]] = ()
    padded_cost: Callable[[Any, Any], Any] = np.multiply
    max_same_shape_batches = 1

    def __init__(self, runtime: OnnxRuntime, oddity: Oddity) -> None:
        self._runtime = runtime
        self._oddity = oddity
        self._batches = 0

    def infer(self, inputs: PaddedBatch) -> Logits:
        """Run the session, late or never.

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


def losing(classify: Classify, word: str) -> Classify:
    """Return `classify`, but without an end for inputs with this word."""

    async def lose(inputs: Sequence[Any], trace: Any = None) -> ClassifiedBatch:
        if any(word in str(row) for row in inputs):
            await asyncio.get_running_loop().create_future()
        return await classify(inputs, trace)

    return lose


@dataclass(frozen=True)
class OddModel:
    """Loads the bundle of a route with these faults, without a warm-up."""

    oddity: Oddity

    async def __call__(
        self, route: Route, settings: Settings, shared: SharedCache | None, metrics: Metrics
    ) -> Model:
        bundle = open_bundle(route.bundle, settings.bundle_store)
        runtime = OddRuntime(OnnxRuntime(bundle, "fp32"), self.oddity)
        limits = BatchLimits(settings.max_batch_rows or ROWS, settings.max_batch_tokens or TOKENS)
        classifier = make_classifier(
            bundle, "fp32", [runtime], Tokeniser(bundle), limits, settings, shared, metrics
        )
        if self.oddity.loses:
            classifier.classify = losing(classifier.classify, self.oddity.loses)  # type: ignore[method-assign]
        return Model(bundle, "fp32", runtime.device, runtime.provider, classifier)


async def until_gone(path: Path) -> None:
    """Wait until a file is gone. A thread that waits would delay the end of the process."""
    while path.exists():  # noqa: ASYNC110 - another process removes the file
        await asyncio.sleep(0.01)


def hold_commits(path: Path | None, seconds: float) -> None:
    """Make transactions wait after their records are written, for some time and while a file exists."""
    module: Any = exactly_once
    commit = module.commit

    async def commit_late(*args: Any) -> None:
        await asyncio.sleep(seconds)
        if path is not None:
            await until_gone(path)
        await commit(*args)

    module.commit = commit_late


def read_offsets_early(path: Path) -> None:
    """Swap the first two steps of an assignment, and wait between them until a file is gone."""
    open_producers, read_offsets = Transactions.open, BatchConsumer._set_positions
    consumers: list[BatchConsumer] = []

    async def open_late(self: Transactions, sources: Any) -> None:
        await read_offsets(consumers[0])
        path.touch()
        await until_gone(path)
        await open_producers(self, sources)

    async def read_nothing(_consumer: BatchConsumer) -> None:
        """Do nothing: the offsets were read before."""

    async def remember(self: BatchConsumer, sources: Any) -> None:
        consumers[:] = [self]
        await open_and_read(self, sources)

    open_and_read = BatchConsumer._open_and_seek
    Transactions.open = open_late  # type: ignore[method-assign]
    BatchConsumer._set_positions = read_nothing  # type: ignore[method-assign, assignment]
    BatchConsumer._open_and_seek = remember  # type: ignore[method-assign, assignment]


async def come_and_go(settings: Settings, load: OddModel) -> None:
    """Join and leave the group for each duration in `stays_s`, then stay."""
    for stay_s in load.oddity.stays_s:
        staying = asyncio.create_task(run_worker(settings, load))
        done, _ = await asyncio.wait({staying}, timeout=stay_s)
        if not done:
            staying.cancel()
        with suppress(asyncio.CancelledError):
            await staying
    await run_worker(settings, load)


def main() -> None:
    """Read the faults from the first argument, and run the worker."""
    oddity = Oddity(**json.loads(sys.argv.pop(1)))
    if oddity.holds_commits or oddity.seconds_a_transaction:
        path = Path(oddity.holds_commits) if oddity.holds_commits else None
        hold_commits(path, oddity.seconds_a_transaction)
    if oddity.reads_offsets_early:
        read_offsets_early(Path(oddity.reads_offsets_early))

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
