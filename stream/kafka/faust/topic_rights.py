"""The operations on topics that the broker allows to the worker's user."""

import asyncio
from collections.abc import Iterable

from aiokafka.errors import KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from stream.kafka.connection import connect, connection_error, parse_servers
from stream.settings import Settings

TIMEOUT_S = 5.0
# The codes of Kafka's AclOperation, which are the bits of a set of operations.
READ_BIT, WRITE_BIT = 1 << 3, 1 << 4
NOT_TOLD = -(2**31)
TOPIC_DENIED = 29


class _MetadataResponse(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            Array(("node_id", Int32), ("host", String("utf-8")), ("port", Int32), ("rack", String("utf-8"))),
        ),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("cluster_authorized_operations", Int32),
    )


class _MetadataRequest(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _OperationsRequest(Request[_MetadataRequest]):  # type: ignore[misc]
    """A metadata request that asks for the allowed operations. aiokafka has no version with these fields."""

    API_KEY = 3

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics = list(topics)

    def build(self, request_struct_class: type[_MetadataRequest]) -> _MetadataRequest:
        return request_struct_class(self._topics, False, False, True)


async def denied_topics(settings: Settings, timeout_s: float = TIMEOUT_S) -> list[str]:
    """Return the topics of the routes that the worker's user may not read or write as the routes need it.

    The list is empty if the broker does not tell; brokers before 2.3 do not.

    Raises:
        BrokerError: the broker does not answer.
    """
    needed: dict[str, int] = {}
    for route in settings.effective_routes:
        needed[route.input_topic] = needed.get(route.input_topic, 0) | READ_BIT
        for name in route.written_topics:
            needed[name] = needed.get(name, 0) | WRITE_BIT
    try:
        async with (
            asyncio.timeout(timeout_s),
            connect(settings, parse_servers(settings.broker)) as connection,
        ):
            response = await connection.send(_OperationsRequest(needed))
    except NotImplementedError:
        return []
    except (OSError, EOFError, KafkaError) as exc:
        raise connection_error(settings, exc) from exc
    return [
        name
        for code, name, *_, allowed in response.topics
        if code == TOPIC_DENIED
        or (code == 0 and allowed != NOT_TOLD and allowed & needed[name] != needed[name])
    ]
