"""The journal of a run of the stack: steps, durations and results, for the tables of docs/compose.md."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.speed.report import Table, merge
from tests.real.machine import cpu_model, usable_cores

TARGET = "LABELSTREAM_TEST_COMPOSE_LOG"
KIND = "compose"
SECTIONS = ("run", "tutorial")


@dataclass
class Step:
    """One row of a section: the step, its duration and its result."""

    section: str
    what: str
    seconds: float = 0.0
    result: str = ""


@dataclass
class Journal:
    """The steps of a run in order.

    Attributes:
        versions: of engine, Compose and images.
        sizes: image → bytes.
    """

    steps: list[Step] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def step(self, what: str, section: str = "run") -> Iterator[Step]:
        """Time the step inside the context, and record it unless it fails."""
        started = time.monotonic()
        step = Step(section, what)
        yield step
        step.seconds = time.monotonic() - started
        self.steps.append(step)

    def markdown(self, section: str) -> str:
        """Return a section's table and the source of its figures."""
        rows = [[s.what, f"{s.seconds:.1f} s", s.result] for s in self.steps if s.section == section]
        tables = [Table("", ["step", "time", "result"], rows).markdown()]
        if section == SECTIONS[0]:
            sizes = [[name, f"{size / 1e6:,.0f} MB"] for name, size in self.sizes.items()]
            tables.append(Table("", ["image", "size"], sizes).markdown())
        parts = [
            f"{datetime.now(UTC):%Y-%m-%d}",
            f"{usable_cores()} cores of {cpu_model()}, shared with other work",
            *self.versions,
        ]
        return "\n\n".join([*tables, f"<sub>{'; '.join(parts)}. `make compose-log`</sub>"])

    def write(self) -> None:
        """Write the tables between their marks in the file $LABELSTREAM_TEST_COMPOSE_LOG, if it is set."""
        if target := os.environ.get(TARGET):
            path = Path(target)
            tables = {
                name: self.markdown(name) for name in SECTIONS if any(s.section == name for s in self.steps)
            }
            document = merge(path.read_text(encoding="utf-8"), tables, SECTIONS, KIND)
            path.write_text(document, encoding="utf-8")
