"""Open-loop load: a producer in its own process sends at a constant rate, whatever the worker does."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed.backlog import PARTITIONS, topics
from benchmarks.speed.bundles import bench_bundle
from benchmarks.speed.context import Bench
from benchmarks.speed.systems import FREE_WORKER, Endpoints, LabelstreamWorker
from tests.real.components import unique
from tests.real.process import Child, EndedError, Folder
from tests.real.wait import until
from tests.real.worker import READY_S, WorkerProcess

BROKER_WARM_UP_S, QUICK_BROKER_WARM_UP_S = 45.0, 2.0
BROKER_WARM_UP_RATE = 300
DRAIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Model:
    """A model under load, its worker, and the file of its texts (None for events of 200 bytes)."""

    name: str
    worker: LabelstreamWorker
    texts: Path | None


@dataclass(frozen=True, slots=True)
class LoadedWorker:
    """A running worker and its topics."""

    worker: WorkerProcess
    endpoints: Endpoints


@contextmanager
def producer(model: Model, rate: float, seconds: float, loaded: LoadedWorker) -> Iterator[Child]:
    """Run the producer in its own process; its last line of output is its report in JSON."""
    endpoints, folder = loaded.endpoints, Folder("paced")
    arguments = [
        endpoints.broker,
        endpoints.source,
        PARTITIONS,
        endpoints.compression,
        rate,
        seconds,
        unique("p"),
    ]
    arguments += [model.texts] if model.texts else []
    command = [sys.executable, "-m", "benchmarks.speed.paced", *map(str, arguments)]
    child = Child("the producer", command, folder.path / "log")
    try:
        child.start()
        yield child
    finally:
        child.kill()
        folder.remove()


def check_producer(child: Child) -> None:
    """Check that the producer has not failed.

    Raises:
        EndedError: it has.
    """
    if child.returncode:
        raise EndedError(f"the producer ended with {child.returncode}:\n{child.tail()}")


@contextmanager
def started_worker(bench: Bench, model: Model) -> Iterator[LoadedWorker]:
    """Start a worker on new topics and wait until it is ready."""
    source, target = unique("paced"), unique("out")
    with topics(bench, source, target, f"{target}.dead"):
        endpoints = Endpoints(bench.kafka.address, source, target, bench.options.compression)
        with model.worker(endpoints) as worker:
            worker.await_ready(READY_S)
            yield LoadedWorker(worker, endpoints)


def warm_broker(bench: Bench) -> None:
    """Run a small load, once per program run, so that the broker's JVM compiles its request handling."""
    if bench.broker_is_warm:
        return
    seconds = QUICK_BROKER_WARM_UP_S if bench.options.quick else BROKER_WARM_UP_S
    bench.show_step("warming up the broker")
    free_model = Model(
        "free model", LabelstreamWorker(bench_bundle(bench, "tiny").bundle.path, FREE_WORKER), None
    )
    with (
        started_worker(bench, free_model) as loaded,
        producer(free_model, BROKER_WARM_UP_RATE, seconds, loaded) as child,
    ):
        until(lambda: not child.alive, seconds + DRAIN_S, "the producer's end")
        check_producer(child)
    bench.broker_is_warm = True
