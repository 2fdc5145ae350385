"""A check of the routes' topics for partition counts and size limits that cause problems."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from stream.kafka.topics.cluster import Cluster, TopicShape, describe_cluster, topic_names
from stream.kafka.topics.setup import MAX_BYTES, Configs, needed_dead_bytes, read_configs
from stream.settings import Settings


@dataclass(frozen=True, slots=True)
class TopicReport:
    """The state of a topic in one role.

    Attributes:
        name: the name of the topic.
        role: `input`, `output` or `dead`.
        shape: the partition count and the replication factor, None if the topic is missing.
        configs: the configuration, empty if the broker does not return it.
        warnings: pairs of a problem and its fix.
    """

    name: str
    role: str
    shape: TopicShape | None
    configs: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[tuple[str, str], ...] = ()


def assess_topics(settings: Settings, cluster: Cluster, configs: Configs) -> list[TopicReport]:
    """Compare the topics with the needs of the routes, and return a report for each topic and role."""
    reports: dict[tuple[str, str], TopicReport] = {}
    for route in settings.effective_routes:
        source = cluster.topics.get(route.input_topic)
        limit = int(configs.get(route.input_topic, {}).get(MAX_BYTES) or 0)
        names = {"input": route.input_topic, "output": route.output_topic, "dead": route.dead_topic}
        for role, name in names.items():
            shape, config = cluster.topics.get(name), configs.get(name, {})
            warnings = []
            if shape and source and shape.partitions != source.partitions:
                warnings.append(_count_warning(name, shape, route.input_topic, source))
            needed = needed_dead_bytes(settings.max_event_bytes, limit)
            if role == "dead" and config.get(MAX_BYTES) and int(config[MAX_BYTES]) < needed:
                warnings.append(_size_warning(name, int(config[MAX_BYTES]), needed))
            earlier = reports.get((name, role))
            unique = dict.fromkeys([*(earlier.warnings if earlier else ()), *warnings])
            reports[name, role] = TopicReport(name, role, shape, config, tuple(unique))
    return list(reports.values())


def _count_warning(name: str, shape: TopicShape, source: str, wanted: TopicShape) -> tuple[str, str]:
    return (
        f"{shape.partitions} partitions, but {source} has {wanted.partitions}: partitioned by key",
        f"kafka-topics.sh --alter --topic {name} --partitions {wanted.partitions}"
        if shape.partitions < wanted.partitions
        else f"use a new topic with {wanted.partitions} partitions; Kafka cannot remove partitions",
    )


def _size_warning(name: str, size: int, needed: int) -> tuple[str, str]:
    return (
        f"{MAX_BYTES} {size}: dead letters of the largest events need {needed}",
        f"kafka-configs.sh --alter --topic {name} --add-config {MAX_BYTES}={needed}",
    )


async def check_topics(settings: Settings, cluster: Cluster | None = None) -> list[TopicReport]:
    """Return a report on each topic of the routes.

    Args:
        settings: the routes, the address of the broker and the credentials.
        cluster: the description of the cluster, if it is already known.

    Raises:
        BrokerError: the broker does not answer.
    """
    cluster = cluster or await describe_cluster(settings)
    names = [name for name in topic_names(settings.effective_routes) if name in cluster.topics]
    return assess_topics(settings, cluster, await read_configs(settings, names))
