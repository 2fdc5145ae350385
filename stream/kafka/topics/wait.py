"""The wait for the topics of the routes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from stream.deadline import Deadline
from stream.errors import BrokerError
from stream.kafka.permissions import grant_topics
from stream.kafka.topics.cluster import REQUEST_TIMEOUT_S, DescribeCluster, describe_cluster, topic_names
from stream.routes import Route
from stream.settings import Settings
from stream.wording import CREATE_TOPICS

MIN_PAUSE_S, MAX_PAUSE_S = 0.1, 2.0

log = structlog.get_logger(__name__)


async def find_topics(
    settings: Settings,
    names: Sequence[str],
    timeout_s: float = REQUEST_TIMEOUT_S,
    *,
    describe: DescribeCluster = describe_cluster,
) -> dict[str, int]:
    """Return the partition count of each of these topics.

    Raises:
        BrokerError: the broker does not answer, or a topic does not exist.
    """
    found = (await describe(settings, timeout_s)).topics
    if missing := [name for name in names if name not in found]:
        raise missing_topics(missing, settings)
    return {name: found[name].partitions for name in names}


class MissingTopicsError(BrokerError):
    """The broker answers, and does not list topics.

    Attributes:
        topics: the names of the topics.
    """

    topics: tuple[str, ...] = ()


def missing_topics(names: Sequence[str], settings: Settings) -> BrokerError:
    """Return the error for topics that the broker does not list."""
    topics = tuple(dict.fromkeys(names))
    error = MissingTopicsError(
        f"the broker {settings.broker} has no topic {', '.join(topics)}",
        cause="the broker answers, but does not list "
        + ("them" if len(names) > 1 else "it")
        + (f", or the user {settings.sasl_username} may not see it" if settings.sasl_username else ""),
        fix=f"create the topics: {CREATE_TOPICS}"
        + (f"; if they exist: {grant_topics(settings, names)}" if settings.sasl_username else ""),
    )
    error.topics = topics
    return error


async def wait_for_topics(
    settings: Settings,
    routes: Sequence[Route],
    deadline_s: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    on_failure: Callable[[BrokerError], None] = lambda _: None,
    describe: DescribeCluster = describe_cluster,
) -> dict[str, int]:
    """Wait until the broker answers and all topics of the routes exist; return their partition counts.

    Args:
        settings: the address of the broker and the credentials.
        routes: the routes whose topics have to exist.
        deadline_s: the time limit, in seconds.
        clock: returns monotonic seconds.
        sleep: waits between two attempts; the pause doubles from 0.1 s to 2 s.
        on_failure: called with the error of every failed attempt.
        describe: returns the description of the cluster.

    Raises:
        BrokerError: the time limit passed; the error is that of the last attempt.
        UsageError: a setting of the connection is invalid; waiting would not help.
    """
    logged: set[str] = set()

    def warn_once(exc: BrokerError) -> None:
        event, known = "waiting for the broker", {"error": exc.message, "cause": exc.cause}
        if isinstance(exc, MissingTopicsError):
            event, known = "waiting for missing topics", {"topics": ", ".join(exc.topics), "fix": exc.fix}
        if event not in logged:
            log.warning(event, **known, deadline_s=deadline_s)
        logged.add(event)
        on_failure(exc)

    deadline = Deadline(deadline_s, clock)
    return await poll_topics(settings, topic_names(routes), deadline, sleep, warn_once, describe)


async def poll_topics(
    settings: Settings,
    names: Sequence[str],
    deadline: Deadline,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    on_failure: Callable[[BrokerError], None] = lambda _: None,
    describe: DescribeCluster = describe_cluster,
) -> dict[str, int]:
    """Wait like `wait_for_topics`, for topics by name and without a log line."""
    pause = MIN_PAUSE_S
    while True:
        timeout_s = min(REQUEST_TIMEOUT_S, max(deadline.remaining(), MIN_PAUSE_S))
        try:
            return await find_topics(settings, names, timeout_s, describe=describe)
        except BrokerError as exc:
            on_failure(exc)
            if deadline.remaining() < pause:
                raise BrokerError(
                    exc.message, cause=f"{exc.cause}; waited {deadline.seconds:g} s", fix=exc.fix
                ) from exc
        await sleep(pause)
        pause = min(2 * pause, MAX_PAUSE_S)
