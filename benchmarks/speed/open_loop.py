"""A worker under a load that does not wait for it: a producer of its own process sends at a constant rate."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed.backlog import PARTITIONS, topics
from benchmarks.speed.bundles import bundle_of
from benchmarks.speed.context import Bench
from benchmarks.speed.ways import FREE_WORKER, Ours, Place
from tests.real.parts import unique
from tests.real.process import Child, Folder
from tests.real.wait import until
from tests.real.worker import READY_S, WorkerProcess

BROKER_WARM_UP_S, QUICK_BROKER_WARM_UP_S = 45.0, 2.0
BROKER_WARM_UP_RATE = 300
DRAIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Model:
    """What is put under load."""

    name: str
    ours: Ours
    texts: Path | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A running worker and where it reads and writes."""

    worker: WorkerProcess
    place: Place


@contextmanager
def producing(model: Model, rate: float, seconds: float, loaded: Loaded) -> Iterator[Child]:
    """The producer, in a process of its own; its last line tells what it sent."""
    place, folder = loaded.place, Folder("paced")
    words = [place.broker, place.source, PARTITIONS, place.compression, rate, seconds, unique("p")]
    words += [model.texts] if model.texts else []
    command = [sys.executable, "-m", "benchmarks.speed.paced", *map(str, words)]
    child = Child("the producer", command, folder.path / "log")
    try:
        child.start()
        yield child
    finally:
        child.kill()
        folder.remove()


@contextmanager
def started(bench: Bench, model: Model) -> Iterator[Loaded]:
    """A worker that is ready, on fresh topics."""
    source, target = unique("paced"), unique("out")
    with topics(bench, source, target, f"{target}.dead"):
        place = Place(bench.kafka.address, source, target, bench.options.compression)
        with model.ours(place) as worker:
            worker.await_ready(READY_S)
            yield Loaded(worker, place)


def warm_broker(bench: Bench) -> None:
    """Let the broker compile what it runs for small requests, once in a run of the program."""
    if bench.broker_is_warm:
        return
    seconds = QUICK_BROKER_WARM_UP_S if bench.options.quick else BROKER_WARM_UP_S
    bench.tell("warming the broker")
    free = Model("free model", Ours(bundle_of(bench, "tiny").bundle.path, FREE_WORKER), None)
    with started(bench, free) as loaded, producing(free, BROKER_WARM_UP_RATE, seconds, loaded) as child:
        until(lambda: not child.alive, seconds + DRAIN_S, "the producer's end")
    bench.broker_is_warm = True
