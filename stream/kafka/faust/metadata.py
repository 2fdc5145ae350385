"""Topic metadata from a plain aiokafka consumer."""

from aiokafka import AIOKafkaConsumer


async def topic_partitions(consumer: AIOKafkaConsumer, topic: str) -> list[int]:
    """Return the partition numbers of a topic, after a request to the broker for its metadata."""
    # `partitions_for_topic` alone returns only what the client already knows.
    await consumer._client._wait_on_metadata(topic)
    return sorted(consumer.partitions_for_topic(topic) or ())
