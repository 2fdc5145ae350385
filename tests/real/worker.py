"""A worker as users run it: `labelstream worker` in its own process."""

import json
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

from tests.real.process import Child, EndedError, Folder, free_ports
from tests.real.wait import until

READY_S = 60.0


class WorkerProcess:
    """A worker process with one route; settings are passed as keyword arguments."""

    def __init__(
        self,
        broker: str,
        bundle: Path | str,
        route: str,
        group: str | None = None,
        python: Path = Path(sys.executable),
        cwd: Path | None = None,
        program: tuple[str, ...] = ("stream", "worker"),
        env: Mapping[str, str] | None = None,
        **settings: object,
    ) -> None:
        """Prepare the process without starting it.

        Args:
            broker: the bootstrap servers.
            bundle: the folder of the bundle, or a reference.
            route: the input topic; the output topics are ROUTE.labels and ROUTE.dead.
            group: the consumer group; by default named after the route.
            python: the Python interpreter of the process.
            cwd: the working folder of the process.
            program: the module to run, and the words before its flags.
            env: further environment variables of the process.
            settings: further settings by name; `config` is a file that describes the routes.
        """
        self.route = route
        self.labels, self.dead = f"{route}.labels", f"{route}.dead"
        self.group = group or f"group-{route}"
        (self.port,) = free_ports(1)
        self.folder = Folder("worker")
        of_route = {
            "bundle": bundle,
            "input_topic": route,
            "output_topic": self.labels,
            "dead_topic": self.dead,
        }
        all_settings: dict[str, object] = {
            "broker": broker,
            # Several routes in a settings file have topics and bundles of their own.
            **({} if "config" in settings else of_route),
            "group": self.group,
            "web_port": self.port,
            "log_level": "info",
            "retry_deadline_s": 30,
            # Tests compare labels with those of fp32 to five digits, so other variants are excluded.
            "device": "cpu",
            "variant": "fp32",
            **settings,
        }
        flags = [
            part
            for name, value in all_settings.items()
            for part in (f"--{name.replace('_', '-')}", str(value))
        ]
        self._child = Child(
            "labelstream worker",
            [str(python), "-m", *program, *flags],
            self.folder.path / "log",
            dict(env or {}),
        )

    def start(self, ready: bool = True) -> Self:
        """Start the worker, and by default wait until it is ready."""
        self._child.start()
        if ready:
            self.await_ready(READY_S)
        return self

    def await_ready(self, deadline_s: float) -> None:
        """Wait until the worker is ready, which includes joining its group."""
        until(self._ready, deadline_s, "the worker's /ready")

    def _ready(self) -> bool:
        self._child.check()
        try:
            self._get("/ready")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        return True

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as response:
            text: str = response.read().decode()
            return text

    def health(self, path: str) -> tuple[int, dict[str, Any]]:
        """Return the HTTP status and the checks of /live or /ready."""
        try:
            return 200, json.loads(self._get(path))
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def info(self) -> dict[str, Any]:
        """Return the JSON document of /info."""
        parsed: dict[str, Any] = json.loads(self._get("/info"))
        return parsed

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of the samples with this name and these labels; 0 if there are none."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self._get("/metrics"))
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._child.pid

    def check(self) -> None:
        """Raise EndedError with the end of the log if the worker has ended."""
        self._child.check()

    def exposition(self) -> str:
        """Return the text of /metrics."""
        return self._get("/metrics")

    def kill(self) -> None:
        """Send SIGKILL."""
        self._child.kill()

    def toggle_debug(self) -> None:
        """Send SIGUSR1."""
        os.kill(self.pid, signal.SIGUSR1)

    def pause(self) -> None:
        """Send SIGSTOP."""
        self._child.pause()

    def resume(self) -> None:
        """Send SIGCONT."""
        self._child.resume()

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        self._child.stop(60)
        return self.exit_code

    def await_exit(self, deadline_s: float) -> int:
        """Wait until the worker ends by itself and return the exit code."""
        until(lambda: not self._child.alive, deadline_s, "the worker's end")
        return self.exit_code

    @property
    def ended(self) -> bool:
        """Whether the worker has ended by itself."""
        return not self._child.alive

    @property
    def exit_code(self) -> int:
        process = self._child._process
        assert process is not None
        assert process.returncode is not None
        return process.returncode

    def log_lines(self) -> list[dict[str, Any]]:
        """Return the complete JSON lines of the log."""
        parsed = []
        for line in self.log.splitlines():
            with suppress(json.JSONDecodeError):
                parsed.append(json.loads(line))
        return [line for line in parsed if isinstance(line, dict)]

    @property
    def log(self) -> str:
        """The complete output."""
        return self._child.log.read_text(errors="replace") if self._child.log.exists() else ""

    def close(self) -> None:
        """Kill the worker and remove its folder."""
        self._child.kill()
        self.folder.remove()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, EndedError):
            error.add_note(f"end of the worker's log:\n{self._child.tail(40)}")
        self.close()
