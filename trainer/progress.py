"""One bar per stage: steps, loss and the time that is left."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Stages:
    """The bars of a run; on something that is not a terminal they appear once, at the end."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bars = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def stage(self, name: str, total: int) -> Callable[[int], None]:
        """Open a bar of `total` units; returns what is told of the units that were done."""
        task = self.open(name, total)
        return lambda done: self._bars.advance(task, done)

    def open(self, name: str, total: int) -> TaskID:
        """Open a bar that `set` moves."""
        return self._bars.add_task(name, total=total, note="")

    def set(self, task: TaskID, done: int, note: str = "", total: int | None = None) -> None:
        """Move a bar, and say something beside it."""
        self._bars.update(task, completed=done, total=total, note=note)
