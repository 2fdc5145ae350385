"""A metadata request that returns topic ids, which tell a deleted topic from a new one with the same name.

aiokafka implements the metadata protocol up to version 5; topic ids came with version 10 (Kafka 2.8). An
older broker answers version 4, without ids.
"""

import base64
import random
from collections.abc import Collection
from io import BytesIO
from typing import Any

from aiokafka.errors import (
    IncompatibleBrokerVersion,
    KafkaError,
    NodeNotReadyError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.metadata import MetadataRequest_v4
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from stream.kafka.input_topics import TopicState

ID_BYTES = 16
NO_ID = bytes(ID_BYTES)


class _Uuid(AbstractType):  # type: ignore[misc]
    """The 16 bytes of a topic id."""

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(ID_BYTES)


class MetadataResponse_v10(Response):  # type: ignore[misc]  # noqa: N801 - aiokafka's naming
    """The response with topic ids."""

    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class MetadataRequest_v10(RequestStruct):  # type: ignore[misc]  # noqa: N801 - aiokafka's naming
    """The request by topic names. A broker looks topics up by id from version 12 on."""

    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = MetadataResponse_v10
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", _Uuid), ("topic", CompactString("utf-8")), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class TopicIdsRequest(Request[MetadataRequest_v4 | MetadataRequest_v10]):  # type: ignore[misc]
    """A metadata request for named topics that never creates one."""

    API_KEY = 3

    def __init__(self, topics: Collection[str]) -> None:
        self._topics = sorted(topics)

    def build(self, request_struct_class: Any) -> Any:
        """Return the request in a protocol version."""
        if request_struct_class is MetadataRequest_v10:
            topics: list[tuple[Any, ...]] = [(NO_ID, topic, {}) for topic in self._topics]
            return MetadataRequest_v10(topics, False, False, False, {})
        return request_struct_class(self._topics, False)


async def read_topics(client: Any, topics: Collection[str]) -> dict[str, TopicState]:
    """Return the state of topics, as the first broker that answers reports it.

    A topic whose state the broker does not know at the moment is left out, and so are all topics if the
    broker is older than Kafka 1.0.

    Args:
        client: the `AIOKafkaClient` of a consumer.
        topics: the names of the topics.

    Raises:
        KafkaError: no broker answers.
    """
    nodes = [broker.nodeId for broker in client.cluster.brokers()]
    last: KafkaError = NodeNotReadyError("no broker of the cluster is known")
    for node in random.sample(nodes, len(nodes)):
        try:
            answer = await client.send(node, TopicIdsRequest(topics))
        except (IncompatibleBrokerVersion, NotImplementedError):
            return {}
        except KafkaError as exc:
            last = exc
        else:
            return dict(filter(None, map(_state, answer.topics)))
    raise last


async def read_topic_id(consumer: Any, topic: str) -> str | None:
    """Return the id of a topic, None if the broker reports none.

    Args:
        consumer: a started consumer of aiokafka.
        topic: the name of the topic.

    Raises:
        KafkaError: no broker answers.
    """
    found = await read_topics(consumer._client, [topic])
    return found[topic].topic_id if topic in found else None


def _state(entry: tuple[Any, ...]) -> tuple[str, TopicState] | None:
    error, name, partitions = entry[0], entry[1], entry[4] if len(entry) > 4 else entry[3]
    topic_id = entry[2] if len(entry) > 4 and entry[2] != NO_ID else None
    if error == 0:
        return name, TopicState(topic_id and format_id(topic_id), len(partitions))
    if error == UnknownTopicOrPartitionError.errno:
        return name, TopicState(missing=True)
    if error == TopicAuthorizationFailedError.errno:
        return name, TopicState(denied=True)
    return None


def format_id(topic_id: bytes) -> str:
    """Return a topic id as Kafka's tools print it."""
    return base64.urlsafe_b64encode(topic_id).decode().rstrip("=")
