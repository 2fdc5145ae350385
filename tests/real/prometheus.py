"""A real Prometheus with the project's configuration and rules, and a scrape interval of one second."""

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

from tests.real.components import MissingComponentError
from tests.real.process import Child, Folder, free_ports
from tests.real.wait import until

PROGRAM = "LABELSTREAM_TEST_PROMETHEUS"
SHIPPED = Path(__file__).parents[2] / "deploy" / "prometheus"
START_S = 60.0
INTERVAL = "1s"


def find_programs() -> tuple[str, str, str]:
    """Return the commands of the server and of promtool, and their origin.

    Raises:
        MissingComponentError: one of the commands is missing.
    """
    named = os.environ.get(PROGRAM)
    server = shutil.which(named or "prometheus")
    if server is None:
        raise MissingComponentError(
            f"{PROGRAM}={named} is not a program" if named else "there is no prometheus on the PATH"
        )
    promtool = shutil.which("promtool", path=str(Path(server).parent)) or shutil.which("promtool")
    if promtool is None:
        raise MissingComponentError(f"there is no promtool beside {server} or on the PATH")
    return server, promtool, PROGRAM if named else "prometheus on the PATH"


class PrometheusServer:
    """A server on a free port with its own data folder."""

    def __init__(self) -> None:
        """Find Prometheus without starting it.

        Raises:
            MissingComponentError: Prometheus is not available on this machine.
        """
        server, self.promtool, self.origin = find_programs()
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
        """The version of the server."""
        return str(self.ask("status/buildinfo")["version"])

    def start(self) -> None:
        """Start the server with a copy of the shipped settings in which only the intervals differ."""
        shutil.copytree(SHIPPED, self._settings)
        config = self._settings / "prometheus.yml"
        settings = yaml.safe_load(config.read_text(encoding="utf-8"))
        settings["global"] = dict.fromkeys(settings["global"], INTERVAL)
        config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        self._child.start()

        def ready() -> bool:
            self._child.check()
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as response:
                return bool(response.status == 200)

        until(ready, START_S, f"{self.url}/-/ready", ignoring=(OSError,))

    def scrape(self, *addresses: str) -> None:
        """Scrape the given host:port addresses from now on, configured by a file in targets/."""
        file = self._settings / "targets" / "workers.yml"
        complete = file.with_suffix(".new")
        complete.write_text(json.dumps([{"targets": list(addresses)}]))
        complete.replace(file)

    def ask(self, path: str, **parameters: str) -> Any:
        """Send a request to the HTTP API under /api/v1/ and return the data.

        Raises:
            ValueError: Prometheus rejected the request; the message contains the reason.
        """
        encoded = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{encoded}", timeout=30) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(f"{path} {parameters}: {error.read().decode()}") from error

    def values(self, expression: str) -> list[float]:
        """Evaluate an expression now and return the value of each series, or of the scalar."""
        data = self.ask("query", query=expression)
        if data["resultType"] == "scalar":
            return [float(data["result"][1])]
        return [float(series["value"][1]) for series in data["result"]]

    def revive(self) -> None:
        """Start the server if it has ended."""
        if not self._child.alive:
            self._child.start()

    def close(self) -> None:
        """Stop the server and remove its folder."""
        self._child.kill()
        self._folder.remove()


def promtool(program: str, *arguments: object) -> str:
    """Run promtool and return its output.

    Raises:
        AssertionError: promtool failed; the message contains its output.
    """
    run = subprocess.run(
        [program, *map(str, arguments)], check=False, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr
