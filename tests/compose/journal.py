"""What a run of the stack took and found: kept while the tests go, written as tables of docs/compose.md."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.machine import cpu_model, usable_cores
from tests.bench.report import Table, merge

TARGET = "LABELSTREAM_TEST_COMPOSE_LOG"
KIND = "compose"


@dataclass
class Step:
    """One row: what was done, how long it took, what was found."""

    what: str
    seconds: float = 0.0
    found: str = ""


@dataclass
class Journal:
    """All of a run, in order.

    Attributes:
        versions: of engine, Compose and images.
        sizes: image → bytes.
    """

    steps: list[Step] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def step(self, what: str) -> Iterator[Step]:
        """Time what is done inside; a step that fails is not in the journal."""
        begun = time.monotonic()
        step = Step(what)
        yield step
        step.seconds = time.monotonic() - begun
        self.steps.append(step)

    def markdown(self) -> str:
        """The tables, and where the figures come from."""
        rows = [[s.what, f"{s.seconds:.1f} s", s.found] for s in self.steps]
        run = Table("", ["step", "time", "found"], rows).markdown()
        images = Table("", ["image", "size"], [[n, f"{b / 1e6:,.0f} MB"] for n, b in self.sizes.items()])
        parts = [
            f"{datetime.now(UTC):%Y-%m-%d}",
            f"{usable_cores()} cores of {cpu_model()}, shared with other work",
            *self.versions,
        ]
        return "\n\n".join([run, images.markdown(), f"<sub>{'; '.join(parts)}. `make compose-log`</sub>"])

    def write(self) -> None:
        """Put the tables between their marks in the file that $LABELSTREAM_TEST_COMPOSE_LOG names, if any."""
        if target := os.environ.get(TARGET):
            path = Path(target)
            path.write_text(
                merge(path.read_text(encoding="utf-8"), {"run": self.markdown()}, ["run"], KIND),
                encoding="utf-8",
            )
