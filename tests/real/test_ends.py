"""Tests of stop, restart and cleanup of components and processes."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.components import unavailable
from tests.real.process import Child, EndedError, Folder, free_ports, pid_alive
from tests.real.redis import RedisServer
from tests.real.wait import until


def test_redis_restarts_at_the_same_url(redis_server: RedisServer) -> None:
    assert redis_server.version
    assert redis_server.info()["uptime_in_seconds"] >= 0
    url, first = redis_server.url, redis_server.info()["process_id"]
    redis_server.kill()
    assert not redis_server.alive
    redis_server.start()
    assert redis_server.info()["process_id"] != first
    redis_server.restart()
    assert redis_server.url == url


@pytest.fixture
def owned_redis() -> Iterator[RedisServer]:
    server = RedisServer()
    if not server.owned:
        unavailable("an existing Redis was not started by the tests, which therefore may not kill it")
    yield server
    server.close()


def test_kill_and_close_leave_no_process_and_no_folder(owned_redis: RedisServer) -> None:
    owned_redis.start()
    pid = owned_redis.info()["process_id"]
    assert pid_alive(pid)
    owned_redis.kill()
    assert not pid_alive(pid)
    owned_redis.close()
    assert not Path(owned_redis.url.removeprefix("unix://")).parent.exists()


_STARTS_AND_WAITS = """
import signal
from tests.real.embedded import EmbeddedBroker
broker = EmbeddedBroker()
broker.start()
broker.pause()
print(broker._child.pid, broker._folder.path, flush=True)
signal.pause()
"""


def test_components_end_with_a_killed_test_process() -> None:
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", _STARTS_AND_WAITS], stdout=subprocess.PIPE, text=True, cwd=root
    ) as tests:
        assert tests.stdout is not None
        pid, folder = tests.stdout.readline().split()
        assert pid_alive(int(pid))
        tests.send_signal(signal.SIGKILL)
    until(lambda: not pid_alive(int(pid)), 10, "end of the broker after its test process was killed")
    until(lambda: not Path(folder).exists(), 10, "removal of the broker's folder")


def test_a_failed_start_reports_the_output() -> None:
    folder = Folder("broken")
    child = Child("thing", [sys.executable, "-c", "raise SystemExit('cannot start')"], folder.path / "log")
    child.start()
    with pytest.raises(EndedError, match="cannot start"):
        until(child.check, 10, "the end of the process")
    folder.remove()


def test_free_ports_are_outside_the_range_of_outgoing_connections() -> None:
    first, second = free_ports(2)
    assert first != second
    limits = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if limits.exists():
        low, high = map(int, limits.read_text().split())
        assert not low <= first <= high or low <= 2048
