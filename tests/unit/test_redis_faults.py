"""Refusals of Redis pause only the operation that they concern, and each cause is logged once."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from structlog.testing import capture_logs

from stream.classify import redis_cache
from stream.classify.redis_cache import RedisCache, connect_redis
from stream.classify.redis_client import ClusterClient
from stream.classify.redis_faults import REPLIES, ClusterAddressError, CommandError, describe
from stream.classify.redis_reply import reply_error
from stream.errors import UsageError


class FakeRedis:
    """A client whose replies a test sets; an exception is raised."""

    def __init__(self) -> None:
        self.value: Any = [b"v"]
        self.stored: Any = [b"OK"]
        self.pong: Any = b"PONG"
        self.requests: list[str] = []
        self.requested = asyncio.Event()

    async def mget(self, keys: Sequence[str]) -> Any:
        self.requests.append("read")
        self.requested.set()
        return await self._reply(self.value)

    async def set_many(self, values: Mapping[str, bytes], ttl_s: int) -> Any:
        self.requests.append("write")
        return await self._reply(self.stored)

    async def ping(self) -> Any:
        return await self._reply(self.pong)

    async def aclose(self) -> None:
        await self._reply(self.pong)

    async def _reply(self, reply: Any) -> Any:
        if isinstance(reply, asyncio.Event):
            await reply.wait()
        if isinstance(reply, BaseException):
            raise reply
        return reply


class Setup:
    def __init__(self) -> None:
        self.now = 0.0
        self.redis = FakeRedis()
        self.responses: list[bool] = []
        self.pauses: list[tuple[str, bool]] = []
        self.cache = RedisCache(
            self.redis,
            60,
            lambda: self.now,
            self.responses.append,
            on_pause=lambda operation, paused: self.pauses.append((operation, paused)),
        )

    async def rounds(self, count: int, seconds: float = 0.5) -> list[list[bytes | None]]:
        """Read, write and ping this many times, and return what was read."""
        found = []
        for _ in range(count):
            found.append(await self.cache.get_many(["k"]))
            await self.cache.put_many({"k": b"v"})
            await self.cache.ping()
            self.now += seconds
        return found


def refusal(code: str) -> Exception:
    return reply_error(f"{code} a text of the server".encode())


class Other:
    """An object of no type that a client returns."""

    def __repr__(self) -> str:
        return "another object"


OTHER = Other()


@pytest.mark.parametrize(
    "code", ["READONLY", "OOM", "NOPERM", "MISCONF", "NOREPLICAS", "CLUSTERDOWN", "BUSY"]
)
async def test_reads_go_on_while_writes_pause(code: str) -> None:
    setup = Setup()
    setup.redis.stored = [refusal(code)]
    with capture_logs() as logs:
        assert await setup.rounds(40) == [[b"v"]] * 40
    assert [entry["event"] for entry in logs] == ["redis writes paused"]
    assert logs[0]["error"] == code
    assert logs[0]["cause"]
    assert logs[0]["fix"]
    assert "a text of the server" not in str(logs)
    assert setup.redis.requests.count("write") == 5, "after 0, 1, 3, 7 and 15 s"
    assert set(setup.responses) == {True}
    assert setup.pauses == [("write", True)]
    setup.redis.stored = [b"OK"]
    with capture_logs() as logs:
        await setup.rounds(40)
    assert [entry["event"] for entry in logs] == ["redis writes resumed"]
    assert setup.pauses == [("write", True), ("write", False)]


@pytest.mark.parametrize(
    "code", ["NOPERM", "MASTERDOWN", "CLUSTERDOWN", "NOAUTH", "LOADING", "ERR", "SOMETHING"]
)
async def test_writes_go_on_while_reads_pause(code: str) -> None:
    setup = Setup()
    error = CommandError()
    error.__cause__ = refusal(code)
    setup.redis.value = error
    with capture_logs() as logs:
        assert await setup.rounds(40) == [[]] * 40
    assert [(entry["event"], entry["error"]) for entry in logs] == [("redis reads paused", code)]
    assert setup.redis.requests.count("write") == 40
    assert setup.pauses == [("read", True)]


async def test_another_cause_is_logged_and_a_known_one_is_not() -> None:
    setup = Setup()
    with capture_logs() as logs:
        for code in ("OOM", "READONLY", "OOM", "READONLY", "OOM"):
            setup.redis.stored = [refusal(code)]
            await setup.rounds(1, seconds=31)
    assert [entry["error"] for entry in logs] == ["OOM", "READONLY"]


async def test_a_refusal_ends_an_outage() -> None:
    setup = Setup()
    setup.redis.value = RedisConnectionError("refused")
    with capture_logs() as logs:
        await setup.rounds(1)
        setup.redis.value = refusal("NOPERM")
        setup.now += 2
        await setup.rounds(1)
    assert [entry["event"] for entry in logs] == [
        "redis unavailable, continuing without it",
        "redis available again",
        "redis reads paused",
    ]


async def test_failures_at_the_same_time_count_once() -> None:
    setup = Setup()
    setup.redis.value = refusal("NOPERM")
    await asyncio.gather(*(setup.cache.get_many(["k"]) for _ in range(20)))
    setup.now = 1.1
    setup.redis.value = [b"v"]
    assert await setup.cache.get_many(["k"]) == [b"v"]


@pytest.mark.parametrize(
    "reply",
    [
        None,
        b"v",
        1,
        "v",
        (b"v",),
        {},
        [],
        [b"v", b"v"],
        [b"v"] * 1_000,
        True,
        1.5,
        OTHER,
        ResponseError("x"),
    ],
    ids=repr,
)
async def test_a_reply_of_another_shape_is_no_answer(reply: object) -> None:
    setup = Setup()
    setup.redis.value = reply
    with capture_logs() as logs:
        assert await setup.cache.get_many(["k"]) == []
    assert [entry["event"] for entry in logs] == ["redis reads paused"]


@pytest.mark.parametrize(
    "element", [1, "v", [b"v"], [], {}, True, 1.5, ResponseError("x"), bytearray(b"v"), OTHER], ids=repr
)
async def test_an_element_of_another_type_is_an_invalid_value(element: object) -> None:
    setup = Setup()
    setup.redis.value = [b"one", element, None]
    assert await setup.cache.get_many(["a", "b", "c"]) == [b"one", b"", None]


@pytest.mark.parametrize("reply", [b"no", None, 1, [b"OK"], True], ids=repr)
async def test_a_write_that_is_not_confirmed_pauses_writes(reply: object) -> None:
    setup = Setup()
    setup.redis.stored = [b"OK", reply]
    await setup.cache.put_many({"a": b"v", "b": b"v"})
    assert setup.pauses == [("write", True)]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("secret"),
        AttributeError("secret"),
        RecursionError("secret"),
        MemoryError(),
        UnicodeDecodeError("utf-8", b"secret", 0, 1, "secret"),
        ExceptionGroup("secret", [ValueError("secret")]),
        asyncio.CancelledError(),
        GeneratorExit(),
        type("PanicError", (BaseException,), {})("secret"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_no_exception_of_a_library_reaches_the_worker(error: BaseException) -> None:
    setup = Setup()
    setup.redis.value = setup.redis.stored = setup.redis.pong = error
    with capture_logs() as logs:
        assert await setup.rounds(1) == [[]]
        await setup.cache.close()
    assert "secret" not in str(logs)


async def test_the_cancellation_of_the_caller_is_passed_on() -> None:
    setup = Setup()
    setup.redis.value = asyncio.Event()
    task = asyncio.create_task(setup.cache.get_many(["k"]))
    await setup.redis.requested.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_request_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_cache, "DEADLINE_S", 0.001)
    setup = Setup()
    setup.redis.value = setup.redis.stored = setup.redis.pong = asyncio.Event()
    with capture_logs() as logs:
        assert await setup.rounds(1) == [[]]
        await setup.cache.close()
    assert [(entry["event"], entry["error"]) for entry in logs if entry["log_level"] == "warning"] == [
        ("redis reads paused", "slow"),
        ("redis writes paused", "slow"),
        ("redis unavailable, continuing without it", "slow"),
    ]
    assert setup.responses == [False, False, False]


async def test_values_that_are_too_long_to_be_read_are_not_stored() -> None:
    setup = Setup()
    await setup.cache.put_many({"k": b"x" * (2**20 + 1)})
    assert setup.redis.requests == []


@pytest.mark.parametrize("code", REPLIES)
def test_every_known_refusal_has_a_cause_and_a_fix(code: str) -> None:
    fault = describe(refusal(code))
    assert fault.code == code
    assert fault.cause
    assert fault.fix
    assert "server" not in fault.cause


@pytest.mark.parametrize(
    "url",
    [
        "redis://cache:port",
        "redis://cache?unknown=1",
        "redis://:p@ss@cache:1/0?db=x",
        "rediss://cache:99999999",
    ],
)
def test_an_invalid_url_is_a_usage_error_that_does_not_show_it(url: str) -> None:
    with pytest.raises(UsageError) as raised:
        connect_redis(url)
    assert "p@ss" not in f"{raised.value.message} {raised.value.cause}"


@pytest.mark.parametrize("url", ["unix:///run/redis.sock", "redis://cache:6379/3"])
def test_a_url_that_does_not_lead_to_a_cluster_is_refused_by_name(url: str) -> None:
    with pytest.raises(ClusterAddressError) as raised:
        ClusterClient(redis_options(url))
    fault = describe(raised.value)
    assert "Redis Cluster" in fault.cause
    assert "redis://HOST:PORT/0" in fault.fix


def redis_options(url: str) -> dict[str, Any]:
    from stream.classify.redis_client import connection_options

    return connection_options(url)
