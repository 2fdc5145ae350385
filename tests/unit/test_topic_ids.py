"""The metadata request that returns topic ids, in the bytes of Kafka's protocol."""

from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest_v4

from stream.kafka.faust.topic_ids import (
    MetadataRequest_v10,
    MetadataResponse_v10,
    TopicIdsRequest,
    format_id,
    read_topic_id,
    read_topics,
)
from stream.kafka.input_topics import TopicState

ID = bytes(range(16))
# throttle time; one broker 1 at h:9092 without a rack; no cluster id; controller 1; five topics; operations
RESPONSE = (
    b"\0\0\0\0"
    + b"\2" + b"\0\0\0\1" + b"\2h" + b"\0\0\x23\x84" + b"\0" + b"\0"
    + b"\0" + b"\0\0\0\1"
    + b"\6"
    + b"\0\0" + b"\6texts" + ID + b"\0"
    + b"\2" + b"\0\0" + b"\0\0\0\0" + b"\0\0\0\1" + b"\0\0\0\5"
    + b"\2\0\0\0\1" + b"\2\0\0\0\1" + b"\1" + b"\0"
    + b"\x80\0\0\0" + b"\0"
    + b"\0\3" + b"\5gone" + bytes(16) + b"\0" + b"\1" + b"\x80\0\0\0" + b"\0"
    + b"\0\x1d" + b"\7secret" + bytes(16) + b"\0" + b"\1" + b"\x80\0\0\0" + b"\0"
    + b"\0\5" + b"\5soon" + ID + b"\0" + b"\1" + b"\x80\0\0\0" + b"\0"
    + b"\0\0" + b"\4old" + bytes(16) + b"\0" + b"\1" + b"\x80\0\0\0" + b"\0"
    + b"\x80\0\0\0" + b"\0"
)  # fmt: skip
STATES = {
    "texts": TopicState("AAECAwQFBgcICQoLDA0ODw", 1),
    "gone": TopicState(missing=True),
    "secret": TopicState(denied=True),
    "old": TopicState(None, 0),
}


class FakeClient:
    """A client of a cluster; the test sets the answer of each node."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers
        self.cluster = SimpleNamespace(brokers=lambda: [SimpleNamespace(nodeId=node) for node in answers])
        self.asked: list[Any] = []

    async def send(self, node: str, request: Any) -> Any:
        self.asked.append(node)
        answer = self._answers[node]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, dict):
            return request.prepare(answer)
        return MetadataResponse_v10.decode(BytesIO(answer))


def test_the_request_has_the_bytes_of_version_10_and_creates_no_topic() -> None:
    request = TopicIdsRequest({"b", "a"}).prepare({3: (0, 13)})
    topics = b"".join(bytes(16) + b"\2" + name + b"\0" for name in (b"a", b"b"))
    assert request.encode() == b"\3" + topics + b"\0\0\0" + b"\0"
    assert request.FLEXIBLE_VERSION


def test_an_older_broker_gets_a_request_without_ids_that_creates_no_topic() -> None:
    request = TopicIdsRequest(["a"]).prepare({3: (0, 9)})
    assert type(request) is MetadataRequest_v4
    assert request.encode() == b"\0\0\0\1" + b"\0\1a" + b"\0"


async def test_the_states_of_topics_are_read_and_a_topic_without_a_leader_is_left_out() -> None:
    assert await read_topics(FakeClient(one=RESPONSE), ["texts"]) == STATES


async def test_an_answer_without_ids_tells_the_number_of_partitions() -> None:
    answer = SimpleNamespace(topics=[(0, "texts", False, [(), ()]), (3, "gone", False, [])])

    async def send(node: str, request: Any) -> Any:
        return answer

    client = FakeClient(one=b"")
    client.send = send  # type: ignore[method-assign]
    assert await read_topics(client, ["texts"]) == {
        "texts": TopicState(None, 2),
        "gone": TopicState(missing=True),
    }


async def test_another_broker_is_asked_if_one_does_not_answer() -> None:
    client = FakeClient(one=KafkaConnectionError("refused"), two=RESPONSE, three=KafkaConnectionError("no"))
    for _ in range(20):
        assert await read_topics(client, ["texts"]) == STATES


async def test_no_answer_is_an_error() -> None:
    with pytest.raises(KafkaConnectionError):
        await read_topics(FakeClient(one=KafkaConnectionError("refused")), ["texts"])


async def test_a_broker_without_a_known_version_tells_nothing() -> None:
    assert await read_topics(FakeClient(one={}), ["texts"]) == {}
    assert await read_topics(FakeClient(one={3: (0, 3)}), ["texts"]) == {}


def test_an_id_is_written_as_kafkas_tools_write_it() -> None:
    assert format_id(b"\xff" * 16) == "_____________________w"
    assert MetadataRequest_v10.RESPONSE_TYPE is MetadataResponse_v10


async def test_the_id_of_one_topic_is_read() -> None:
    consumer = SimpleNamespace(_client=FakeClient(one=RESPONSE))
    assert await read_topic_id(consumer, "texts") == STATES["texts"].topic_id
    assert await read_topic_id(consumer, "none") is None
