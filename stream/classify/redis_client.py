"""The commands of the cache, on a single Redis or on a Redis Cluster.

The URL does not say which of the two it names. The first reply that redirects to another node of a cluster
does.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from redis.asyncio import RedisCluster
from redis.asyncio.connection import (
    AbstractConnection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    ClusterCrossSlotError,
    ClusterError,
    MovedError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from stream.classify.redis_faults import ClusterAddressError, CommandError
from stream.classify.redis_reply import READ_BYTES, BoundedParser
from stream.errors import UsageError

CONNECT_TIMEOUT_S = 0.4
MAX_CONNECTIONS = 1_000
REDIRECTIONS = (MovedError, ClusterCrossSlotError)

Options = dict[str, Any]


def connect_redis(url: str) -> "RedisClient":
    """Create a client, which connects at its first request.

    Raises:
        UsageError: the URL is not valid.
    """
    try:
        options = connection_options(url)
        # Creating a connection sends nothing, and checks the names of the URL's parameters.
        ConnectionPool(**options).make_connection()  # type: ignore[no-untyped-call]
    except (TypeError, ValueError, RedisConnectionError) as exc:
        raise UsageError(
            "redis_url is not valid",
            # The text of other errors may contain the URL, which may contain a password.
            cause="an unknown or malformed part" if isinstance(exc, TypeError) else "a malformed part",
            fix="write redis://:PASSWORD@HOST:PORT/0, and percent-encode special characters of the password",
        ) from None
    return RedisClient(options)


def connection_options(url: str) -> Options:
    """Return the options of a connection; those that the worker depends on override the URL's."""
    return {
        "max_connections": MAX_CONNECTIONS,
        **parse_url(url),
        # The caller bounds each request as a whole, which a time limit for each read would not.
        "socket_timeout": None,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_read_size": READ_BYTES,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "parser_class": BoundedParser,
        "driver_info": None,
    }


class StandaloneClient:
    """The commands on one Redis.

    An error of the connection during a command is raised as `CommandError`. Before the command, it means that
    Redis is unreachable.
    """

    def __init__(self, options: Options) -> None:
        self._pool = ConnectionPool(**options)

    async def mget(self, keys: Sequence[str]) -> Any:
        """Return the reply to one MGET."""
        async with self._connection() as connection:
            await connection.send_packed_command(pack(b"MGET", *map(str.encode, keys)))
            return await connection.read_response()

    async def set_many(self, values: Mapping[str, bytes], ttl_s: int) -> list[Any]:
        """Return the reply to each SET; errors are returned, not raised."""
        seconds = b"%d" % ttl_s
        commands = [pack(b"SET", key.encode(), value, b"EX", seconds) for key, value in values.items()]
        async with self._connection() as connection:
            await connection.send_packed_command(commands)
            replies = [await _reply(connection) for _ in commands]
            if any(isinstance(reply, ReadOnlyError) for reply in replies):
                # After a failover, the name of the primary leads to another server.
                await connection.disconnect(nowait=True)
                await self._pool.disconnect(inuse_connections=False)
        return replies

    async def ping(self) -> Any:
        """Return the reply to PING; an error that Redis replies shows, too, that it responds."""
        async with self._connection() as connection:
            await connection.send_command("PING")
            try:
                return await connection.read_response()
            except RedisError as exc:
                if exc.status_code is None:
                    raise
                return exc

    async def aclose(self) -> None:
        """Close the connections."""
        await self._pool.aclose()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AbstractConnection]:
        connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            yield connection
        except RedisConnectionError as exc:
            raise CommandError from exc
        finally:
            await self._pool.release(connection)


class ClusterClient:
    """The commands on a Redis Cluster: one pipeline for each node that holds some of the keys.

    Attributes:
        found: True once a node has named the nodes of the cluster.
    """

    def __init__(self, options: Options) -> None:
        """
        Raises:
            ClusterAddressError: the URL is a unix socket, or selects a database.
        """
        kind = options.get("connection_class")
        if kind is UnixDomainSocketConnection:
            raise ClusterAddressError("redis_url is a unix socket of a node of a Redis Cluster")
        if options.get("db"):
            raise ClusterAddressError("redis_url selects a database, and a Redis Cluster has only database 0")
        accepted = {k: v for k, v in options.items() if k not in ("connection_class", "parser_class", "db")}
        self.found = False
        self._client = RedisCluster(**accepted, ssl=kind is SSLConnection, require_full_coverage=False)
        for settings in (
            self._client.connection_kwargs,
            *(n.connection_kwargs for n in self._client.startup_nodes),
        ):
            settings["parser_class"] = BoundedParser

    async def initialize(self) -> None:
        """Ask which node holds which slots, unless that is known."""
        await self._client.initialize()
        self.found = True

    async def mget(self, keys: Sequence[str]) -> list[Any]:
        """Return the reply to a GET of each key; a key whose slot is moving counts as absent."""
        pipeline = self._client.pipeline()
        for key in keys:
            pipeline.get(key)
        replies = await self._execute(pipeline)
        return [None if isinstance(r, AskError | TryAgainError) else r for r in replies]

    async def set_many(self, values: Mapping[str, bytes], ttl_s: int) -> list[Any]:
        """Return the reply to each SET; errors are returned, not raised."""
        pipeline = self._client.pipeline()
        for key, value in values.items():
            pipeline.set(key, value, ex=ttl_s)
        return [
            b"OK" if r is True or isinstance(r, AskError | TryAgainError) else r
            for r in await self._execute(pipeline)
        ]

    async def ping(self) -> Any:
        """Return the reply to PING of the first primary."""
        try:
            return await self._client.get_default_node().execute_command("PING")
        except Exception:
            await self._client.aclose()
            raise

    async def _execute(self, pipeline: Any) -> list[Any]:
        replies = cast(list[Any], await pipeline.execute(raise_on_error=False, allow_redirections=False))
        stale = (AskError, ClusterError, RedisConnectionError, RedisTimeoutError, ReadOnlyError)
        if any(isinstance(reply, stale) for reply in replies):
            # The next request asks the nodes again which of them holds which slots.
            await self._client.aclose()
        for reply in replies:
            if isinstance(reply, RedisConnectionError | RedisTimeoutError):
                if reply.status_code is not None:
                    raise CommandError from reply
                raise reply
        return replies

    async def aclose(self) -> None:
        """Close the connections to all nodes."""
        await self._client.aclose()


class RedisClient:
    """The commands of the cache, on the Redis or the Redis Cluster that a URL names."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._standalone = StandaloneClient(options)
        self._cluster: ClusterClient | None = None

    @property
    def is_cluster(self) -> bool:
        """True once a reply has shown that the URL names a node of a Redis Cluster."""
        return self._cluster is not None

    async def mget(self, keys: Sequence[str]) -> Any:
        """Return the values of the keys as Redis replies them; they are not checked."""
        if self._cluster is None:
            with suppress(*REDIRECTIONS):
                return await self._standalone.mget(keys)
        async with self._in_cluster() as cluster:
            replies = await cluster.mget(keys)
        if all(isinstance(reply, ResponseError) for reply in replies):
            raise replies[0]
        return replies

    async def set_many(self, values: Mapping[str, bytes], ttl_s: int) -> list[Any]:
        """Store values with a time to live, and return the reply to each SET."""
        if self._cluster is None:
            replies = await self._standalone.set_many(values, ttl_s)
            if not any(isinstance(reply, REDIRECTIONS) for reply in replies):
                return replies
        async with self._in_cluster() as cluster:
            return await cluster.set_many(values, ttl_s)

    async def ping(self) -> Any:
        """Return the reply to PING."""
        if self._cluster is None:
            return await self._standalone.ping()
        async with self._in_cluster() as cluster:
            return await cluster.ping()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._standalone.aclose()
        if self._cluster is not None:
            await self._cluster.aclose()

    @asynccontextmanager
    async def _in_cluster(self) -> AsyncIterator[ClusterClient]:
        # Another request may have asked the single Redis at the same time, and created the client.
        cluster = self._cluster = self._cluster or ClusterClient(self._options)
        try:
            await cluster.initialize()
            yield cluster
        except BaseException as exc:
            if isinstance(exc, RedisClusterException) or not cluster.found:
                # The reply that named a cluster was wrong, or the URL names a single Redis again.
                self._cluster = None
            raise


def pack(*words: bytes) -> bytes:
    """Return a command in the protocol of Redis; redis-py needs four times as long for a long one."""
    return b"*%d\r\n%b" % (len(words), b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words]))


async def _reply(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as exc:
        return exc
