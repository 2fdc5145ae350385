"""Processes of the benchmarks: CPU time, memory, and the JSON output of our own modules."""

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
    """Read CPU time (resolution 10 ms) and resident memory of a process, over all its threads, from /proc.

    Raises:
        EndedError: the process has ended.
    """
    try:
        # The second field is the program's name in parentheses, which may contain spaces.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        raise EndedError(f"process {pid} has ended") from None
    cpu_s = (int(fields[11]) + int(fields[12])) * _TICK_S
    return Sample(at_s, events, cpu_s, int(fields[21]) * _PAGE_BYTES)


def run_module(module: str, *arguments: object, deadline_s: float = 900) -> dict[str, Any]:
    """Run one of our modules in its own process and return its last line of output, parsed as JSON.

    Raises:
        EndedError: the module failed; the message contains the end of its output.
    """
    folder = Folder("bench")
    child = Child(module, [sys.executable, "-m", module, *map(str, arguments)], folder.path / "log")
    try:
        child.start()
        until(lambda: not child.alive, deadline_s, f"the end of {module}")
        last_line = child.tail(1)
        if child.returncode != 0:
            raise EndedError(f"{module} ended with {child.returncode}:\n{child.tail()}")
        result: dict[str, Any] = json.loads(last_line)
        return result
    finally:
        child.kill()
        folder.remove()
