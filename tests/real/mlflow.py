"""A real MLflow server with SQLite and its own model server, in a virtual environment of their own.

The server requires pandas below 3, and the trainer's environment has a newer one. The environment is made on
first use and kept in ~/.cache. It also holds what a worker needs, without PyTorch: models are served from it.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.real.components import MissingComponentError, Notify
from tests.real.environments import commands_of
from tests.real.process import Child, Folder, free_ports
from tests.real.wait import until

ROOT = Path(__file__).parents[2]
START_S = 180.0
INSTALL_S = 900


def environment_folder(notify: Notify) -> Path:
    """Return the virtual environment with MLflow, and make it if it is missing.

    Raises:
        MissingComponentError: the packages cannot be installed.
    """
    requirements = _requirements()
    key = sha256("\n".join([sys.version, *requirements]).encode()).hexdigest()[:16]
    cache = Path.home() / ".cache" / "labelstream-tests"
    folder, complete = cache / f"mlflow-{key}", cache / f"mlflow-{key}.complete"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if complete.exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        notify(f"installing {requirements[0]} into {folder}")
        for command in commands_of(folder, requirements):
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
            if done.returncode:
                raise MissingComponentError(f"{command[:3]} failed: {done.stderr.strip()[-300:]}")
        complete.touch()
    return folder


def _requirements() -> list[str]:
    """Return the server in the version of the client, and the dependencies of a worker."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    try:
        server = f"mlflow=={version('mlflow-skinny')}"
    except ModuleNotFoundError as error:
        raise MissingComponentError("the client, mlflow-skinny, is not installed") from error
    return [server, *project["dependencies"], *project["optional-dependencies"]["cpu"]]


class MlflowServer:
    """A tracking server with a model registry and a store of artefacts."""

    origin = "an environment of its own, from PyPI"

    def __init__(self, notify: Notify) -> None:
        """Install MLflow if that is necessary, without starting it.

        Raises:
            MissingComponentError: MLflow cannot be installed on this machine.
        """
        self._programs = environment_folder(notify) / "bin"
        self._folder = Folder("mlflow")
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        command = [
            *(str(self._programs / "mlflow"), "server", "--workers", "1"),
            *("--host", "127.0.0.1", "--port", str(port)),
            *("--backend-store-uri", f"sqlite:///{self._folder.path / 'mlflow.db'}"),
            *("--artifacts-destination", str(self._folder.path / "artefacts")),
        ]
        self._child = Child("MLflow", command, self._folder.path / "log", self._environment())

    @property
    def version(self) -> str:
        """The version of the server."""
        with urllib.request.urlopen(f"{self.url}/version", timeout=30) as response:
            return str(response.read().decode())

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._child.start()
        _wait_for(f"{self.url}/health", self._child)

    def revive(self) -> None:
        """Start the server if it has ended, and continue it if it is paused."""
        self._child.resume()
        if not self._child.alive:
            self.start()

    def pause(self) -> None:
        """Stop answering, while connections stay open; `revive` continues the server."""
        self._child.pause()

    @contextmanager
    def serve(self, model: str) -> Iterator[str]:
        """Run `mlflow models serve` for a model, and yield the URL of its endpoint."""
        (port,) = free_ports(1)
        command = [
            *(str(self._programs / "mlflow"), "models", "serve", "--model-uri", model),
            *("--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)),
        ]
        child = Child("mlflow models serve", command, self._folder.path / "serve.log", self._environment())
        child.start()
        try:
            _wait_for(f"http://127.0.0.1:{port}/ping", child)
            yield f"http://127.0.0.1:{port}/invocations"
        finally:
            child.kill()

    def close(self) -> None:
        """Stop the server and remove its folder."""
        self._child.kill()
        self._folder.remove()

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self._programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "MLFLOW_TRACKING_URI": self.url,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            # bf16, which `auto` chooses on some CPUs, rounds differently in batches of another size.
            "LABELSTREAM_VARIANT": "fp32",
            # Two more processes, which only evaluations of language models use.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }


def invoke(url: str, rows: list[dict[str, Any]]) -> Any:
    """Send rows to a served model, and return its predictions."""
    body = json.dumps({"dataframe_records": rows}).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)["predictions"]


def _wait_for(url: str, child: Child) -> None:
    def ready() -> bool:
        child.check()
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)

    until(ready, START_S, url, ignoring=(OSError,))
