"""Apache Kafka's own image in a container engine: finding it, and a container that behaves like a Child."""

import os
import shutil
import subprocess
import uuid

from tests.real.guard import guard
from tests.real.parts import MissingPartError, Tell
from tests.real.process import EndedError

ANSWER_S = 5
PULL_S = 60


def find_engine(image: str, tell: Tell) -> str:
    """The `docker` command, if its engine answers and has the image or can pull it.

    Raises:
        MissingPartError: which of these fails.
    """
    docker = shutil.which("docker")
    if docker is None:
        raise MissingPartError("there is no docker command")
    if not _ok([docker, "info"], ANSWER_S):
        raise MissingPartError("`docker info` does not answer")
    if not _ok([docker, "image", "inspect", image], ANSWER_S):
        tell(f"pulling {image}, once per machine")
        if not _ok([docker, "pull", "--quiet", image], PULL_S):
            raise MissingPartError(f"the engine has no image {image} and did not pull it within {PULL_S} s")
    return docker


def _ok(command: list[str], timeout_s: float) -> bool:
    try:
        return subprocess.run(command, check=False, capture_output=True, timeout=timeout_s).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


class ContainerChild:
    """A container on the host's network; stopping keeps its data, `remove` ends it."""

    def __init__(self, engine: str, image: str, environment: dict[str, str]) -> None:
        self.name = f"labelstream-test-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._engine = engine
        self._image = image
        self._environment = environment
        self._made = False

    @property
    def alive(self) -> bool:
        """Whether it runs (paused counts as running)."""
        return self._made and self._state("Running")

    def start(self) -> None:
        """Make it the first time, start the same one later."""
        if self._made:
            self._run("start", self.name)
            return
        guard.add(self.name, command=[self._engine, "rm", "-f", "-v", self.name])
        settings = [word for name, value in self._environment.items() for word in ("-e", f"{name}={value}")]
        self._run("run", "-d", "--name", self.name, "--network", "host", *settings, self._image)
        self._made = True

    def stop(self, deadline_s: float = 30) -> None:
        """SIGTERM; the engine kills it at the deadline."""
        if self.alive:
            self.resume()
            self._run("stop", "-t", f"{deadline_s:.0f}", self.name)

    def kill(self) -> None:
        """SIGKILL."""
        if self.alive:
            self._run("kill", self.name)

    def pause(self) -> None:
        """Freeze its processes."""
        self._run("pause", self.name)

    def resume(self) -> None:
        """Thaw them; harmless when it is not paused."""
        if self._state("Paused"):
            self._run("unpause", self.name)

    def check(self) -> None:
        """Raise with the log's end when it ended by itself."""
        if not self.alive:
            raise EndedError(f"container {self.name} ended:\n{self.tail()}")

    def tail(self, lines: int = 30) -> str:
        """The end of its output."""
        return self._run("logs", "--tail", str(lines), self.name)

    def remove(self) -> None:
        """End it and remove its data."""
        _ok([self._engine, "rm", "-f", "-v", self.name], 60)
        guard.drop(self.name)

    def _state(self, name: str) -> bool:
        return self._run("inspect", "--format", f"{{{{.State.{name}}}}}", self.name).strip() == "true"

    def _run(self, *words: str) -> str:
        result = subprocess.run(
            [self._engine, *words],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=90,
        )
        if result.returncode != 0:
            raise EndedError(f"docker {words[0]} failed: {result.stdout.strip()}")
        return result.stdout
