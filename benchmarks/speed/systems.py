"""Systems under test, each in its own process: the labelstream worker, and the baselines."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.real.components import unique
from tests.real.process import Child, Folder
from tests.real.worker import WorkerProcess

FREE_WORKER = ("benchmarks.speed.free_worker",)
THOUSAND_WORKER = ("benchmarks.speed.thousand_worker",)
UNMETERED_WORKER = ("benchmarks.speed.unmetered_worker",)


class RunningSystem(Protocol):
    """A running system."""

    @property
    def pid(self) -> int: ...
    def check(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The broker and the topics that a system reads and writes, and the compression of its output."""

    broker: str
    source: str
    target: str
    compression: str


System = Callable[[Endpoints], AbstractContextManager[RunningSystem]]


@dataclass(frozen=True, slots=True)
class LabelstreamWorker:
    """The labelstream worker, with caches off by default.

    Attributes:
        bundle: the folder of the bundle.
        program: the module to run, and the words before its flags.
        settings: further settings of the worker, by name.
        env: further environment variables of the worker.
    """

    bundle: Path
    program: tuple[str, ...] = ("stream", "worker")
    settings: tuple[tuple[str, object], ...] = ()
    env: tuple[tuple[str, str], ...] = ()

    @contextmanager
    def __call__(self, endpoints: Endpoints) -> Iterator[WorkerProcess]:
        """Start the worker without waiting for readiness, and kill it at the end."""
        settings: dict[str, Any] = {
            "output_topic": endpoints.target,
            "dead_topic": f"{endpoints.target}.dead",
            "compression": endpoints.compression,
            "cache_local_entries": 0,
            **dict(self.settings),
        }
        worker = WorkerProcess(
            endpoints.broker,
            self.bundle,
            endpoints.source,
            unique("bench"),
            program=self.program,
            env=dict(self.env),
            **settings,
        )
        try:
            yield worker.start(ready=False)
        finally:
            worker.close()


@dataclass(frozen=True, slots=True)
class Baseline:
    """A module of benchmarks.speed.baselines and its further arguments."""

    module: str
    arguments: tuple[str, ...] = ()

    @contextmanager
    def __call__(self, endpoints: Endpoints) -> Iterator[Child]:
        """Start the baseline, and kill it at the end."""
        folder = Folder("baseline")
        job = [endpoints.broker, endpoints.source, endpoints.target, unique("bench"), endpoints.compression]
        command = [sys.executable, "-m", f"benchmarks.speed.baselines.{self.module}", *job, *self.arguments]
        child = Child(self.module, command, folder.path / "log")
        try:
            child.start()
            yield child
        finally:
            child.kill()
            folder.remove()
