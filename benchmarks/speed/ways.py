"""Ways to label a topic, each a process of its own: our worker, and what it is compared with."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.real.parts import unique
from tests.real.process import Child, Folder
from tests.real.worker import WorkerProcess

FREE_WORKER = ("benchmarks.speed.free_worker",)
UNMETERED_WORKER = ("benchmarks.speed.unmetered_worker",)


class Running(Protocol):
    """A process that labels."""

    @property
    def pid(self) -> int: ...
    def check(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a way reads and writes."""

    broker: str
    source: str
    target: str
    compression: str


Way = Callable[[Place], AbstractContextManager[Running]]


@dataclass(frozen=True, slots=True)
class Ours:
    """Our worker, caches off unless the settings say otherwise.

    Attributes:
        bundle: a bundle's folder.
        program: the module that runs it.
        settings: further settings of the worker, by name.
    """

    bundle: Path
    program: tuple[str, ...] = ("stream", "worker")
    settings: tuple[tuple[str, object], ...] = ()

    @contextmanager
    def __call__(self, place: Place) -> Iterator[WorkerProcess]:
        """Start it, without waiting until it is ready, and kill it afterwards."""
        settings: dict[str, Any] = {
            "output_topic": place.target,
            "dead_topic": f"{place.target}.dead",
            "compression": place.compression,
            "cache_local_entries": 0,
            **dict(self.settings),
        }
        worker = WorkerProcess(
            place.broker, self.bundle, place.source, unique("bench"), program=self.program, **settings
        )
        try:
            yield worker.start(ready=False)
        finally:
            worker.close()


@dataclass(frozen=True, slots=True)
class Rival:
    """A module of benchmarks.speed.rivals, called with the place, a group and its own further arguments."""

    module: str
    arguments: tuple[str, ...] = ()

    @contextmanager
    def __call__(self, place: Place) -> Iterator[Child]:
        """Start it, and kill it afterwards."""
        folder = Folder("rival")
        words = [place.broker, place.source, place.target, unique("bench"), place.compression]
        command = [sys.executable, "-m", f"benchmarks.speed.rivals.{self.module}", *words, *self.arguments]
        child = Child(self.module, command, folder.path / "log")
        try:
            child.start()
            yield child
        finally:
            child.kill()
            folder.remove()
