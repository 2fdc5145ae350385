"""A real Prometheus over the project's own configuration and rules, made to look every second."""

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from tests.real.parts import MissingPartError
from tests.real.process import Child, Folder, free_ports
from tests.real.wait import until

PROGRAM = "LABELSTREAM_TEST_PROMETHEUS"
SHIPPED = Path(__file__).parents[2] / "deploy" / "prometheus"
START_S = 60.0
INTERVAL = "1s"


def find_programs() -> tuple[str, str, str]:
    """The server's command, promtool's, and how they were found.

    Raises:
        MissingPartError: one of them is not there.
    """
    named = os.environ.get(PROGRAM)
    server = shutil.which(named or "prometheus")
    if server is None:
        raise MissingPartError(
            f"{PROGRAM}={named} is no program" if named else "there is no prometheus on the PATH"
        )
    promtool = shutil.which("promtool", path=str(Path(server).parent)) or shutil.which("promtool")
    if promtool is None:
        raise MissingPartError(f"there is no promtool beside {server} or on the PATH")
    return server, promtool, PROGRAM if named else "prometheus on the PATH"


class PrometheusServer:
    """A server on a free port that keeps what it saw in a folder of its own."""

    def __init__(self) -> None:
        """Find it, without starting it.

        Raises:
            MissingPartError: it is not on this machine.
        """
        server, self.promtool, self.found = find_programs()
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self._folder = Folder("prometheus")
        self._settings = self._folder.path / "settings"
        command = [
            server,
            f"--config.file={self._settings / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder.path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        self._child = Child("Prometheus", command, self._folder.path / "log")

    @property
    def version(self) -> str:
        """Its own version."""
        return str(self.ask("status/buildinfo")["version"])

    def start(self) -> None:
        """Start it over a copy of the shipped settings in which only the two intervals differ."""
        shutil.copytree(SHIPPED, self._settings)
        config = self._settings / "prometheus.yml"
        settings = yaml.safe_load(config.read_text(encoding="utf-8"))
        settings["global"] = dict.fromkeys(settings["global"], INTERVAL)
        config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        self._child.start()

        def ready() -> bool:
            self._child.check()
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)

        until(ready, START_S, f"{self.url}/-/ready", ignoring=(OSError,))

    def scrape(self, *addresses: str) -> None:
        """Look at these host:port from now on, as a file in targets/ names them."""
        file = self._settings / "targets" / "workers.yml"
        complete = file.with_suffix(".new")
        complete.write_text(json.dumps([{"targets": list(addresses)}]))
        complete.replace(file)

    def ask(self, path: str, **parameters: str) -> Any:
        """What the HTTP API answers under /api/v1/.

        Raises:
            ValueError: Prometheus refused the question; the message says why.
        """
        words = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{words}", timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(f"{path} {parameters}: {error.read().decode()}") from error

    def values(self, expression: str) -> list[float]:
        """What an expression gives now: the value of each of its series, or the scalar's."""
        data = self.ask("query", query=expression)
        if data["resultType"] == "scalar":
            return [float(data["result"][1])]
        return [float(series["value"][1]) for series in data["result"]]

    def revive(self) -> None:
        """Started when dead, untouched when well."""
        if not self._child.alive:
            self._child.start()

    def close(self) -> None:
        """End it and remove its folder."""
        self._child.kill()
        self._folder.remove()


def promtool(program: str, *arguments: object) -> str:
    """What promtool says.

    Raises:
        AssertionError: with that, where it is not content.
    """
    run = subprocess.run(
        [program, *map(str, arguments)], check=False, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr
