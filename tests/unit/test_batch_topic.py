"""What a batch topic keeps when Faust clones it for the agent that reads it."""

import faust

from stream.kafka.faust.transport import BatchTopic


async def test_the_clone_that_an_agent_reads_knows_the_size_of_its_batches() -> None:
    app = faust.App("unit", broker="kafka://127.0.0.1:1", store="memory://", autodiscover=False)
    topic = BatchTopic(app, topics=["texts"])
    topic.events_at_once = lambda: 7
    read = aiter(topic)
    assert read is not topic
    assert read.events_at_once() == 7
