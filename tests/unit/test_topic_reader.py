"""The reader of topics, with a double of aiokafka's consumer."""

from typing import Any

import pytest
from aiokafka import TopicPartition

from stream.errors import UnreadableBatchError
from stream.kafka.topic_reader import TopicReader
from stream.settings import load_settings

BROKEN, BUSY = TopicPartition("labels", 0), TopicPartition("labels", 1)


class FakeConsumer:
    """A consumer with records of one partition, while the next batch of another one cannot be read."""

    def __init__(self, reader: TopicReader, found: list[dict[TopicPartition, list[str]]]) -> None:
        self._reader = reader
        self._found = found

    async def getmany(self, **_: Any) -> dict[TopicPartition, list[str]]:
        self._reader._buffer.unreadable[BROKEN] = UnreadableBatchError("broken")
        return self._found.pop(0)


@pytest.mark.parametrize("found", [[{BUSY: ["a"]}] * 3, [{}]])
async def test_an_unreadable_batch_is_an_error_also_beside_a_busy_partition(
    found: list[dict[TopicPartition, list[str]]],
) -> None:
    reader = TopicReader(load_settings())
    reader.consumer = FakeConsumer(reader, found)
    if found[0]:
        assert [*await reader.poll(1)] == [BUSY]
    for _ in range(2):
        with pytest.raises(UnreadableBatchError, match="broken"):
            await reader.poll(1)
