"""An OffsetFetch request that does not return an offset while a transaction is about to change it.

aiokafka implements the protocol up to version 3; `require_stable` came with version 7 (Kafka 2.5). An older
broker answers version 3. Without `require_stable`, a new owner of a partition could read an offset that a
transaction has already moved: a coordinator of Kafka 3 answers with the old offset until it has applied the
commit marker.
"""

from collections.abc import Collection
from typing import Any

from aiokafka.errors import KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.commit import OffsetFetchRequest, OffsetFetchRequest_v3, OffsetFetchResponse_v3
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)
from aiokafka.structs import TopicPartition

from stream.kafka.group import UNSTABLE

NO_OFFSET = -1


class UnstableOffsetError(KafkaError):  # type: ignore[misc]
    """A transaction that commits an offset is not decided yet. aiokafka asks again."""

    retriable = True


class OffsetFetchResponse_v7(Response):  # type: ignore[misc]  # noqa: N801 - aiokafka's naming
    """The response to a request with `require_stable`."""

    API_KEY = 9
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", CompactString("utf-8")),
                        ("error_code", Int16),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("error_code", Int16),
        ("tags", TaggedFields),
    )


class OffsetFetchRequest_v7(RequestStruct):  # type: ignore[misc]  # noqa: N801 - aiokafka's naming
    """The request with `require_stable`."""

    FLEXIBLE_VERSION = True
    API_KEY = 9
    API_VERSION = 7
    RESPONSE_TYPE = OffsetFetchResponse_v7
    SCHEMA = Schema(
        ("consumer_group", CompactString("utf-8")),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                ("partitions", CompactArray(Int32)),
                ("tags", TaggedFields),
            ),
        ),
        ("require_stable", Boolean),
        ("tags", TaggedFields),
    )


class StableOffsetFetchRequest(Request[OffsetFetchRequest_v3 | OffsetFetchRequest_v7]):  # type: ignore[misc]
    """An OffsetFetch request for named partitions, with `require_stable` if the broker supports it."""

    API_KEY = 9

    def __init__(self, group: str, partitions: Collection[tuple[str, list[int]]]) -> None:
        self._group = group
        self._partitions = partitions

    def build(self, request_struct_class: Any) -> Any:
        """Return the request in a protocol version."""
        if request_struct_class is OffsetFetchRequest_v7:
            topics: list[tuple[str, list[int], dict[int, bytes]]] = [
                (topic, numbers, {}) for topic, numbers in self._partitions
            ]
            return OffsetFetchRequest_v7(self._group, topics, True, {})
        return request_struct_class(self._group, list(self._partitions))


def stable_request(request: Any) -> Any:
    """Return an OffsetFetch request of aiokafka with `require_stable`, and any other request as it is."""
    if type(request) is OffsetFetchRequest:
        return StableOffsetFetchRequest(request._consumer_group, request._partitions)
    return request


def without_pending_offsets(response: Any, assigned: Collection[TopicPartition]) -> Any:
    """Return a response in version 3, which aiokafka reads.

    The worker also asks for the partitions of other workers, whose transactions never stop. A pending offset
    of such a partition is left out.

    Args:
        response: the response in version 7.
        assigned: the partitions whose offsets must not be pending.

    Raises:
        UnstableOffsetError: an offset of an assigned partition is pending.
    """
    topics: list[tuple[str, list[tuple[int, int, str, int]]]] = []
    for topic, partitions, _tags in response.topics:
        entries = []
        for partition, offset, _epoch, metadata, code, _tags in partitions:
            if code != UNSTABLE:
                entries.append((partition, offset, metadata, code))
            elif TopicPartition(topic, partition) in assigned:
                raise UnstableOffsetError(f"{topic}, partition {partition}")
            else:
                entries.append((partition, NO_OFFSET, "", 0))
        topics.append((topic, entries))
    return OffsetFetchResponse_v3(response.throttle_time_ms, topics, response.error_code)
