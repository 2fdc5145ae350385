"""The Redis tier of the prediction cache."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

TIMEOUT_S = 0.5
MIN_BACKOFF_S = 1.0
MAX_BACKOFF_S = 30.0

log = structlog.get_logger(__name__)


class RedisCache:
    """The Redis tier: one round trip per batch, with exponential backoff after a failure.

    The worker continues without Redis while it is unavailable. The cache logs one line when Redis becomes
    unavailable and one when it is available again.
    """

    def __init__(
        self,
        client: Redis,
        ttl_s: int,
        clock: Callable[[], float],
        on_response: Callable[[bool], None] = lambda _responded: None,
        on_retry: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Args:
            client: a client with a short timeout and without retries of its own.
            ttl_s: the seconds that an entry lives.
            clock: returns monotonic seconds.
            on_response: called after each request, with True if Redis responded.
            on_retry: called before each request that follows a failure.
        """
        self._client = client
        self._ttl_s = ttl_s
        self._clock = clock
        self._on_response = on_response
        self._on_retry = on_retry
        self._backoff_s = 0.0
        self._retry_at = -math.inf

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the stored value of each key, None where there is none; empty if Redis is unavailable."""
        if not keys or not self._may_request():
            return []
        try:
            values = await self._client.mget(keys)
        except (RedisError, OSError, TimeoutError) as exc:
            self._record_failure(exc)
            return []
        self._record_success()
        # The client is configured without decoding, so the values are bytes.
        return cast(list[bytes | None], values)

    async def put_many(self, values: Mapping[str, bytes]) -> None:
        """Store values, each with the time to live."""
        if not values or not self._may_request():
            return
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for key, value in values.items():
                    pipeline.set(key, value, ex=self._ttl_s)
                await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as exc:
            self._record_failure(exc)
        else:
            self._record_success()

    async def ping(self) -> None:
        """Check that Redis responds, so that its state is known without any lookup."""
        if not self._may_request():
            return
        try:
            await self._client.ping()
        except (RedisError, OSError, TimeoutError) as exc:
            self._record_failure(exc)
        else:
            self._record_success()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _may_request(self) -> bool:
        if self._clock() < self._retry_at:
            return False
        if self._backoff_s:
            self._on_retry()
        return True

    def _record_failure(self, exc: BaseException) -> None:
        if not self._backoff_s:
            log.warning("redis unavailable, continuing without it", error=f"{type(exc).__name__}: {exc}")
        self._backoff_s = min(max(self._backoff_s * 2, MIN_BACKOFF_S), MAX_BACKOFF_S)
        self._retry_at = self._clock() + self._backoff_s
        self._on_response(False)

    def _record_success(self) -> None:
        if self._backoff_s:
            log.info("redis available again")
        self._backoff_s = 0.0
        self._on_response(True)


def connect_redis(url: str) -> Redis:
    """Create a client that times out after half a second and leaves retries to `RedisCache`."""
    client: Redis = Redis.from_url(
        url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0)
    )
    return client
