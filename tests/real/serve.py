"""`labelstream serve` as a process."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.real.process import Child, Folder, free_ports
from tests.real.wait import until

START_S = 60
CLASSIFY_PATH = "/v1/classify"


class ServerProcess(Child):
    """`labelstream serve` in a process.

    Attributes:
        port: its port.
        url: its address.
    """

    def __init__(self, bundle: Path, folder: Folder, *flags: object) -> None:
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        command = [
            sys.executable,
            "-m",
            "stream",
            "serve",
            bundle,
            "--device",
            "cpu",
            "--web-port",
            self.port,
        ]
        super().__init__("the server", [*map(str, (*command, *flags))], folder.path / "log")

    def get(self, path: str, **arguments: Any) -> httpx.Response:
        """Send a GET request."""
        return httpx.get(self.url + path, **arguments)

    def classify(self, body: Any, **arguments: Any) -> httpx.Response:
        """Send a body to /v1/classify."""
        return httpx.post(self.url + CLASSIFY_PATH, json=body, **arguments)

    def is_ready(self) -> bool:
        """Return whether /ready answers 200."""
        self.check()
        return self.get("/ready").status_code == 200


@contextmanager
def server_process(bundle: Path, *flags: object) -> Iterator[ServerProcess]:
    """Start a server, and wait until it is ready."""
    folder = Folder("serve")
    server = ServerProcess(bundle, folder, *flags)
    try:
        server.start()
        until(server.is_ready, START_S, "the readiness of the server", ignoring=(httpx.TransportError,))
        yield server
    finally:
        server.kill()
        folder.remove()
