"""The topics of the routes: ask the broker for them, and wait until they are there."""

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

from stream.errors import BrokerError
from stream.kafka.connection import join_server, parse_servers, security_options, unreachable
from stream.settings import Route, Settings

ASK_TIMEOUT_S = 5.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class TopicShape:
    """Partitions of a topic and the copies that the broker keeps of each."""

    partitions: int
    replication: int


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a broker says about itself.

    Attributes:
        brokers: `host:port` of every broker, as they tell clients to reach them.
        topics: the topics that this user may see.
        creates_topics: it takes requests to create topics.
    """

    brokers: tuple[str, ...]
    topics: Mapping[str, TopicShape]
    creates_topics: bool


Ask = Callable[[Settings, float], Awaitable[Cluster]]


async def ask_cluster(
    settings: Settings, timeout_s: float = ASK_TIMEOUT_S, *, create: Sequence[str] | None = None
) -> Cluster:
    """Ask the first server that answers for its brokers and topics.

    Topics are asked for all together: asking by name makes some brokers create them.

    Args:
        settings: where and how to connect.
        timeout_s: for all servers together.
        create: ask for these by name, so that a broker that creates topics when asked does it.

    Raises:
        BrokerError: no server answers; it tells the last one's reason.
        UsageError: a setting of the connection is wrong.
    """
    security = security_options(settings)
    servers = parse_servers(settings.broker)
    request = MetadataRequest(list(create)) if create else MetadataRequest(None)
    last: BaseException = TimeoutError()
    for host, port in servers:
        try:
            async with asyncio.timeout(timeout_s / len(servers)):
                answer, apis = await _ask(host, port, request, security)
        except (OSError, KafkaError, EOFError, UnicodeError) as exc:
            last = exc
            continue
        brokers = tuple(join_server(node[1], node[2]) for node in answer.brokers)
        return Cluster(brokers, dict(_shapes(answer)), CreateTopicsRequest.API_KEY in apis)
    raise unreachable(settings, last) from last


async def _ask(
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
    """Every topic of the routes, each once, in the order input, output, dead."""
    return list(dict.fromkeys(name for r in routes for name in (r.input_topic, r.output_topic, r.dead_topic)))


async def find_topics(
    settings: Settings, names: Sequence[str], timeout_s: float = ASK_TIMEOUT_S, *, ask: Ask = ask_cluster
) -> dict[str, int]:
    """Ask the broker once for these topics; returns topic → partition count.

    Raises:
        BrokerError: the broker does not answer, or a topic does not exist.
    """
    found = (await ask(settings, timeout_s)).topics
    if missing := [name for name in names if name not in found]:
        raise missing_topics(missing, settings)
    return {name: found[name].partitions for name in names}


def missing_topics(names: Sequence[str], settings: Settings) -> BrokerError:
    """The error that says which topics the broker does not list."""
    return BrokerError(
        f"the broker {settings.broker} has no topic {', '.join(dict.fromkeys(names))}",
        cause="it answers, but does not list "
        + ("them" if len(names) > 1 else "it")
        + (f"; or the user {settings.sasl_username} may not see it" if settings.sasl_username else ""),
        fix="labelstream topics create",
    )


async def wait_for_topics(
    settings: Settings,
    routes: Sequence[Route],
    deadline_s: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    on_wait: Callable[[BrokerError], None] | None = None,
    ask: Ask = ask_cluster,
) -> dict[str, int]:
    """Wait until the broker answers and every topic of the routes exists; returns topic → partition count.

    Args:
        settings: where and how to connect.
        routes: whose topics.
        deadline_s: seconds after which the last failure is raised.
        clock: monotonic seconds.
        sleep: the pause between two tries, which doubles from 0.1 s to 2 s.
        on_wait: told of every failed try.
        ask: the question to the broker.

    Raises:
        BrokerError: the deadline passed.
        UsageError: a setting of the connection is wrong; waiting does not help.
    """
    told = False

    def failed(exc: BrokerError) -> None:
        nonlocal told
        if not told:
            log.warning("waiting for the broker", error=exc.message, cause=exc.cause, deadline_s=deadline_s)
        told = True
        if on_wait:
            on_wait(exc)

    return await keep_asking(settings, topic_names(routes), deadline_s, clock, sleep, failed, ask)


async def keep_asking(
    settings: Settings,
    names: Sequence[str],
    deadline_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    on_failure: Callable[[BrokerError], None] = lambda _: None,
    ask: Ask = ask_cluster,
) -> dict[str, int]:
    """Ask for these topics until they are there or the deadline passed; as `wait_for_topics`, but silent."""
    end, pause = clock() + deadline_s, FIRST_PAUSE_S
    while True:
        left = max(end - clock(), FIRST_PAUSE_S)
        try:
            return await find_topics(settings, names, min(ASK_TIMEOUT_S, left), ask=ask)
        except BrokerError as exc:
            on_failure(exc)
            if clock() + pause > end:
                raise BrokerError(
                    exc.message, cause=f"{exc.cause}; waited {deadline_s:g} s", fix=exc.fix
                ) from exc
        await sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)
