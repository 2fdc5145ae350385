"""The positions from which partitions are read, and the records of one fetch."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from aiokafka.structs import TopicPartition

from stream.errors import UnreadableBatchError


class FetchedRecords(dict[TopicPartition, list[Any]]):
    """Records by partition, and the position epoch in which the consumer read them.

    Attributes:
        epoch: the position epoch.
        unreadable: the partitions whose next batch cannot be read, with the errors.
    """

    epoch = 0
    unreadable: Mapping[TopicPartition, UnreadableBatchError] = MappingProxyType({})


class Position(NamedTuple):
    """The start of reading in a partition.

    Attributes:
        offset: the offset of the first read.
        committed: the committed offset if the log still holds it, else None.
        skipped: the number of offsets that retention removed before the group read them.
    """

    offset: int
    committed: int | None
    skipped: int


def start_position(committed: int | None, beginning: int, end: int, start_at: str) -> Position:
    """Return the position from which to read a partition.

    A committed offset before the beginning of the log means that retention was faster than the group; one
    beyond its end belongs to a log that was deleted. Reading starts at the beginning in both cases.

    Args:
        committed: the committed offset of the group, None if there is none.
        beginning: the first offset of the log.
        end: the offset after the last record of the log.
        start_at: the position without a committed offset, `earliest` or `latest`.
    """
    if committed is None:
        return Position(end if start_at == "latest" else beginning, None, 0)
    if beginning <= committed <= end:
        return Position(committed, committed, 0)
    return Position(beginning, None, max(0, beginning - committed))


class CommittedOffset(NamedTuple):
    """An offset that the group has committed.

    Attributes:
        offset: the committed offset.
        topic_id: the id of the topic at the commit, None if it was committed without one.
    """

    offset: int
    topic_id: str | None


def choose_position(
    committed: CommittedOffset | None,
    log: tuple[int, int],
    start_at: str,
    topic_id: str | None,
    *,
    is_new: bool,
) -> Position:
    """Return the position from which to read a partition, with regard to the identity of its topic.

    An offset that was committed in a deleted topic of the same name means nothing in this log, even if it
    lies inside: reading starts at the beginning. The setting `start_at` is for the first start of a group, so
    a partition that was added later is read from its beginning too. An offset that was committed without the
    topic's id is valid, and the position asks for a new commit, which adds the id.

    Args:
        committed: the committed offset of the group, None if there is none.
        log: the first offset of the log, and the offset after its last record.
        start_at: the position without a committed offset, `earliest` or `latest`.
        topic_id: the id of the topic, None if the broker does not report ids.
        is_new: True if the partition was created after the group had read the topic.
    """
    beginning, end = log
    if committed is None:
        return start_position(None, beginning, end, "earliest" if is_new else start_at)
    if topic_id and committed.topic_id not in (None, topic_id):
        return Position(beginning, None, 0)
    position = start_position(committed.offset, beginning, end, start_at)
    if committed.topic_id == topic_id:
        return position
    return Position(position.offset, None, position.skipped)


def seek_back(consumer: Any, fetched: FetchedRecords, position_epoch: int) -> None:
    """Seek the assigned partitions to the first records of a fetch, so that the consumer reads them again.

    After a later seek the records are obsolete and the positions are already right, so nothing is changed.
    """
    if fetched.epoch == position_epoch:
        for tp, records in fetched.items():
            if tp in consumer.assignment():
                consumer.seek(tp, records[0].offset)
