"""Create the topics of the routes, and check how those that exist are set up."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, TopicAlreadyExistsError, for_code

from stream.errors import BrokerError
from stream.kafka.connection import client_options, error_cause
from stream.kafka.topics.cluster import Cluster, ask_cluster, keep_asking, topic_names
from stream.settings import Settings

MAX_BYTES = "max.message.bytes"
RETENTION_MS = "retention.ms"
# Room for key, headers and the record's own fields beside a value of the largest size.
HEADROOM_BYTES = 64 * 2**10
MIN_DEAD_BYTES = 2 * 2**20
ADMIN_TIMEOUT_S = 10.0
DOCTOR = "check the way to the broker: labelstream doctor"
REFUSED = "ask for what the broker allows (see --help), or create the topic with its own tools"

Configs = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Plan:
    """A topic to be created: its partitions, copies and configuration."""

    name: str
    partitions: int
    replication: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Created:
    """What became of the wish for topics.

    Attributes:
        new: name → partitions of the topics that were made.
        kept: name → partitions of those that existed already; they were not touched.
        by_name: this broker takes no requests to create topics; it chose partitions and settings itself.
    """

    new: Mapping[str, int]
    kept: Mapping[str, int]
    by_name: bool


def needed_dead_bytes(max_event_bytes: int, input_limit: int = 0) -> int:
    """Smallest max.message.bytes of a dead topic that takes every record its input topic can hold."""
    return max(MIN_DEAD_BYTES, max_event_bytes + HEADROOM_BYTES, input_limit + HEADROOM_BYTES)


def plan_topics(
    settings: Settings,
    cluster: Cluster,
    limits: Mapping[str, int],
    *,
    partitions: int,
    replication: int | None = None,
    retention_hours: float | None = None,
) -> list[Plan]:
    """The topics that the routes lack; output and dead topics get as many partitions as their input.

    Args:
        settings: the routes, and the largest event.
        cluster: the brokers and topics there are.
        limits: max.message.bytes of the input topics that exist, by name.
        partitions: of an input topic.
        replication: copies of each partition; default: 3, or one a broker where there are fewer.
        retention_hours: how long records are kept; default: the broker's.
    """
    common = {"compression.type": "producer"}
    if retention_hours is not None:
        common[RETENTION_MS] = str(round(retention_hours * 3_600_000))
    copies = replication or min(3, max(1, len(cluster.brokers)))
    plans: dict[str, Plan] = {}
    for route in settings.effective_routes:
        there = cluster.topics.get(route.input_topic)
        count = there.partitions if there else partitions
        limit = limits.get(route.input_topic, settings.max_event_bytes + HEADROOM_BYTES)
        # Labels repeat key and headers of their event, so they can be about as large as it.
        written = needed_dead_bytes(settings.max_event_bytes, limit)
        wanted = {route.input_topic: limit, route.output_topic: written, route.dead_topic: written}
        for name, size in wanted.items():
            if name not in cluster.topics:
                plans.setdefault(name, Plan(name, count, copies, {**common, MAX_BYTES: str(size)}))
    return list(plans.values())


async def create_topics(
    settings: Settings,
    *,
    partitions: int = 6,
    replication: int | None = None,
    retention_hours: float | None = None,
) -> Created:
    """Create the topics of the routes that do not exist; returns when the broker lists them all.

    Raises:
        BrokerError: the broker does not answer, or refuses a topic.
    """
    names = topic_names(settings.effective_routes)
    cluster = await ask_cluster(settings)
    configs = await read_configs(settings, [name for name in names if name in cluster.topics])
    limits = {name: int(found[MAX_BYTES]) for name, found in configs.items() if found.get(MAX_BYTES)}
    plans = plan_topics(
        settings,
        cluster,
        limits,
        partitions=partitions,
        replication=replication,
        retention_hours=retention_hours,
    )
    if plans and cluster.creates_topics:
        await _request_topics(settings, plans)
    elif plans:
        await ask_cluster(settings, create=[plan.name for plan in plans])
    found = await keep_asking(settings, names, ADMIN_TIMEOUT_S)
    new = {plan.name: found[plan.name] for plan in plans}
    kept = {name: count for name, count in found.items() if name not in new}
    return Created(new, kept, by_name=bool(plans) and not cluster.creates_topics)


async def _request_topics(settings: Settings, plans: Sequence[Plan]) -> None:
    topics = [NewTopic(p.name, p.partitions, p.replication, topic_configs=dict(p.configs)) for p in plans]
    try:
        async with _admin(settings) as admin:
            answer = await admin.create_topics(topics, timeout_ms=int(ADMIN_TIMEOUT_S * 1000))
    except (KafkaError, OSError) as exc:
        raise BrokerError("the topics could not be created", cause=error_cause(exc), fix=DOCTOR) from exc
    for name, code, *message in answer.topic_errors:
        if code not in (0, TopicAlreadyExistsError.errno):
            refusal = for_code(code)(*filter(None, message))
            raise BrokerError(f"topic {name} could not be created", cause=error_cause(refusal), fix=REFUSED)


async def read_configs(settings: Settings, names: Sequence[str]) -> Configs:
    """Configuration of topics by name; empty where the broker does not tell it to this user.

    Raises:
        BrokerError: the broker does not answer.
    """
    if not names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    try:
        async with _admin(settings) as admin:
            answers = await admin.describe_configs(resources)
    except IncompatibleBrokerVersion:
        return {}
    except (KafkaError, OSError) as exc:
        raise BrokerError(
            "the topics' settings could not be read", cause=error_cause(exc), fix=DOCTOR
        ) from exc
    told = [resource for answer in answers for resource in answer.resources]
    return {resource[3]: {entry[0]: entry[1] for entry in resource[4]} for resource in told}


@asynccontextmanager
async def _admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(
        **client_options(settings), client_id="labelstream", request_timeout_ms=int(ADMIN_TIMEOUT_S * 1000)
    )
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()
