"""Offsets that a transaction is about to change are asked for again, in a version that aiokafka lacks."""

from io import BytesIO
from typing import Any

import pytest
from aiokafka.protocol.commit import OffsetCommitRequest, OffsetFetchRequest, OffsetFetchRequest_v3
from aiokafka.structs import TopicPartition

from stream.kafka.faust.stable_offsets import (
    OffsetFetchRequest_v7,
    OffsetFetchResponse_v7,
    UnstableOffsetError,
    stable_request,
    without_pending_offsets,
)

ASSIGNED = TopicPartition("texts", 0)


def response(*codes: int) -> Any:
    """Return a response with a partition for each error code, as it is read from its bytes."""
    entries: list[Any] = [(number, 40 + number, 3, "id", code, {}) for number, code in enumerate(codes)]
    written = OffsetFetchResponse_v7(0, [("texts", entries, {})], 0, {}).encode()
    return OffsetFetchResponse_v7.decode(BytesIO(written))


def test_a_broker_that_supports_it_is_asked_for_stable_offsets() -> None:
    request = stable_request(OffsetFetchRequest("group", [("texts", [0, 1])]))
    built = request.prepare({9: (0, 10)})
    assert type(built) is OffsetFetchRequest_v7
    assert built.require_stable
    read_back = OffsetFetchRequest_v7.decode(BytesIO(built.encode()))
    assert (read_back.consumer_group, read_back.topics) == ("group", [("texts", [0, 1], {})])


def test_an_older_broker_is_asked_in_version_3() -> None:
    request = stable_request(OffsetFetchRequest("group", [("texts", [0, 1])]))
    built = request.prepare({9: (0, 6)})
    assert type(built) is OffsetFetchRequest_v3
    assert (built.consumer_group, built.topics) == ("group", [("texts", [0, 1])])


def test_other_requests_stay_as_they_are() -> None:
    request = OffsetCommitRequest("group", 1, "me", -1, [])
    assert stable_request(request) is request


def test_a_response_has_the_form_that_aiokafka_reads() -> None:
    found = without_pending_offsets(response(0, 3), {ASSIGNED})
    assert found.topics == [("texts", [(0, 40, "id", 0), (1, 41, "id", 3)])]
    assert found.error_code == 0


def test_a_pending_offset_of_an_assigned_partition_is_asked_for_again() -> None:
    with pytest.raises(UnstableOffsetError, match="texts, partition 0") as raised:
        without_pending_offsets(response(88, 0), {ASSIGNED})
    assert raised.value.retriable


def test_a_pending_offset_of_another_worker_is_left_out() -> None:
    found = without_pending_offsets(response(0, 88), {ASSIGNED})
    assert found.topics == [("texts", [(0, 40, "id", 0), (1, -1, "", 0)])]
