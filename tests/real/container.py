"""Containers of the official Apache Kafka image, with the interface of a Child."""

import os
import shutil
import subprocess
import uuid

from tests.real.components import MissingComponentError, Notify
from tests.real.guard import guard
from tests.real.process import EndedError

ANSWER_S = 5
PULL_S = 60


def find_engine(image: str, notify: Notify) -> str:
    """Find the `docker` command, and pull the image if the engine lacks it.

    Raises:
        MissingComponentError: there is no command, its engine does not answer, or the pull failed.
    """
    docker = shutil.which("docker")
    if docker is None:
        raise MissingComponentError("there is no docker command")
    if not _succeeds([docker, "info"], ANSWER_S):
        raise MissingComponentError("`docker info` does not answer")
    if not _succeeds([docker, "image", "inspect", image], ANSWER_S):
        notify(f"pulling {image}, once per machine")
        if not _succeeds([docker, "pull", "--quiet", image], PULL_S):
            raise MissingComponentError(
                f"the engine has no image {image} and did not pull it within {PULL_S} s"
            )
    return docker


def _succeeds(command: list[str], timeout_s: float) -> bool:
    try:
        return subprocess.run(command, check=False, capture_output=True, timeout=timeout_s).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


class ContainerChild:
    """A container on the host's network; it keeps its data until `remove`."""

    def __init__(self, engine: str, image: str, environment: dict[str, str]) -> None:
        self.name = f"labelstream-test-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._engine = engine
        self._image = image
        self._environment = environment
        self._created = False

    @property
    def alive(self) -> bool:
        """Whether the container is running or paused."""
        return self._created and self._state("Running")

    def start(self) -> None:
        """Create the container at the first call, start it again at later ones."""
        if self._created:
            self._run("start", self.name)
            return
        guard.add(self.name, command=[self._engine, "rm", "-f", "-v", self.name])
        settings = [word for name, value in self._environment.items() for word in ("-e", f"{name}={value}")]
        self._run("run", "-d", "--name", self.name, "--network", "host", *settings, self._image)
        self._created = True

    def stop(self, deadline_s: float = 30) -> None:
        """Send SIGTERM; the engine kills the container at the deadline."""
        if self.alive:
            self.resume()
            self._run("stop", "-t", f"{deadline_s:.0f}", self.name)

    def kill(self) -> None:
        """Send SIGKILL."""
        if self.alive:
            self._run("kill", self.name)

    def pause(self) -> None:
        """Freeze the processes."""
        self._run("pause", self.name)

    def resume(self) -> None:
        """Resume the processes; does nothing if the container is not paused."""
        if self._state("Paused"):
            self._run("unpause", self.name)

    def check(self) -> None:
        """Raise EndedError with the end of the log if the container has ended."""
        if not self.alive:
            raise EndedError(f"container {self.name} ended:\n{self.tail()}")

    def tail(self, lines: int = 30) -> str:
        """Return the last lines of the output."""
        return self._run("logs", "--tail", str(lines), self.name)

    def remove(self) -> None:
        """Stop the container and remove its data."""
        _succeeds([self._engine, "rm", "-f", "-v", self.name], 60)
        guard.drop(self.name)

    def _state(self, name: str) -> bool:
        return self._run("inspect", "--format", f"{{{{.State.{name}}}}}", self.name).strip() == "true"

    def _run(self, *arguments: str) -> str:
        result = subprocess.run(
            [self._engine, *arguments],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=90,
        )
        if result.returncode != 0:
            raise EndedError(f"docker {arguments[0]} failed: {result.stdout.strip()}")
        return result.stdout
