"""The description of a Kafka cluster: its brokers and topics."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError
from aiokafka.protocol.admin import ApiVersionRequest, CreateTopicsRequest
from aiokafka.protocol.metadata import MetadataRequest

from stream.kafka.connection import connection_error, join_server, parse_servers, security_options
from stream.routes import Route
from stream.settings import Settings

REQUEST_TIMEOUT_S = 5.0


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
