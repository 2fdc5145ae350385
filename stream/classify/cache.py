"""Predictions that need not be computed again: a bounded in-process tier, and Redis behind it."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, cast

import orjson
import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from stream.bundle import Bundle
from stream.classify.inputs import Prediction, TextInput

VERSION = 1
TIMEOUT_S = 0.5
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0

Tier = Literal["local", "redis"]
Result = Literal["hit", "miss", "invalid", "error"]
Count = Callable[[Tier, Result, int], None]

log = structlog.get_logger(__name__)


class SharedCache(Protocol):
    """A tier that several workers share. It never raises: what it cannot do is a miss."""

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]: ...
    async def put_many(self, values: Mapping[str, bytes]) -> None: ...


class KeyMaker:
    """Keys that name the exact model and the exact input: `labelstream:1:DIGEST:VARIANT:HASH`."""

    def __init__(self, bundle: Bundle, variant: str) -> None:
        self._prefix = f"labelstream:{VERSION}:{bundle.short_digest}:{variant}:"

    def key(self, row: TextInput) -> str:
        """The key of a row; the hash is BLAKE2b-128 of the canonical input."""
        return self._prefix + hashlib.blake2b(row.canonical(), digest_size=16).hexdigest()


class LocalCache:
    """The in-process tier: least recently used entries leave first."""

    def __init__(self, entries: int) -> None:
        """
        Args:
            entries: most entries held; 0 switches the tier off.
        """
        self._entries = entries
        self._scores: dict[str, tuple[float, ...]] = {}

    def get(self, key: str) -> tuple[float, ...] | None:
        """The scores under a key, which become the most recently used."""
        scores = self._scores.pop(key, None)
        if scores is not None:
            self._scores[key] = scores
        return scores

    def put(self, key: str, scores: tuple[float, ...]) -> None:
        """Remember scores; the least recently used entry leaves when there is no room."""
        if not self._entries:
            return
        self._scores.pop(key, None)
        if len(self._scores) >= self._entries:
            del self._scores[next(iter(self._scores))]
        self._scores[key] = scores

    def __len__(self) -> int:
        return len(self._scores)


class RedisCache:
    """The Redis tier: one round trip a batch, and a pause after a failure.

    While Redis is away the worker goes on without it; that is said once, and again when it is back.
    """

    def __init__(self, client: Redis, ttl_s: int, clock: Callable[[], float]) -> None:
        """
        Args:
            client: answers within its own timeout and does not retry.
            ttl_s: seconds that an entry lives.
            clock: monotonic seconds.
        """
        self._client = client
        self._ttl_s = ttl_s
        self._clock = clock
        self._pause_s = 0.0
        self._again_at = -math.inf

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """The stored values, None where there is none; empty when Redis is away."""
        if not keys or self._clock() < self._again_at:
            return []
        try:
            values = await self._client.mget(keys)
        except (RedisError, OSError, TimeoutError) as exc:
            self._failed(exc)
            return []
        self._answered()
        # The client decodes nothing unless it is told to, so these are bytes.
        return cast(list[bytes | None], values)

    async def put_many(self, values: Mapping[str, bytes]) -> None:
        """Store values, each with the time to live."""
        if not values or self._clock() < self._again_at:
            return
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for key, value in values.items():
                    pipeline.set(key, value, ex=self._ttl_s)
                await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as exc:
            self._failed(exc)
        else:
            self._answered()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    def _failed(self, exc: BaseException) -> None:
        if not self._pause_s:
            log.warning("redis is away, going on without it", error=f"{type(exc).__name__}: {exc}")
        self._pause_s = min(max(self._pause_s * 2, FIRST_PAUSE_S), LONGEST_PAUSE_S)
        self._again_at = self._clock() + self._pause_s

    def _answered(self) -> None:
        if self._pause_s:
            log.info("redis is back")
        self._pause_s = 0.0


def connect_redis(url: str) -> Redis:
    """A client that gives up after half a second and leaves retrying to `RedisCache`."""
    client: Redis = Redis.from_url(
        url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0)
    )
    return client


def encode_scores(scores: tuple[float, ...]) -> bytes:
    """The stored form: a versioned JSON object without ids, times or text."""
    return orjson.dumps({"v": VERSION, "scores": scores})


def decode_scores(value: bytes, labels: int) -> tuple[float, ...] | None:
    """Read a stored value; None when it is not what `encode_scores` writes for that many labels."""
    try:
        found: Any = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(found, dict) or found.get("v") != VERSION:
        return None
    scores = found.get("scores")
    if not isinstance(scores, list) or len(scores) != labels:
        return None
    if not all(type(s) in (float, int) and 0 <= s <= 1 for s in scores):
        return None
    return tuple(float(s) for s in scores)


class PredictionCache:
    """Both tiers behind one door."""

    def __init__(
        self,
        keys: KeyMaker,
        local: LocalCache,
        shared: SharedCache | None,
        labels: int,
        count: Count = lambda _tier, _result, _n: None,
    ) -> None:
        """
        Args:
            keys: makes the keys of one bundle and variant.
            local: the in-process tier.
            shared: the Redis tier, if any.
            labels: scores that a valid entry has.
            count: told how many keys met which result in which tier.
        """
        self._keys = keys
        self._local = local
        self._shared = shared
        self._labels = labels
        self._count = count

    def key(self, row: TextInput) -> str:
        """The key of a row."""
        return self._keys.key(row)

    async def get_many(self, keys: Sequence[str]) -> dict[str, Prediction]:
        """What is known for these keys; at most one round trip."""
        known = {key: scores for key in keys if (scores := self._local.get(key)) is not None}
        self._count("local", "hit", len(known))
        self._count("local", "miss", len(keys) - len(known))
        missing = [key for key in keys if key not in known]
        if self._shared is not None and missing:
            known |= await self._from_shared(self._shared, missing)
        return {key: Prediction(scores, cached=True) for key, scores in known.items()}

    async def _from_shared(self, shared: SharedCache, keys: list[str]) -> dict[str, tuple[float, ...]]:
        values = await shared.get_many(keys)
        self._count("redis", "error", len(keys) - len(values))
        found = {}
        for key, value in zip(keys, values, strict=False):
            scores = decode_scores(value, self._labels) if value is not None else None
            self._count("redis", "hit" if scores else "miss" if value is None else "invalid", 1)
            if scores is not None:
                found[key] = scores
                self._local.put(key, scores)
        return found

    def remember(self, predictions: Mapping[str, Prediction]) -> None:
        """Keep fresh predictions in process."""
        for key, prediction in predictions.items():
            self._local.put(key, prediction.scores)

    async def share(self, predictions: Mapping[str, Prediction]) -> None:
        """Write fresh predictions to Redis; at most one round trip."""
        if self._shared is not None:
            await self._shared.put_many({key: encode_scores(p.scores) for key, p in predictions.items()})
