"""The commit of the offsets from which a new group starts to read."""

from collections.abc import Mapping

from aiokafka.structs import OffsetAndMetadata
from faust.types import TP

from stream.kafka.consumer import PartitionProducers
from stream.kafka.input_topics import InputTopics, commit_metadata
from stream.kafka.ranges import PartitionRanges
from stream.records import Source


async def commit_start_offsets(
    producers: PartitionProducers, topics: InputTopics, starts: Mapping[TP, PartitionRanges]
) -> None:
    """Commit the start of each partition without a valid committed offset, before it is read.

    Otherwise a group with `start_at = latest` that has read nothing would start again at a later offset.

    Args:
        producers: the open producers of the partitions.
        topics: the topics of the partitions.
        starts: the ranges of the partitions, without records.

    Raises:
        Fatal: the broker refused a commit, or did not answer in time.
    """
    wanted = {tp: ranges for tp, ranges in starts.items() if ranges.uncommitted}
    await producers.commit(
        {
            Source(*tp): OffsetAndMetadata(ranges.base, commit_metadata(topics.topic_id(tp.topic)))
            for tp, ranges in wanted.items()
        }
    )
    for ranges in wanted.values():
        ranges.committed = ranges.base
