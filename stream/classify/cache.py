"""Predictions that need not be computed again: a bounded in-process tier, and Redis behind it."""

import hashlib
import math
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, Protocol, cast

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from stream.bundle import Bundle
from stream.classify.heads import Head
from stream.classify.inputs import ModelInput, Prediction, canonical

VERSION = 1
STORED_VERSION = b"\x02"
CHECK_BYTES = 4
TIMEOUT_S = 0.5
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0

Tier = Literal["local", "redis"]
Result = Literal["hit", "miss", "invalid", "error"]
Count = Callable[[Tier, Result, int], None]
Key = bytes
"""BLAKE2b-128 of the canonical input."""

log = structlog.get_logger(__name__)


class SharedCache(Protocol):
    """A tier that several workers share. It never raises: what it cannot do is a miss."""

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]: ...
    async def put_many(self, values: Mapping[str, bytes]) -> None: ...


class KeyMaker:
    """Keys that name the exact model and the exact input: `labelstream:1:DIGEST:VARIANT:HASH`."""

    def __init__(self, bundle: Bundle, variant: str) -> None:
        self._prefix = f"labelstream:{VERSION}:{bundle.short_digest}:{variant}:"

    def keys(self, rows: Iterable[ModelInput]) -> list[Key]:
        """The hashes of rows, which suffice within one worker."""
        blake2b = hashlib.blake2b
        return [blake2b(canonical(row), digest_size=16).digest() for row in rows]

    def shared(self, key: Key) -> str:
        """The name under which other workers find it."""
        return self._prefix + key.hex()


class LocalCache:
    """The in-process tier: least recently used entries leave first."""

    def __init__(self, entries: int) -> None:
        """
        Args:
            entries: most entries held; 0 switches the tier off.
        """
        self._entries = entries
        # Not a dict: finding its first key passes over every key that was removed before it.
        self._known: OrderedDict[Key, Prediction] = OrderedDict()

    @property
    def on(self) -> bool:
        """Whether it holds anything at all."""
        return self._entries > 0

    def get(self, key: Key) -> Prediction | None:
        """The prediction under a key, which becomes the most recently used."""
        found = self._known.get(key)
        if found is not None:
            self._known.move_to_end(key)
        return found

    def put(self, key: Key, prediction: Prediction) -> None:
        """Remember a prediction; the least recently used entry leaves when there is no room."""
        if not self._entries:
            return
        self._known[key] = Prediction(prediction.members, prediction.scores, cached=True)
        self._known.move_to_end(key)
        if len(self._known) > self._entries:
            self._known.popitem(last=False)

    def __len__(self) -> int:
        return len(self._known)


class RedisCache:
    """The Redis tier: one round trip a batch, and a pause after a failure.

    While Redis is away the worker goes on without it; that is said once, and again when it is back.
    """

    def __init__(
        self,
        client: Redis,
        ttl_s: int,
        clock: Callable[[], float],
        on_answer: Callable[[bool], None] = lambda _answered: None,
        on_retry: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Args:
            client: answers within its own timeout and does not retry.
            ttl_s: seconds that an entry lives.
            clock: monotonic seconds.
            on_answer: told after each request whether Redis answered.
            on_retry: told of each request that follows one without an answer.
        """
        self._client = client
        self._ttl_s = ttl_s
        self._clock = clock
        self._on_answer = on_answer
        self._on_retry = on_retry
        self._pause_s = 0.0
        self._again_at = -math.inf

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """The stored values, None where there is none; empty when Redis is away."""
        if not keys or not self._may_ask():
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
        if not values or not self._may_ask():
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

    async def look(self) -> None:
        """See whether Redis answers, also when nothing is looked up."""
        if not self._may_ask():
            return
        try:
            await self._client.ping()
        except (RedisError, OSError, TimeoutError) as exc:
            self._failed(exc)
        else:
            self._answered()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    def _may_ask(self) -> bool:
        if self._clock() < self._again_at:
            return False
        if self._pause_s:
            self._on_retry()
        return True

    def _failed(self, exc: BaseException) -> None:
        if not self._pause_s:
            log.warning("redis is away, going on without it", error=f"{type(exc).__name__}: {exc}")
        self._pause_s = min(max(self._pause_s * 2, FIRST_PAUSE_S), LONGEST_PAUSE_S)
        self._again_at = self._clock() + self._pause_s
        self._on_answer(False)

    def _answered(self) -> None:
        if self._pause_s:
            log.info("redis is back")
        self._pause_s = 0.0
        self._on_answer(True)


def connect_redis(url: str) -> Redis:
    """A client that gives up after half a second and leaves retrying to `RedisCache`."""
    client: Redis = Redis.from_url(
        url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0)
    )
    return client


def encode_stored(prediction: Prediction) -> bytes:
    """The stored form: version, CRC-32, then what the head keeps; no ids, times or text."""
    return STORED_VERSION + zlib.crc32(prediction.scores).to_bytes(CHECK_BYTES, "little") + prediction.scores


def decode_stored(value: bytes, fits: Callable[[bytes], bool]) -> bytes | None:
    """What the head keeps; None when it is not what `encode_stored` writes, or does not fit the head."""
    kept = value[1 + CHECK_BYTES :]
    check = int.from_bytes(value[1 : 1 + CHECK_BYTES], "little")
    if value[:1] != STORED_VERSION or zlib.crc32(kept) != check or not fits(kept):
        return None
    return kept


class PredictionCache:
    """Both tiers behind one door."""

    def __init__(
        self,
        keys: KeyMaker,
        local: LocalCache,
        shared: SharedCache | None,
        head: Head,
        count: Count = lambda _tier, _result, _n: None,
    ) -> None:
        """
        Args:
            keys: makes the keys of one bundle and variant.
            local: the in-process tier.
            shared: the Redis tier, if any.
            head: the bundle's, which can read what it stored.
            count: told how many keys met which result in which tier.
        """
        self._keys = keys
        self._local = local
        self._shared = shared
        self._head = head
        self._count = count

    @property
    def on(self) -> bool:
        """Whether there is any tier to look into."""
        return self._local.on or self._shared is not None

    def keys(self, rows: Iterable[ModelInput]) -> list[Key]:
        """The keys of rows."""
        return self._keys.keys(rows)

    async def get_many(self, keys: Sequence[Key], rows: Sequence[ModelInput]) -> list[Prediction | None]:
        """What is known for these keys, None where nothing is; at most one round trip.

        Args:
            keys: of the rows.
            rows: what they were made of.
        """
        found: list[Prediction | None] = [None] * len(keys)
        if self._local.on:
            get = self._local.get
            found = [get(key) for key in keys]
            misses = found.count(None)
            self._count("local", "hit", len(keys) - misses)
            self._count("local", "miss", misses)
        if self._shared is not None and None in found:
            missing = [at for at, known in enumerate(found) if known is None]
            shared = await self._from_shared(
                self._shared, [keys[at] for at in missing], [rows[at] for at in missing]
            )
            for at, known in zip(missing, shared, strict=True):
                found[at] = known
        return found

    async def _from_shared(
        self, shared: SharedCache, keys: list[Key], rows: list[ModelInput]
    ) -> list[Prediction | None]:
        name = self._keys.shared
        values = await shared.get_many([name(key) for key in keys])
        fits = self._head.fits
        kept = [decode_stored(value, fits) if value is not None else None for value in values]
        predictions = self._head.restored(
            [known for known in kept if known is not None],
            [row for row, known in zip(rows, kept, strict=False) if known is not None],
        )
        misses = values.count(None)
        self._count("redis", "error", len(keys) - len(values))
        self._count("redis", "miss", misses)
        self._count("redis", "invalid", len(values) - misses - len(predictions))
        self._count("redis", "hit", len(predictions))
        waiting = iter(predictions)
        found = [None if known is None else next(waiting) for known in kept]
        for key, prediction in zip(keys, found, strict=False):
            if prediction is not None:
                self._local.put(key, prediction)
        return found + [None] * (len(keys) - len(found))

    def remember(self, key: Key, prediction: Prediction) -> None:
        """Keep a fresh prediction in process."""
        self._local.put(key, prediction)

    async def share(self, predictions: Mapping[Key, Prediction]) -> None:
        """Write fresh predictions to Redis; at most one round trip."""
        if self._shared is not None and predictions:
            name = self._keys.shared
            await self._shared.put_many({name(key): encode_stored(p) for key, p in predictions.items()})
