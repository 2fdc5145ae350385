"""Processes that are measured or asked: their CPU time, their memory, their answer."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.speed.stats import Sample
from tests.real.process import Child, EndedError, Folder
from tests.real.wait import until

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def sample(pid: int, at_s: float, events: int) -> Sample:
    """What Linux knows of a process now, all its threads together, in ticks of 10 ms.

    Raises:
        EndedError: it is gone.
    """
    try:
        # The second field is the program's name in brackets, in which there may be spaces.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        raise EndedError(f"process {pid} is gone") from None
    cpu_s = (int(fields[11]) + int(fields[12])) * _TICK_S
    return Sample(at_s, events, cpu_s, int(fields[21]) * _PAGE_BYTES)


def ask(module: str, *arguments: object, deadline_s: float = 900) -> dict[str, Any]:
    """Run a module of ours in a process of its own; the last line that it prints is its answer, in JSON.

    Raises:
        EndedError: it failed; the end of its output is told.
    """
    folder = Folder("bench")
    child = Child(module, [sys.executable, "-m", module, *map(str, arguments)], folder.path / "log")
    try:
        child.start()
        until(lambda: not child.alive, deadline_s, f"the end of {module}")
        lines = child.tail(1)
        if child.returncode != 0:
            raise EndedError(f"{module} ended with {child.returncode}:\n{child.tail()}")
        answer: dict[str, Any] = json.loads(lines)
        return answer
    finally:
        child.kill()
        folder.remove()
