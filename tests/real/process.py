"""Processes of the tests: each in a group of its own, with its output in a file, never left behind."""

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
    """A short temporary folder (unix sockets allow about 100 characters) that goes when the tests go."""

    def __init__(self, stem: str) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=f"ls-{stem}-"))
        guard.add(str(self.path), folder=self.path)

    def remove(self) -> None:
        """Remove it now."""
        shutil.rmtree(self.path, ignore_errors=True)
        guard.drop(str(self.path))


class Child:
    """A process that can be started again with the same command after it was stopped or killed."""

    def __init__(self, name: str, command: list[str], log: Path, env: dict[str, str] | None = None) -> None:
        self.name = name
        self.command = command
        self.log = log
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process's id, which is its group's as well."""
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs (paused counts as running)."""
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """Its exit code; None while it runs or before it was started."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start it; readiness is the caller's to judge."""
        assert not self.alive, f"{self.name} runs already"
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
        """SIGTERM, and failure when that does not end it in time."""
        if not self.alive:
            return
        self.resume()
        self._signal(signal.SIGTERM)
        until(lambda: not self.alive, deadline_s, f"end of {self.name} after SIGTERM")
        guard.drop(str(self.pid))

    def kill(self) -> None:
        """SIGKILL to the whole group: returns when the process is gone and reaped."""
        if not self.alive:
            return
        assert self._process is not None
        self._signal(signal.SIGKILL)
        self._process.wait()
        guard.drop(str(self.pid))

    def pause(self) -> None:
        """SIGSTOP: its connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT; harmless when it is not paused."""
        self._signal(signal.SIGCONT)

    def check(self) -> None:
        """Raise with the log's end when it ended by itself: to be called while waiting for readiness."""
        if self._process is not None and self._process.poll() is not None:
            raise EndedError(f"{self.name} ended with {self._process.returncode}:\n{self.tail()}")

    def tail(self, lines: int = 30) -> str:
        """The end of its output."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _signal(self, number: signal.Signals) -> None:
        # Only while we have not reaped it: afterwards the id may be somebody else's.
        if self.alive:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)


class EndedError(RuntimeError):
    """A component's process ended before it was ready."""


def pid_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie; for processes that are not our children."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        if stat.parent.parent.joinpath("self").exists():
            return stat.read_text().rpartition(")")[2].split()[0] != "Z"
        os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return True


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody listens on.

    Taken from below the range that the system gives to outgoing connections: otherwise, while a broker is
    down, a client that keeps reconnecting can be given the broker's own port and keep it from starting again.
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
