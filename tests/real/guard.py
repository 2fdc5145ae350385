"""A guard process that cleans up after the tests, even when pytest is killed with SIGKILL.

The guard holds the read end of a pipe whose write end belongs to the test process. When the test process ends
in any way, the pipe closes and the guard cleans up: it kills process groups, runs commands (`docker rm`) and
removes folders. Unlike PR_SET_PDEATHSIG this works for containers, on macOS, and when the thread that started
a process ends before the process.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any


class Guard:
    """The client of the guard in the test process: registers and removes cleanups."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def add(
        self,
        key: str,
        *,
        group: int | None = None,
        command: list[str] | None = None,
        folder: Path | None = None,
    ) -> None:
        """Register a process group to kill, a command to run or a folder to remove at the end."""
        self._send({"key": key, "group": group, "command": command, "folder": folder and str(folder)})

    def drop(self, key: str) -> None:
        """Remove a cleanup. Process ids are reused, so remove a process as soon as it has ended."""
        self._send({"key": key, "drop": True})

    def _send(self, message: dict[str, Any]) -> None:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__, str(os.getpid())],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()


guard = Guard()


def _watch(parent: int) -> None:
    cleanups: dict[str, dict[str, Any]] = {}
    pending = b""
    while True:
        readable, _, _ = select.select([0], [], [], 0.5)
        data = os.read(0, 65536) if readable else b""
        pending += data
        *lines, pending = pending.split(b"\n")
        for line in lines:
            message = json.loads(line)
            if message.pop("drop", False):
                cleanups.pop(message["key"], None)
            else:
                cleanups[message["key"]] = message
        # A forked child of the test process may keep the pipe open, so the parent's id is checked too.
        if (readable and not data) or os.getppid() != parent:
            break
    for message in cleanups.values():
        if message["group"]:
            with suppress(OSError):
                os.killpg(message["group"], signal.SIGKILL)
        if message["command"]:
            with suppress(OSError, subprocess.SubprocessError):
                subprocess.run(message["command"], check=False, timeout=30, capture_output=True)
    # Folders are removed last, with retries, because a killed process may still be writing for a moment.
    for folder in filter(None, (message["folder"] for message in cleanups.values())):
        for _ in range(50):
            shutil.rmtree(folder, ignore_errors=True)
            if not Path(folder).exists():
                break
            time.sleep(0.1)


if __name__ == "__main__":
    # Ctrl-C is meant for the test process; the guard ends with the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _watch(int(sys.argv[1]))
