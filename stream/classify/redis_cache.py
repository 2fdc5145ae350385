"""The Redis tier of the prediction cache.

Redis is another machine's word: whatever it replies, a lookup is a hit, a miss or an error, and the worker
continues.
"""

import asyncio
import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import structlog
from redis.exceptions import InvalidResponse

from stream.classify.redis_client import connect_redis
from stream.classify.redis_faults import DEADLINE_S, CommandError, Fault, SlowError, describe, is_unreachable
from stream.classify.redis_reply import MAX_VALUE_BYTES

__all__ = ["RedisCache", "connect_redis", "probe_redis"]

MIN_BACKOFF_S = 1.0
MAX_BACKOFF_S = 30.0
INVALID = b""
"""A value that no cache entry has; it stands for a reply that is neither bytes nor null."""
VALUE_TYPES = frozenset((bytes, type(None)))
PROBE_KEYS = ("labelstream:doctor:1", "labelstream:doctor:2")

Operation = Literal["read", "write"]
T = TypeVar("T")

log = structlog.get_logger(__name__)


class Commands(Protocol):
    """The commands of the cache; `RedisClient` implements them."""

    async def mget(self, keys: Sequence[str]) -> Any: ...
    async def set_many(self, values: Mapping[str, bytes], ttl_s: int) -> list[Any]: ...
    async def ping(self) -> Any: ...
    async def aclose(self) -> None: ...


class Pause:
    """A pause after a failure, with exponential backoff.

    It logs each cause once, and once more when the operation works again.
    """

    def __init__(
        self, clock: Callable[[], float], begins: str, ends: str, on_change: Callable[[bool], None]
    ) -> None:
        """
        Args:
            clock: returns monotonic seconds.
            begins: the log event of a failure.
            ends: the log event of the first success after it.
            on_change: called with True when the pause begins, and with False when it ends.
        """
        self._clock = clock
        self._begins = begins
        self._ends = ends
        self._on_change = on_change
        self._backoff_s = 0.0
        self._retry_at = -math.inf
        self._logged: set[str] = set()

    @property
    def active(self) -> bool:
        """True from a failure to the next success."""
        return self._backoff_s > 0

    @property
    def over(self) -> bool:
        """True if a request may be made now."""
        return self._clock() >= self._retry_at

    def failed(self, fault: Fault) -> None:
        """Begin or lengthen the pause. Failures of requests that ran at the same time count as one."""
        if not self.over:
            return
        if fault.code not in self._logged:
            self._logged.add(fault.code)
            log.warning(self._begins, error=fault.code, cause=fault.cause, fix=fault.fix)
        if not self.active:
            self._on_change(True)
        self._backoff_s = min(max(self._backoff_s * 2, MIN_BACKOFF_S), MAX_BACKOFF_S)
        self._retry_at = self._clock() + self._backoff_s

    def succeeded(self) -> None:
        """End the pause."""
        if self.active:
            log.info(self._ends)
            self._on_change(False)
            self._logged.clear()
        self._backoff_s = 0.0
        self._retry_at = -math.inf


class RedisCache:
    """The Redis tier: one round trip per batch, within a deadline.

    After a failure, requests pause with exponential backoff. A failure to connect pauses all requests. A
    refused, slow or invalid reply pauses only the operation that received it, so that a replica that accepts
    no writes still serves reads.
    """

    def __init__(
        self,
        client: Commands,
        ttl_s: int,
        clock: Callable[[], float],
        on_response: Callable[[bool], None] = lambda _responded: None,
        on_retry: Callable[[], None] = lambda: None,
        on_pause: Callable[[Operation, bool], None] = lambda _operation, _paused: None,
    ) -> None:
        """
        Args:
            client: sends the commands, without retries of its own.
            ttl_s: the seconds that an entry lives.
            clock: returns monotonic seconds.
            on_response: called after each request, with True if Redis responded.
            on_retry: called before each request that follows a failure.
            on_pause: called when reads or writes pause or resume, with True at the begin of a pause.
        """
        self._client = client
        self._ttl_s = ttl_s
        self._on_response = on_response
        self._on_retry = on_retry
        self._connection = Pause(
            clock, "redis unavailable, continuing without it", "redis available again", lambda _active: None
        )
        self._reads = Pause(
            clock, "redis reads paused", "redis reads resumed", lambda active: on_pause("read", active)
        )
        self._writes = Pause(
            clock, "redis writes paused", "redis writes resumed", lambda active: on_pause("write", active)
        )

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the stored value of each key, None where there is none; empty if Redis gives no answer."""
        if not keys or not self._may_request(self._reads):
            return []
        values = await self._request(self._reads, read_values(self._client, keys))
        return [] if values is None else values

    async def put_many(self, values: Mapping[str, bytes]) -> None:
        """Store values, each with the time to live."""
        if values and self._may_request(self._writes):
            await self._request(self._writes, write_values(self._client, values, self._ttl_s))

    async def ping(self) -> None:
        """Check that Redis responds, so that its state is known without any lookup."""
        if self._may_request(self._connection):
            await self._request(self._connection, self._client.ping())

    async def close(self) -> None:
        """Close the connections."""
        try:
            await within_deadline(self._client.aclose())
        except Exception as exc:  # noqa: BLE001 - the worker is stopping, and needs nothing of Redis
            log.debug("redis connections not closed", error=type(exc).__name__)

    async def _request(self, pause: Pause, work: Coroutine[Any, Any, T]) -> T | None:
        try:
            result = await within_deadline(work)
        except Exception as exc:  # noqa: BLE001 - whatever fails in the cache must not end the worker
            self._record_failure(pause, exc)
            return None
        self._connection.succeeded()
        pause.succeeded()
        self._on_response(True)
        return result

    def _may_request(self, pause: Pause) -> bool:
        if not (self._connection.over and pause.over):
            return False
        if self._connection.active or pause.active:
            self._on_retry()
        return True

    def _record_failure(self, pause: Pause, exc: Exception) -> None:
        if is_unreachable(exc):
            pause = self._connection
        responded = pause is not self._connection and not isinstance(exc, SlowError)
        if responded:
            self._connection.succeeded()
        self._on_response(responded)
        pause.failed(describe(exc))


async def read_values(client: Commands, keys: Sequence[str]) -> list[bytes | None]:
    """Return the value of each key; what is neither bytes nor null becomes `INVALID`.

    Raises:
        Exception: Redis refuses the command, is unreachable, or does not reply a value for each key.
    """
    values = await client.mget(keys)
    if type(values) is not list or len(values) != len(keys):
        raise InvalidResponse("the number of values is not that of the keys")
    if not VALUE_TYPES.issuperset(map(type, values)):
        return [value if type(value) in VALUE_TYPES else INVALID for value in values]
    return values


async def write_values(client: Commands, values: Mapping[str, bytes], ttl_s: int) -> None:
    """Store values, without those that are too long to be read back.

    Raises:
        Exception: Redis refuses a value, is unreachable, or replies something else than OK.
    """
    short = {key: value for key, value in values.items() if len(value) <= MAX_VALUE_BYTES}
    replies = await client.set_many(short, ttl_s) if short else ()
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
        if reply != b"OK":
            raise InvalidResponse("the reply to SET is not OK")


async def within_deadline(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`, which runs in a task of its own.

    Thus neither a library that swallows a cancellation nor one that raises it can delay or end the caller.

    Raises:
        SlowError: the work took longer than `DEADLINE_S`; it is cancelled.
        CommandError: the work was cancelled or ended by something other than an exception.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task,), timeout=DEADLINE_S)
    finally:
        if not task.done():
            task.cancel()
            task.add_done_callback(_ignore_result)
    if not task.done():
        raise SlowError
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    if error is None:
        return task.result()
    if isinstance(error, Exception):
        raise error
    raise CommandError from error


def _ignore_result(task: "asyncio.Future[Any]") -> None:
    """Retrieve the exception of an abandoned task, which asyncio would otherwise log."""
    if not task.cancelled():
        task.exception()


class Probe(NamedTuple):
    """The result of trying every command that the worker needs.

    Attributes:
        cluster: True for a Redis Cluster.
        unreachable: the fault if no connection could be established.
        refused: the fault of each operation that failed, `reads` or `writes`.
    """

    cluster: bool
    unreachable: Fault | None
    refused: dict[str, Fault]


async def probe_redis(url: str) -> Probe:
    """Read two keys that belong to different slots of a cluster, and store them for a second.

    Raises:
        UsageError: the URL is not valid.
    """
    client = connect_redis(url)
    refused: dict[str, Fault] = {}
    requests: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "reads": lambda: read_values(client, PROBE_KEYS),
        "writes": lambda: write_values(client, dict.fromkeys(PROBE_KEYS, b"1"), 1),
    }
    try:
        for operation, request in requests.items():
            try:
                await within_deadline(request())
            except Exception as exc:  # noqa: BLE001 - every failure is a finding
                if is_unreachable(exc):
                    return Probe(client.is_cluster, describe(exc), refused)
                refused[operation] = describe(exc)
    finally:
        await client.aclose()
    return Probe(client.is_cluster, None, refused)
