"""How the topics of the routes are set up, and what about it will hurt."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from stream.kafka.topics.cluster import Cluster, TopicShape, ask_cluster, topic_names
from stream.kafka.topics.setup import MAX_BYTES, Configs, needed_dead_bytes, read_configs
from stream.settings import Settings


@dataclass(frozen=True, slots=True)
class TopicReport:
    """A topic as it is, and what is wrong with it.

    Attributes:
        role: input, output or dead.
        shape: None when the topic is missing.
        configs: empty when the broker does not tell them.
        warnings: pairs of what is wrong and the fix.
    """

    name: str
    role: str
    shape: TopicShape | None
    configs: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[tuple[str, str], ...] = ()


def judge_topics(settings: Settings, cluster: Cluster, configs: Configs) -> list[TopicReport]:
    """Hold the topics there are against what the routes need; one report for each topic and role."""
    reports: dict[tuple[str, str], TopicReport] = {}
    for route in settings.effective_routes:
        source = cluster.topics.get(route.input_topic)
        limit = int(configs.get(route.input_topic, {}).get(MAX_BYTES) or 0)
        names = {"input": route.input_topic, "output": route.output_topic, "dead": route.dead_topic}
        for role, name in names.items():
            shape, told = cluster.topics.get(name), configs.get(name, {})
            warnings = []
            if shape and source and shape.partitions != source.partitions:
                warnings.append(_count_warning(name, shape, route.input_topic, source))
            needed = needed_dead_bytes(settings.max_event_bytes, limit)
            if role == "dead" and told.get(MAX_BYTES) and int(told[MAX_BYTES]) < needed:
                warnings.append(_size_warning(name, int(told[MAX_BYTES]), needed))
            seen = reports.get((name, role))
            every = dict.fromkeys([*(seen.warnings if seen else ()), *warnings])
            reports[name, role] = TopicReport(name, role, shape, told, tuple(every))
    return list(reports.values())


def _count_warning(name: str, shape: TopicShape, source: str, wanted: TopicShape) -> tuple[str, str]:
    return (
        f"{shape.partitions} partitions, but {source} has {wanted.partitions}: records go by key",
        f"kafka-topics.sh --alter --topic {name} --partitions {wanted.partitions}"
        if shape.partitions < wanted.partitions
        else f"use a new topic with {wanted.partitions} partitions; partitions cannot be taken away",
    )


def _size_warning(name: str, size: int, needed: int) -> tuple[str, str]:
    return (
        f"{MAX_BYTES} {size}: the largest events do not fit as dead letters, they need {needed}",
        f"kafka-configs.sh --alter --topic {name} --add-config {MAX_BYTES}={needed}",
    )


async def check_topics(settings: Settings, cluster: Cluster | None = None) -> list[TopicReport]:
    """Ask the broker how the topics of the routes are set up.

    Args:
        settings: where and how to connect, and the routes.
        cluster: the broker's answer, where it was asked already.

    Raises:
        BrokerError: the broker does not answer.
    """
    cluster = cluster or await ask_cluster(settings)
    names = [name for name in topic_names(settings.effective_routes) if name in cluster.topics]
    return judge_topics(settings, cluster, await read_configs(settings, names))
