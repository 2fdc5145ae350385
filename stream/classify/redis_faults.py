"""The failures of Redis, each with its cause and fix for the log."""

from typing import NamedTuple

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisClusterException
from redis.exceptions import TimeoutError as RedisTimeoutError

from stream.errors import one_line

DEADLINE_S = 0.5


class Fault(NamedTuple):
    """A failure of Redis.

    Attributes:
        code: the code of Redis's error reply, or a word of ours for other failures.
        cause: the cause, in one line.
        fix: the action that corrects it, in one line.
    """

    code: str
    cause: str
    fix: str


class CommandError(Exception):
    """A command failed on a connection that had been established, so Redis is reachable."""


class SlowError(Exception):
    """A request did not finish within `DEADLINE_S`."""


class ClusterAddressError(Exception):
    """The URL names a node of a Redis Cluster in a way that does not lead to its other nodes."""


CHECK_URL = "check that redis_url names a Redis"
START = "start Redis, or correct redis_url; test it with: redis-cli -u URL ping"
ACL_FIX = (
    "redis-cli ACL SETUSER NAME +ping +mget +get +set ~labelstream:*, with the user of redis_url as NAME"
)
PASSWORD_FIX = "put the password into redis_url: redis://:PASSWORD@HOST:PORT/0, or redis://USER:PASSWORD@…"
ANOTHER_PLACE = "point redis_url at the primary, or end the replication: redis-cli REPLICAOF NO ONE"
EVICT = "redis-cli CONFIG SET maxmemory-policy allkeys-lru, or raise maxmemory"

REPLIES = {
    "READONLY": ("Redis is a read-only replica", ANOTHER_PLACE),
    "OOM": ("Redis has reached maxmemory, and its maxmemory-policy evicts nothing", EVICT),
    "MISCONF": (
        "Redis accepts no writes, because it cannot save its data to disk",
        "free space on its disk, or redis-cli CONFIG SET stop-writes-on-bgsave-error no",
    ),
    "NOREPLICAS": (
        "Redis has fewer replicas than min-replicas-to-write",
        "start the replicas, or redis-cli CONFIG SET min-replicas-to-write 0",
    ),
    "NOPERM": ("the ACL of the Redis user forbids the command or the keys", ACL_FIX),
    "NOAUTH": ("Redis requires a password", PASSWORD_FIX),
    "WRONGPASS": ("Redis rejects the user name or the password", PASSWORD_FIX),
    "LOADING": (
        "Redis is still loading its data",
        "none needed; see the progress with: redis-cli INFO persistence",
    ),
    "BUSY": ("a script blocks Redis", "redis-cli SCRIPT KILL"),
    "MASTERDOWN": (
        "Redis is a replica that has lost its primary",
        "start the primary, or promote this replica",
    ),
    "CLUSTERDOWN": ("the Redis Cluster is down", "see which slots have no node: redis-cli CLUSTER INFO"),
    "TRYAGAIN": ("the Redis Cluster is moving slots", "none needed; see: redis-cli CLUSTER INFO"),
    "UNKNOWN": ("Redis does not know the command", "enable MGET, GET, SET and PING in Redis"),
}
for _code in ("MOVED", "ASK", "CROSSSLOT"):
    REPLIES[_code] = ("the node of the Redis Cluster does not hold the keys", "redis-cli CLUSTER INFO")


def describe(error: BaseException) -> Fault:
    """Return the cause and fix of an error, without any text that Redis sent."""
    if isinstance(error, CommandError) and error.__cause__ is not None:
        error = error.__cause__
    code = getattr(error, "status_code", None)
    if isinstance(code, str):
        cause, fix = REPLIES.get(code, (f"Redis answers with the error {code}", "see the log of Redis"))
        return Fault(code, cause, fix)
    match error:
        case SlowError():
            cause = f"no complete answer within {DEADLINE_S:g} s"
            return Fault("slow", cause, "check the load of Redis and the network: redis-cli --latency")
        case ClusterAddressError():
            return Fault("cluster", str(error), "set redis_url to redis://HOST:PORT/0 of one node")
        case InvalidResponse():
            return Fault("invalid-reply", f"the answer is not Redis's: {error}", CHECK_URL)
        case RedisClusterException():
            return Fault(
                "cluster", "the nodes of the Redis Cluster cannot be determined", "redis-cli CLUSTER INFO"
            )
        case RedisConnectionError() | RedisTimeoutError() | OSError():
            return Fault("unavailable", one_line(error), START)
    return Fault("invalid-reply", f"the answer cannot be read ({type(error).__name__})", CHECK_URL)


def is_unreachable(error: BaseException) -> bool:
    """Return True if no connection to Redis could be established."""
    return isinstance(error, RedisConnectionError | RedisTimeoutError | OSError)
