"""Processes of the tests, each in its own process group and with its output in a file."""

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.real.guard import guard
from tests.real.wait import until


class Folder:
    """A temporary folder with a short path, since unix sockets allow about 100 characters."""

    def __init__(self, stem: str) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=f"ls-{stem}-"))
        guard.add(str(self.path), folder=self.path)

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.path, ignore_errors=True)
        guard.drop(str(self.path))


class Child:
    """A process that can be restarted with the same command."""

    def __init__(self, name: str, command: list[str], log: Path, env: dict[str, str] | None = None) -> None:
        self.name = name
        self.command = command
        self.log = log
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The id of the process and of its group."""
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process is running or paused."""
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """The exit code; None while the process runs or before it was started."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start the process; the caller waits for its readiness."""
        assert not self.alive, f"{self.name} is already running"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **(self._env or {})},
            )
        guard.add(str(self.pid), group=self.pid)

    def stop(self, deadline_s: float = 30) -> None:
        """Send SIGTERM, and fail if the process does not end in time."""
        if not self.alive:
            return
        self.resume()
        self._signal(signal.SIGTERM)
        until(lambda: not self.alive, deadline_s, f"end of {self.name} after SIGTERM")
        guard.drop(str(self.pid))

    def kill(self) -> None:
        """Send SIGKILL to the whole group and wait until the process is reaped."""
        if not self.alive:
            return
        assert self._process is not None
        self._signal(signal.SIGKILL)
        self._process.wait()
        guard.drop(str(self.pid))

    def pause(self) -> None:
        """Send SIGSTOP: connections stay open but nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Send SIGCONT; does nothing if the process is not paused."""
        self._signal(signal.SIGCONT)

    def check(self) -> None:
        """Raise EndedError with the end of the log if the process has ended."""
        if self._process is not None and self._process.poll() is not None:
            raise EndedError(f"{self.name} ended with {self._process.returncode}:\n{self.tail()}")

    def tail(self, lines: int = 30) -> str:
        """Return the last lines of the output."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _signal(self, number: signal.Signals) -> None:
        # After the process is reaped its id may belong to another process.
        if self.alive:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)


class EndedError(RuntimeError):
    """A process ended unexpectedly."""


def pid_alive(pid: int) -> bool:
    """Return whether a process, which need not be a child of ours, exists and is not a zombie."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        if stat.parent.parent.joinpath("self").exists():
            return stat.read_text().rpartition(")")[2].split()[0] != "Z"
        os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return True


def free_ports(count: int) -> list[int]:
    """Return free ports on loopback.

    The ports are below the range of outgoing connections. Otherwise a client that reconnects to a stopped
    broker could be assigned the broker's own port and prevent its restart.
    """
    limits = Path("/proc/sys/net/ipv4/ip_local_port_range")
    end = int(limits.read_text().split()[0]) if limits.exists() else 32768
    candidates = range(max(1024, end - 15000), end) if end > 2048 else range(20000, 60000)
    ports: list[int] = []
    for port in random.sample(candidates, 200):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            ports.append(port)
        if len(ports) == count:
            return ports
    raise EndedError("no free ports on 127.0.0.1")
