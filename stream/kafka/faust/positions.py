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


def seek_back(consumer: Any, fetched: FetchedRecords, position_epoch: int) -> None:
    """Seek the assigned partitions to the first records of a fetch, so that the consumer reads them again.

    After a later seek the records are obsolete and the positions are already right, so nothing is changed.
    """
    if fetched.epoch == position_epoch:
        for tp, records in fetched.items():
            if tp in consumer.assignment():
                consumer.seek(tp, records[0].offset)
