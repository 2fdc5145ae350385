"""Nothing that the tests start outlives them, even when pytest is killed with SIGKILL.

A guard process of a few megabytes holds the read end of a pipe whose write end lives in the test process.
When the test process ends, however it ends, the pipe closes and the guard undoes what was started: it kills
process groups, runs commands (`docker rm`) and removes folders. This works where PR_SET_PDEATHSIG does not:
for containers, on macOS, and when the thread that started a process ends before the process should.
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
    """The test process's end: `add` what has to be undone, `drop` it once it is."""

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
        """Have a process group killed, a command run or a folder removed when the test process is gone."""
        self._send({"key": key, "group": group, "command": command, "folder": folder and str(folder)})

    def drop(self, key: str) -> None:
        """What `add` named is undone already. Process ids are reused: forget a process when it has ended."""
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
    held: dict[str, dict[str, Any]] = {}
    pending = b""
    while True:
        readable, _, _ = select.select([0], [], [], 0.5)
        data = os.read(0, 65536) if readable else b""
        pending += data
        *lines, pending = pending.split(b"\n")
        for line in lines:
            message = json.loads(line)
            if message.pop("drop", False):
                held.pop(message["key"], None)
            else:
                held[message["key"]] = message
        # A forked child of the test process may hold the pipe open: the parent's id tells as well.
        if (readable and not data) or os.getppid() != parent:
            break
    for message in held.values():
        if message["group"]:
            with suppress(OSError):
                os.killpg(message["group"], signal.SIGKILL)
        if message["command"]:
            with suppress(OSError, subprocess.SubprocessError):
                subprocess.run(message["command"], check=False, timeout=30, capture_output=True)
    # Last, and more than once: a killed process may still be writing there until it is gone.
    for folder in filter(None, (message["folder"] for message in held.values())):
        for _ in range(50):
            shutil.rmtree(folder, ignore_errors=True)
            if not Path(folder).exists():
                break
            time.sleep(0.1)


if __name__ == "__main__":
    # Ctrl-C reaches the test process, which ends in its own time; the guard goes by the pipe alone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _watch(int(sys.argv[1]))
