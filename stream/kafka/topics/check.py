"""A check of the routes' topics for partition counts and size limits that cause problems."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from stream.kafka.topics.cluster import Cluster, TopicShape, describe_cluster, topic_names
from stream.kafka.topics.setup import MAX_BYTES, Configs, needed_dead_bytes, read_configs
from stream.routes import Route
from stream.settings import Settings
from stream.wording import count_of

CLEANUP_POLICY, TIMESTAMP_TYPE = "cleanup.policy", "message.timestamp.type"
# The second name is that of releases before 3.6.
MAX_AGES = ("message.timestamp.before.max.ms", "message.timestamp.difference.max.ms")
NO_LIMIT = str(2**63 - 1)


@dataclass(frozen=True, slots=True)
class TopicReport:
    """The state of a topic in one role.

    Attributes:
        name: the name of the topic.
        role: `input`, `output`, `review` or `dead`.
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
        for role, name in _roles(route):
            shape, config = cluster.topics.get(name), configs.get(name, {})
            warnings = []
            if shape and source and shape.partitions != source.partitions:
                warnings.append(_count_warning(name, shape, route.input_topic, source))
            if role != "input":
                warnings += _refusal_warnings(name, config)
            if role in ("output", "review") and int(config.get(MAX_BYTES) or limit) < limit:
                warnings.append(_label_size_warning(name, int(config[MAX_BYTES]), route.input_topic, limit))
            needed = needed_dead_bytes(settings.max_event_bytes, limit)
            if role == "dead" and config.get(MAX_BYTES) and int(config[MAX_BYTES]) < needed:
                warnings.append(_size_warning(name, int(config[MAX_BYTES]), needed))
            earlier = reports.get((name, role))
            unique = dict.fromkeys([*(earlier.warnings if earlier else ()), *warnings])
            reports[name, role] = TopicReport(name, role, shape, config, tuple(unique))
    return list(reports.values())


def _roles(route: Route) -> Iterator[tuple[str, str]]:
    """Yield each topic of a route, after its role."""
    yield "input", route.input_topic
    for name in route.label_topics:
        yield "output", name
    if route.review_topic:
        yield "review", route.review_topic
    yield "dead", route.dead_topic


def _count_warning(name: str, shape: TopicShape, source: str, wanted: TopicShape) -> tuple[str, str]:
    own, new = count_of(shape.partitions, "partition"), count_of(wanted.partitions, "partition")
    return (
        f"{own}, but {source} has {wanted.partitions}: partitioned by key",
        f"kafka-topics.sh --alter --topic {name} --partitions {wanted.partitions}"
        if shape.partitions < wanted.partitions
        else f"use a new topic with {new}; Kafka cannot remove partitions",
    )


def _refusal_warnings(name: str, config: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield a warning for each setting with which the broker refuses records, which ends the worker."""
    if "compact" in (config.get(CLEANUP_POLICY) or "").split(","):
        yield (
            f"{CLEANUP_POLICY} {config[CLEANUP_POLICY]}: the broker refuses the output of events without a "
            "key, and the worker exits with code 4",
            f"produce every event with a key, or run: {_alter(name)} --add-config {CLEANUP_POLICY}=delete",
        )
    if config.get(TIMESTAMP_TYPE) == "LogAppendTime":
        return
    for setting in MAX_AGES:
        if (config.get(setting) or NO_LIMIT) != NO_LIMIT:
            yield (
                f"{setting} {config[setting]}: the broker refuses the output of events that are older "
                "(milliseconds), and the worker exits with code 4",
                f"run: {_alter(name)} --delete-config {setting}",
            )


def _label_size_warning(name: str, size: int, source: str, needed: int) -> tuple[str, str]:
    return (
        f"{MAX_BYTES} {size}, but {source} has {needed}: labels of events with large headers become dead "
        "letters (too-large)",
        f"{_alter(name)} --add-config {MAX_BYTES}={needed}",
    )


def _alter(name: str) -> str:
    return f"kafka-configs.sh --bootstrap-server HOST:PORT --alter --entity-type topics --entity-name {name}"


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
