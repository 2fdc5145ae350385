"""Terminal output during a run: one progress bar for each stage, and nothing from the libraries.

The libraries print, warn and draw progress bars of their own, which would break the bars of this module.
"""

import contextlib
import io
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
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


def open_console(*, quiet: bool = False) -> Console:
    """Return the console of a run, which writes to the present standard output.

    Without a file of its own it would look up `sys.stdout` at each line, and lose the lines that it prints
    while a thread is in `no_output`. A quiet console draws no widgets in a notebook either.
    """
    return Console(file=sys.stdout, quiet=quiet, force_jupyter=False if quiet else None)


class Stages:
    """The progress bars of a run; where the output is not a terminal, the bars appear once, at the end."""

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
        """Open a bar of `total` units and return a function that takes the number of finished units."""
        task = self.open(name, total)
        return lambda done: self._bars.advance(task, done)

    def open(self, name: str, total: int) -> TaskID:
        """Open a bar for use with `set`."""
        return self._bars.add_task(name, total=total, note="")

    def set(self, task: TaskID, done: int, note: str = "", total: int | None = None) -> None:
        """Set the position of a bar and the note beside it."""
        self._bars.update(task, completed=done, total=total, note=note)


def silence_libraries() -> None:
    """Turn off the libraries' warnings, log lines and progress bars for the whole process."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    warnings.filterwarnings("ignore", module=r"(torch|transformers|accelerate|optimum|sklearn)\b.*")


@contextlib.contextmanager
def no_output() -> Iterator[None]:
    """Suppress warnings, log lines below critical, and everything that Python code prints in this block."""
    before = logging.root.manager.disable
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.ERROR)
        try:
            yield
        finally:
            logging.disable(before)
