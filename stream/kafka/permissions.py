"""The permissions that a worker needs, and the errors and commands for those that it lacks."""

from collections.abc import Iterable, Sequence

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from stream.errors import BrokerError
from stream.records import Source
from stream.settings import Settings

READ, WRITE = "Read", "Write"
REFUSED = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)


def principal(settings: Settings) -> str:
    """Return the principal that the broker sees, as kafka-acls.sh takes it."""
    if settings.security_protocol.startswith("SASL"):
        return f"User:{settings.sasl_username}"
    # The broker derives the principal of a TLS client from its certificate, by rules of its own.
    return "User:ANONYMOUS" if settings.security_protocol == "PLAINTEXT" else "User:NAME"


def grant_command(settings: Settings, operation: str, *resource: str) -> str:
    """Return the kafka-acls.sh command that grants the worker's user an operation.

    Args:
        settings: the address of the broker and the user.
        operation: the operation, such as `Read`. `Read` and `Write` include `Describe`.
        resource: the flags that name the resources, such as `--group`, `labelstream`.
    """
    words = ["kafka-acls.sh", "--bootstrap-server", settings.broker, "--add"]
    words += ["--allow-principal", principal(settings), "--operation", operation, *resource]
    return " ".join(words)


def grant_topics(settings: Settings, topics: Iterable[str]) -> str:
    """Return the commands that grant the worker's user what it needs on these topics of its routes."""
    inputs = {route.input_topic for route in settings.effective_routes}
    outputs = {name for route in settings.effective_routes for name in route.written_topics}
    commands = []
    for operation, names in ((READ, inputs), (WRITE, outputs)):
        if flags := [part for name in sorted(names & set(topics)) for part in ("--topic", name)]:
            commands.append(grant_command(settings, operation, *flags))
    return " && ".join(commands)


def topic_error(settings: Settings, topics: Iterable[str]) -> BrokerError:
    """Return the error for topics that the worker's user may not use."""
    names = sorted(topics)
    inputs = {route.input_topic for route in settings.effective_routes}
    needs = ", ".join(f"{'READ' if name in inputs else 'WRITE'} on {name}" for name in names)
    return BrokerError(
        f"the broker refuses {principal(settings)} access to {_listed('topic', names)}",
        cause=f"TOPIC_AUTHORIZATION_FAILED: the user lacks {needs}",
        fix=f"grant it: {grant_topics(settings, names)}",
    )


def group_error(settings: Settings) -> BrokerError:
    """Return the error for a consumer group that the worker's user may not use."""
    return BrokerError(
        f"the broker refuses {principal(settings)} access to the consumer group {settings.group}",
        cause="GROUP_AUTHORIZATION_FAILED: the user lacks READ on the group",
        fix=f"grant it: {grant_command(settings, READ, '--group', settings.group)}",
    )


def producer_error(settings: Settings) -> BrokerError:
    """Return the error for a worker's user that may not use an idempotent producer."""
    outputs = {name for route in settings.effective_routes for name in route.written_topics}
    return BrokerError(
        f"the broker refuses {principal(settings)} an idempotent producer",
        cause="CLUSTER_AUTHORIZATION_FAILED: the user lacks WRITE on the output topics, or, on brokers "
        "before 2.8, IDEMPOTENT_WRITE on the cluster",
        fix=f"grant it: {grant_topics(settings, outputs)}; before 2.8 also: "
        f"{grant_command(settings, 'IdempotentWrite', '--cluster')}",
    )


def transactions_error(settings: Settings) -> BrokerError:
    """Return the error for a worker's user that may not use the transactional ids of its group."""
    ids = ("--transactional-id", f"{settings.group}/", "--resource-pattern-type", "prefixed")
    return BrokerError(
        f"the broker does not allow {principal(settings)} to use the transactional ids of the group "
        f"{settings.group}",
        cause="TRANSACTIONAL_ID_AUTHORIZATION_FAILED: exactly_once needs WRITE on the transactional ids",
        fix=f"grant it: {grant_command(settings, WRITE, *ids)}; or set delivery to at_least_once",
    )


def transactional_id(group: str, source: Source) -> str:
    """Return the transactional id of a source partition.

    Names of topics contain no slash, so different groups and topics never have the same id.
    """
    return f"{group}/{source.topic}/{source.partition}"


def authorization_error(settings: Settings, exc: BaseException) -> BrokerError | None:
    """Return the error for an exception that a missing permission caused, None for any other exception."""
    while not isinstance(exc, REFUSED) and isinstance(exc.__cause__, KafkaError):
        exc = exc.__cause__
    if isinstance(exc, TopicAuthorizationFailedError):
        named = exc.args[0] if exc.args else ()
        routes = settings.effective_routes
        every = [name for route in routes for name in (route.input_topic, *route.written_topics)]
        return topic_error(settings, ([named] if isinstance(named, str) else named) or every)
    if isinstance(exc, GroupAuthorizationFailedError):
        return group_error(settings)
    if isinstance(exc, ClusterAuthorizationFailedError):
        return producer_error(settings)
    if isinstance(exc, TransactionalIdAuthorizationFailed):
        return transactions_error(settings)
    return None


def _listed(noun: str, names: Sequence[str]) -> str:
    return f"the {noun}{'s' if len(names) > 1 else ''} {', '.join(names)}"
