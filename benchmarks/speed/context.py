"""State that all groups share: options, broker, progress display, and the alternating order of systems."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from rich.progress import Progress

from tests.real.kafka import ApacheKafka
from tests.real.kafka_sources import Container, Jars, find_kafka
from tests.real.wait import NotInTimeError

C = TypeVar("C")
T = TypeVar("T")

# The tests start the JVM for a fast start; the benchmarks use settings closer to production.
JAVA_OPTIONS = ("-Xms1g", "-Xmx1g", "-XX:+UseG1GC")


class NotRun(Exception):
    """A row that cannot run on this machine; the message gives the reason."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the command line.

    Attributes:
        repeats: the number of runs of every row.
        quick: run few events to try the program; the figures are meaningless.
        device: cpu or cuda.
        data: the folder of real texts, or None for the packaged sample.
        work: the folder in which bundles are kept between runs.
        compression: the compression of all produced records, for all systems.
        rows: substrings of row names that select rows; empty for all rows.
    """

    repeats: int
    quick: bool
    device: str
    data: Path | None
    work: Path
    compression: str
    rows: tuple[str, ...] = ()

    def wants(self, row: str) -> bool:
        """Return whether a row is selected."""
        return not self.rows or any(part.lower() in row.lower() for part in self.rows)


@dataclass(slots=True)
class Runs(Generic[T]):
    """The results of one row, one per repeat, or the reason of its failure."""

    done: list[T] = field(default_factory=list)
    failure: str = ""

    def figures(self, read: Callable[[T], float]) -> list[float]:
        """Return one figure of each repeat."""
        return [read(result) for result in self.done]


class Bench:
    """One run of the benchmark program.

    Attributes:
        broker_is_warm: whether the broker's JVM has compiled its request handling.
    """

    def __init__(self, options: Options, progress: Progress) -> None:
        self.options = options
        self.progress = progress
        self.broker_is_warm = False
        self._kafka: ApacheKafka | None = None
        self._step = progress.add_task("", visible=False)

    @property
    def kafka(self) -> ApacheKafka:
        """Apache Kafka, started on first use.

        Raises:
            MissingComponentError: Apache Kafka is not available on this machine.
        """
        if self._kafka is None:
            self.show_step("starting Apache Kafka")
            source = find_kafka(self.show_step)
            if isinstance(source, Jars | Container):
                source = dataclasses.replace(source, java_options=JAVA_OPTIONS)
            kafka = ApacheKafka(source, self.show_step)
            self._kafka = kafka
            kafka.start()
        return self._kafka

    def describe_kafka(self) -> list[str]:
        """Describe the broker for the report; empty if no row used one."""
        if self._kafka is None:
            return []
        java = f", java {' '.join(JAVA_OPTIONS)}" if self._kafka.owned else ""
        return [f"Apache Kafka {self._kafka.version} on the same machine ({self._kafka.origin}{java})"]

    def close(self) -> None:
        """Stop the broker and remove its data."""
        if self._kafka is not None:
            self._kafka.close()
            self._kafka = None

    def show_step(self, step: str) -> None:
        """Show the current step in the progress display."""
        self.progress.update(self._step, description=step, total=None, completed=0, visible=True)

    def advance(self, done: float, total: float) -> None:
        """Advance the progress bar of the current step."""
        self.progress.update(self._step, completed=done, total=total)

    def size(self, events: int, quick: int) -> int:
        """Return the number of events: the given one, or a smaller one in a quick run."""
        return quick if self.options.quick else events

    def alternate(
        self,
        description: str,
        systems: Mapping[str, Callable[[C], T]],
        resources: Callable[[int], AbstractContextManager[C]],
    ) -> dict[str, Runs[T]]:
        """Run every system in every repeat, in an order that is reversed from one repeat to the next.

        A system that fails is not run again and loses its results; the others continue.

        Args:
            description: the description in the progress display.
            systems: the systems by row name.
            resources: a context manager for the resources that the systems of one repeat share.
        """
        selected = {name: system for name, system in systems.items() if self.options.wants(name)}
        results: dict[str, Runs[T]] = {name: Runs() for name in selected}
        task = self.progress.add_task(description, total=self.options.repeats * len(selected))
        for repeat in range(self.options.repeats):
            remaining = [name for name in selected if not results[name].failure]
            if not remaining:
                break
            with resources(repeat) as shared:
                for name in remaining if repeat % 2 == 0 else reversed(remaining):
                    self.show_step(f"{name}, repeat {repeat + 1}")
                    try:
                        results[name].done.append(selected[name](shared))
                    except NotRun as reason:
                        results[name] = Runs(failure=f"not run: {reason}")
                    except (Exception, NotInTimeError) as error:  # noqa: BLE001 - a failing row is reported as failed
                        results[name] = Runs(failure=f"failed: {error}")
                    self.progress.advance(task)
        self.progress.remove_task(task)
        return results


@contextmanager
def no_resources(_repeat: int) -> Iterator[None]:
    """Provide no shared resources."""
    yield


def failure_notes(results: Mapping[str, Runs[T]]) -> list[str]:
    """Return a note for each row that was skipped or failed, with the relevant lines of its log."""
    notes = []
    for name, runs in results.items():
        if runs.failure:
            lines = [line.strip() for line in runs.failure.splitlines() if line.strip()]
            # Our programs print error and cause; of other programs the last line is the best summary.
            summary = [line for line in lines[1:] if line.startswith(("error", "cause:"))] or lines[1:][-1:]
            notes.append(f"{name}: {' … '.join([lines[0], *summary])[:400]}")
    return notes
