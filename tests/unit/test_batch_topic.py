"""An agent reads from a clone of its batch topic, with the same limits."""

import faust

from stream.kafka.faust.topic import BatchTopic


class FixedLimits:
    record_batch_size = 7
    read_ahead = 14


async def test_the_clone_that_an_agent_reads_has_the_limits_of_its_topic() -> None:
    app = faust.App("unit", broker="kafka://127.0.0.1:1", store="memory://", autodiscover=False)
    limits = FixedLimits()
    topic = BatchTopic(app, topics=["texts"], limits=limits)
    read = aiter(topic)
    assert read is not topic
    assert read.limits is limits
