"""The offsets that the broker and the group report for the partitions of a consumer."""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from stream.deadline import Deadline
from stream.kafka.faust.positions import CommittedOffset, Position, choose_position
from stream.kafka.faust.topic_ids import read_topics
from stream.kafka.input_topics import InputTopics, TopicState, committed_topic_id

RETRY_PAUSE_S = 0.2


class FoundPositions(NamedTuple):
    """The positions of the assigned partitions whose topics exist, and the ends of their logs."""

    positions: Mapping[TopicPartition, Position]
    ends: Mapping[TopicPartition, int]


async def find_topics(consumer: Any, deadline: Deadline) -> Mapping[str, TopicState]:
    """Return the states of the topics that a consumer reads, and try again until the deadline.

    Raises:
        KafkaError: no broker answered in time. Without the ids of the topics, a position would be a guess.
    """
    while True:
        try:
            return await read_topics(consumer._client, consumer.subscription())
        except KafkaError:
            if deadline.expired:
                raise
        await asyncio.sleep(RETRY_PAUSE_S)


async def find_positions(consumer: Any, topics: InputTopics, start_at: str) -> FoundPositions:
    """Return the positions from which to read the assigned partitions.

    Args:
        consumer: the `AIOKafkaConsumer`.
        topics: the topics at the start of the epoch.
        start_at: the position of a new group, `earliest` or `latest`.
    """
    assigned = [tp for tp in consumer.assignment() if tp.topic not in topics.absent]
    if not assigned:
        return FoundPositions({}, {})
    beginnings = await consumer.beginning_offsets(assigned)
    ends = await consumer.end_offsets(assigned)
    committed = await _read_committed(consumer, {tp.topic for tp in assigned})
    for topic in {tp.topic for tp in assigned}:
        topics.compare(topic, [at.topic_id for tp, at in committed.items() if tp.topic == topic])
    positions = {
        tp: choose_position(
            committed.get(tp),
            (beginnings[tp], ends[tp]),
            start_at,
            topics.topic_id(tp.topic),
            is_new=topics.is_new(tp.topic, tp.partition),
        )
        for tp in assigned
    }
    return FoundPositions(positions, ends)


async def _read_committed(consumer: Any, topics: set[str]) -> dict[TopicPartition, CommittedOffset]:
    """Return the committed offsets of all partitions of topics, also of those of other workers."""
    partitions = [
        TopicPartition(topic, number)
        for topic in topics
        for number in consumer.partitions_for_topic(topic) or ()
    ]
    found = await consumer._coordinator.fetch_committed_offsets(partitions)
    return {tp: CommittedOffset(at.offset, committed_topic_id(at.metadata)) for tp, at in found.items()}


def stable_end(consumer: Any, tp: TopicPartition) -> int | None:
    """Return the last stable offset of a partition that a fetch has reported, None if none has."""
    try:
        end: int | None = consumer.last_stable_offset(tp)
    except (AssertionError, AttributeError):
        # This runs in the event loop; a rebalance in the consumer's thread has just revoked the partition.
        return None
    return end


def blocked_events(consumer: Any, tp: TopicPartition) -> int:
    """Return the number of offsets between the last stable offset and the high watermark of a partition."""
    stable = stable_end(consumer, tp)
    try:
        end: int | None = consumer.highwater(tp)
    except (AssertionError, AttributeError):
        return 0
    # A broker without transactions reports no last stable offset, or -1.
    return max(0, end - stable) if end is not None and stable is not None and stable >= 0 else 0
