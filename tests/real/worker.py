"""A worker as a user runs it: `labelstream worker` in a process of its own."""

import json
import os
import signal
import sys
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

from tests.real.process import Child, EndedError, Folder, free_ports
from tests.real.wait import until

READY_S = 60.0


class WorkerProcess:
    """A worker on a route of its own; settings are given as keyword arguments."""

    def __init__(
        self,
        broker: str,
        bundle: Path,
        route: str,
        group: str | None = None,
        python: Path = Path(sys.executable),
        cwd: Path | None = None,
        program: tuple[str, ...] = ("stream", "worker"),
        **settings: object,
    ) -> None:
        """
        Args:
            broker: bootstrap servers.
            bundle: a bundle's folder.
            route: the input topic; the others are ROUTE.labels and ROUTE.dead.
            group: consumer group; by default named after the route.
            python: the interpreter, and so the environment, that runs it.
            cwd: the folder it runs in.
            program: the module that is run, and what stands before the flags.
            settings: any other setting by its name.
        """
        self.route = route
        self.labels, self.dead = f"{route}.labels", f"{route}.dead"
        self.group = group or f"group-{route}"
        (self.port,) = free_ports(1)
        self.folder = Folder("worker")
        given: dict[str, object] = {
            "broker": broker,
            "bundle": bundle,
            "input_topic": route,
            "output_topic": self.labels,
            "dead_topic": self.dead,
            "group": self.group,
            "web_port": self.port,
            "log_level": "info",
            "retry_deadline_s": 30,
            # Labels are compared with fp32's to five digits, whatever else this machine could run faster.
            "device": "cpu",
            "variant": "fp32",
            **settings,
        }
        flags = [
            part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value))
        ]
        self._child = Child(
            "labelstream worker", [str(python), "-m", *program, *flags], self.folder.path / "log"
        )

    def start(self, ready: bool = True) -> Self:
        """Start, and by default wait until it has joined its group."""
        self._child.start()
        if ready:
            self.await_ready(READY_S)
        return self

    def await_ready(self, deadline_s: float) -> None:
        """Wait until it has joined its group."""
        until(self._ready, deadline_s, "the worker's /ready")

    def _ready(self) -> bool:
        self._child.check()
        try:
            self._get("/ready")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        return True

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            text: str = answer.read().decode()
            return text

    def health(self, path: str) -> tuple[int, dict[str, Any]]:
        """What /live or /ready answers: the status, and the checks."""
        try:
            return 200, json.loads(self._get(path))
        except urllib.error.HTTPError as refused:
            return refused.code, json.loads(refused.read())

    def info(self) -> dict[str, Any]:
        """What /info tells."""
        found: dict[str, Any] = json.loads(self._get("/info"))
        return found

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name and these labels; 0 when there is none."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self._get("/metrics"))
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._child.pid

    def check(self) -> None:
        """Raise with the log's end when it ended by itself."""
        self._child.check()

    def exposition(self) -> str:
        """The text of /metrics."""
        return self._get("/metrics")

    def kill(self) -> None:
        """kill -9."""
        self._child.kill()

    def toggle_debug(self) -> None:
        """SIGUSR1."""
        os.kill(self.pid, signal.SIGUSR1)

    def pause(self) -> None:
        """SIGSTOP."""
        self._child.pause()

    def resume(self) -> None:
        """SIGCONT."""
        self._child.resume()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self._child.stop(60)
        return self.exit_code

    def await_exit(self, deadline_s: float) -> int:
        """Wait until it ends by itself; returns the exit code."""
        until(lambda: not self._child.alive, deadline_s, "the worker's end")
        return self.exit_code

    @property
    def exit_code(self) -> int:
        process = self._child._process
        assert process is not None
        assert process.returncode is not None
        return process.returncode

    def log_lines(self) -> list[dict[str, Any]]:
        """The lines of its log that are JSON and whole."""
        found = []
        for line in self.log.splitlines():
            with suppress(json.JSONDecodeError):
                found.append(json.loads(line))
        return [line for line in found if isinstance(line, dict)]

    @property
    def log(self) -> str:
        """All its output."""
        return self._child.log.read_text(errors="replace") if self._child.log.exists() else ""

    def close(self) -> None:
        """Leave nothing behind."""
        self._child.kill()
        self.folder.remove()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, EndedError):
            error.add_note(f"the worker's log ends:\n{self._child.tail(40)}")
        self.close()
