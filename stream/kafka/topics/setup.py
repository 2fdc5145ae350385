"""Creation of the routes' topics, and the configuration of existing topics."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, TopicAlreadyExistsError, for_code

from stream.deadline import Deadline
from stream.errors import BrokerError
from stream.kafka.connection import client_options, error_cause
from stream.kafka.topics.cluster import Cluster, describe_cluster, topic_names
from stream.kafka.topics.wait import poll_topics
from stream.settings import Settings

MAX_BYTES = "max.message.bytes"
RETENTION_MS = "retention.ms"
# The space for the key, the headers and the fields of a record, in addition to the largest value.
HEADROOM_BYTES = 64 * 2**10
MIN_DEAD_BYTES = 2 * 2**20
ADMIN_TIMEOUT_S = 10.0
DOCTOR = "check the connection to the broker: labelstream doctor"
REFUSED = "choose values that the broker allows (see --help), or create the topic with the broker's tools"

Configs = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """The partition count, replication factor and configuration of a topic to create."""

    name: str
    partitions: int
    replication: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CreatedTopics:
    """The result of `create_topics`.

    Attributes:
        new: the partition counts of the created topics, by name.
        kept: the partition counts of the topics that already existed and are unchanged, by name.
        by_name: True if the broker created the topics on a request for their names and chose partition count
            and configuration itself, because it accepts no requests to create topics.
    """

    new: Mapping[str, int]
    kept: Mapping[str, int]
    by_name: bool


def needed_dead_bytes(max_event_bytes: int, input_limit: int = 0) -> int:
    """Return the smallest max.message.bytes of a dead-letter topic for every record of its input topic."""
    return max(MIN_DEAD_BYTES, max_event_bytes + HEADROOM_BYTES, input_limit + HEADROOM_BYTES)


def plan_topics(
    settings: Settings,
    cluster: Cluster,
    limits: Mapping[str, int],
    *,
    partitions: int,
    replication: int | None = None,
    retention_hours: float | None = None,
) -> list[TopicPlan]:
    """Return the missing topics of the routes.

    Output, review and dead-letter topics get as many partitions as their input topic.

    Args:
        settings: the routes and the size limit of an event.
        cluster: the existing brokers and topics.
        limits: the max.message.bytes of existing input topics, by name.
        partitions: the partition count of a new input topic.
        replication: the replication factor; default: 3, or the number of brokers if that is smaller.
        retention_hours: the retention in hours; default: the broker's.
    """
    common = {"compression.type": "producer"}
    if retention_hours is not None:
        common[RETENTION_MS] = str(round(retention_hours * 3_600_000))
    copies = replication or min(3, max(1, len(cluster.brokers)))
    plans: dict[str, TopicPlan] = {}
    for route in settings.effective_routes:
        existing = cluster.topics.get(route.input_topic)
        count = existing.partitions if existing else partitions
        limit = limits.get(route.input_topic, settings.max_event_bytes + HEADROOM_BYTES)
        # A label event repeats the key and the headers of its event, so it can be about as large.
        written = needed_dead_bytes(settings.max_event_bytes, limit)
        wanted = {route.input_topic: limit, **dict.fromkeys(route.written_topics, written)}
        for name, size in wanted.items():
            if name not in cluster.topics:
                plans.setdefault(name, TopicPlan(name, count, copies, {**common, MAX_BYTES: str(size)}))
    return list(plans.values())


async def create_topics(
    settings: Settings,
    *,
    partitions: int = 6,
    replication: int | None = None,
    retention_hours: float | None = None,
) -> CreatedTopics:
    """Create the missing topics of the routes, and return when the broker lists all topics.

    Raises:
        BrokerError: the broker does not answer, or refuses a topic.
    """
    names = topic_names(settings.effective_routes)
    cluster = await describe_cluster(settings)
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
        await describe_cluster(settings, create=[plan.name for plan in plans])
    found = await poll_topics(settings, names, Deadline(ADMIN_TIMEOUT_S))
    new = {plan.name: found[plan.name] for plan in plans}
    kept = {name: count for name, count in found.items() if name not in new}
    return CreatedTopics(new, kept, by_name=bool(plans) and not cluster.creates_topics)


async def create_topic(settings: Settings, plan: TopicPlan) -> None:
    """Create a topic if it does not exist, and return when the broker lists it.

    A broker that accepts no requests to create topics chooses partition count and configuration itself.

    Raises:
        BrokerError: the broker does not answer, or refuses the topic.
    """
    cluster = await describe_cluster(settings)
    if plan.name in cluster.topics:
        return
    if cluster.creates_topics:
        await _request_topics(settings, [plan])
    else:
        await describe_cluster(settings, create=[plan.name])
    await poll_topics(settings, [plan.name], Deadline(ADMIN_TIMEOUT_S))


async def _request_topics(settings: Settings, plans: Sequence[TopicPlan]) -> None:
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
    """Return the configuration of topics, by name. It is empty if the broker does not support the request.

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
            "the configuration of the topics could not be read", cause=error_cause(exc), fix=DOCTOR
        ) from exc
    described = [resource for answer in answers for resource in answer.resources]
    return {resource[3]: {entry[0]: entry[1] for entry in resource[4]} for resource in described}


async def read_max_bytes(settings: Settings, topic: str) -> int | None:
    """Return the max.message.bytes of a topic, None if the broker does not return it."""
    try:
        found = (await read_configs(settings, [topic])).get(topic, {}).get(MAX_BYTES)
    except BrokerError:
        return None
    return int(found) if found else None


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
