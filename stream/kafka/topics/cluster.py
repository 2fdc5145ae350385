"""The brokers and topics of a cluster, and a wait for the topics of the routes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError
from aiokafka.protocol.admin import ApiVersionRequest, CreateTopicsRequest
from aiokafka.protocol.metadata import MetadataRequest

from stream.deadline import Deadline
from stream.errors import BrokerError
from stream.kafka.connection import connection_error, join_server, parse_servers, security_options
from stream.settings import Route, Settings

REQUEST_TIMEOUT_S = 5.0
MIN_PAUSE_S, MAX_PAUSE_S = 0.1, 2.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class TopicShape:
    """The partition count and the replication factor of a topic."""

    partitions: int
    replication: int


@dataclass(frozen=True, slots=True)
class Cluster:
    """The description of a cluster by one of its brokers.

    Attributes:
        brokers: the advertised address of every broker, as `host:port`.
        topics: the topics that the user may see, by name.
        creates_topics: True if the broker accepts requests to create topics.
    """

    brokers: tuple[str, ...]
    topics: Mapping[str, TopicShape]
    creates_topics: bool


DescribeCluster = Callable[[Settings, float], Awaitable[Cluster]]


async def describe_cluster(
    settings: Settings, timeout_s: float = REQUEST_TIMEOUT_S, *, create: Sequence[str] | None = None
) -> Cluster:
    """Return the description of the cluster by the first server that answers.

    The request names no topics, because some brokers create the topics that a request names.

    Args:
        settings: the address of the broker and the credentials.
        timeout_s: the time limit for all servers together, in seconds.
        create: the topics to name in the request, so that such a broker creates them.

    Raises:
        BrokerError: no server answers; the cause is that of the last one.
        UsageError: a setting of the connection is invalid.
    """
    security = security_options(settings)
    servers = parse_servers(settings.broker)
    request = MetadataRequest(list(create)) if create else MetadataRequest(None)
    last: BaseException = TimeoutError()
    for host, port in servers:
        try:
            async with asyncio.timeout(timeout_s / len(servers)):
                answer, apis = await _send(host, port, request, security)
        except (OSError, KafkaError, EOFError, UnicodeError) as exc:
            last = exc
            continue
        brokers = tuple(join_server(node[1], node[2]) for node in answer.brokers)
        return Cluster(brokers, dict(_shapes(answer)), CreateTopicsRequest.API_KEY in apis)
    raise connection_error(settings, last) from last


async def _send(
    host: str, port: int, request: MetadataRequest, security: Mapping[str, Any]
) -> tuple[Any, set[int]]:
    connection = await create_conn(host, port, client_id="labelstream", **security)
    try:
        versions = await connection.send(ApiVersionRequest())
        return await connection.send(request), {entry[0] for entry in versions.api_versions}
    finally:
        connection.close()


def _shapes(answer: Any) -> Iterator[tuple[str, TopicShape]]:
    for entry in answer.topics:
        error, name, partitions = entry[0], entry[1], entry[-1]
        if not error and partitions:
            yield name, TopicShape(len(partitions), len(partitions[0][3]))


def topic_names(routes: Sequence[Route]) -> list[str]:
    """Return the topics of the routes without duplicates, in the order input, output, dead."""
    return list(dict.fromkeys(name for r in routes for name in (r.input_topic, r.output_topic, r.dead_topic)))


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


def missing_topics(names: Sequence[str], settings: Settings) -> BrokerError:
    """Return the error for topics that the broker does not list."""
    return BrokerError(
        f"the broker {settings.broker} has no topic {', '.join(dict.fromkeys(names))}",
        cause="the broker answers, but does not list "
        + ("them" if len(names) > 1 else "it")
        + (f", or the user {settings.sasl_username} may not see it" if settings.sasl_username else ""),
        fix="create the topics: labelstream topics create",
    )


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
    warned = False

    def warn_once(exc: BrokerError) -> None:
        nonlocal warned
        if not warned:
            log.warning("waiting for the broker", error=exc.message, cause=exc.cause, deadline_s=deadline_s)
        warned = True
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
