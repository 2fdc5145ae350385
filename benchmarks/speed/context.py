"""What all groups share: options, broker, progress bar, and the order in which ways take turns."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from rich.progress import Progress

from tests.real.kafka import ApacheKafka
from tests.real.kafka_ways import Container, Jars, find_kafka
from tests.real.wait import NotInTimeError

C = TypeVar("C")
T = TypeVar("T")

# A broker as one would run it, not the quick start of the tests.
JAVA_OPTIONS = ("-Xms1g", "-Xmx1g", "-XX:+UseG1GC")


class NotRun(Exception):
    """A row cannot be run here; the message says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line chose.

    Attributes:
        repeats: runs of every row.
        quick: few events, to try the program; the figures mean nothing.
        device: cpu or cuda.
        data: folder of real texts, or None for the sample.
        work: folder that keeps bundles between runs.
        compression: of everything that is produced, by all ways alike.
        rows: parts of row names; only rows that hold one of them are run; empty: all.
    """

    repeats: int
    quick: bool
    device: str
    data: Path | None
    work: Path
    compression: str
    rows: tuple[str, ...] = ()

    def wants(self, row: str) -> bool:
        """Whether a row was chosen."""
        return not self.rows or any(part.lower() in row.lower() for part in self.rows)


@dataclass(slots=True)
class Runs(Generic[T]):
    """One row's results, a repeat each; or why there are none."""

    done: list[T] = field(default_factory=list)
    failure: str = ""

    def figures(self, read: Callable[[T], float]) -> list[float]:
        """One figure of every repeat."""
        return [read(one) for one in self.done]


class Bench:
    """One run of the program; to be closed.

    Attributes:
        broker_is_warm: whether the broker has served enough to have compiled what it runs.
    """

    def __init__(self, options: Options, progress: Progress) -> None:
        self.options = options
        self.progress = progress
        self.broker_is_warm = False
        self._kafka: ApacheKafka | None = None
        self._step = progress.add_task("", visible=False)

    @property
    def kafka(self) -> ApacheKafka:
        """Apache Kafka, started when a row first asks.

        Raises:
            MissingPartError: there is no way to one on this machine.
        """
        if self._kafka is None:
            self.tell("starting Apache Kafka")
            way = find_kafka(self.tell)
            if isinstance(way, Jars | Container):
                way = dataclasses.replace(way, java_options=JAVA_OPTIONS)
            kafka = ApacheKafka(way, self.tell)
            self._kafka = kafka
            kafka.start()
        return self._kafka

    def about_kafka(self) -> list[str]:
        """The broker for the report; empty when no row asked for one."""
        if self._kafka is None:
            return []
        java = f", java {' '.join(JAVA_OPTIONS)}" if self._kafka.owned else ""
        return [f"Apache Kafka {self._kafka.version} on the same machine ({self._kafka.found}{java})"]

    def close(self) -> None:
        """End the broker and remove its data."""
        if self._kafka is not None:
            self._kafka.close()
            self._kafka = None

    def tell(self, line: str) -> None:
        """Say what is being done, beside the bar of the step."""
        self.progress.update(self._step, description=line, total=None, completed=0, visible=True)

    def advance(self, done: float, total: float) -> None:
        """Move the bar of the step."""
        self.progress.update(self._step, completed=done, total=total)

    def size(self, events: int, quick: int) -> int:
        """How many events: as given, or fewer in a quick run."""
        return quick if self.options.quick else events

    def alternate(
        self,
        what: str,
        ways: Mapping[str, Callable[[C], T]],
        around: Callable[[int], AbstractContextManager[C]],
    ) -> dict[str, Runs[T]]:
        """Run every way in every repeat, in an order that turns round from one repeat to the next.

        A way that fails is not run again and keeps no results; the others go on.

        Args:
            what: for the progress bar.
            ways: by row name.
            around: makes what the ways of one repeat share.
        """
        chosen = {name: way for name, way in ways.items() if self.options.wants(name)}
        found: dict[str, Runs[T]] = {name: Runs() for name in chosen}
        task = self.progress.add_task(what, total=self.options.repeats * len(chosen))
        for repeat in range(self.options.repeats):
            left = [name for name in chosen if not found[name].failure]
            if not left:
                break
            with around(repeat) as shared:
                for name in left if repeat % 2 == 0 else reversed(left):
                    self.tell(f"{name}, repeat {repeat + 1}")
                    try:
                        found[name].done.append(chosen[name](shared))
                    except NotRun as reason:
                        found[name] = Runs(failure=f"not run: {reason}")
                    except (Exception, NotInTimeError) as error:  # noqa: BLE001 - a failing row is reported as failed
                        found[name] = Runs(failure=f"failed: {error}")
                    self.progress.advance(task)
        self.progress.remove_task(task)
        return found


@contextmanager
def nothing(_repeat: int) -> Iterator[None]:
    """For ways that share nothing."""
    yield


def failures(found: Mapping[str, Runs[T]]) -> list[str]:
    """A note for every row that was not run or failed; of a log only the lines that tell why."""
    notes = []
    for name, runs in found.items():
        if runs.failure:
            lines = [line.strip() for line in runs.failure.splitlines() if line.strip()]
            # Of our own programs what and why, of others their last word.
            said = [line for line in lines[1:] if line.startswith(("error", "cause:"))] or lines[1:][-1:]
            notes.append(f"{name}: {' … '.join([lines[0], *said])[:400]}")
    return notes
