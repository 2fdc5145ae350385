"""What a run of the stack took and found: kept while the tests go, written as tables of docs/compose.md."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.speed.machine import cpu_model, usable_cores
from benchmarks.speed.report import Table, merge

TARGET = "LABELSTREAM_TEST_COMPOSE_LOG"
KIND = "compose"
SECTIONS = ("run", "tutorial")


@dataclass
class Step:
    """One row of a section: what was done, how long it took, what was found."""

    section: str
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
    def step(self, what: str, section: str = "run") -> Iterator[Step]:
        """Time what is done inside; a step that fails is not in the journal."""
        begun = time.monotonic()
        step = Step(section, what)
        yield step
        step.seconds = time.monotonic() - begun
        self.steps.append(step)

    def markdown(self, section: str) -> str:
        """A section's table, and where its figures come from."""
        rows = [[s.what, f"{s.seconds:.1f} s", s.found] for s in self.steps if s.section == section]
        tables = [Table("", ["step", "time", "found"], rows).markdown()]
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
        """Put the tables between their marks in the file that $LABELSTREAM_TEST_COMPOSE_LOG names, if any."""
        if target := os.environ.get(TARGET):
            path = Path(target)
            told = {
                name: self.markdown(name) for name in SECTIONS if any(s.section == name for s in self.steps)
            }
            document = merge(path.read_text(encoding="utf-8"), told, SECTIONS, KIND)
            path.write_text(document, encoding="utf-8")
