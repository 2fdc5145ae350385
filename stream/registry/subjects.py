"""The subjects of the routes' label events: registration and checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import methodcaller
from typing import Literal

from stream.errors import UsageError
from stream.registry.client import NotFoundError, RegistryClient, RejectedError
from stream.registry.labels import make_schema, subject_of
from stream.routes import RegistryOutput, Route

Compatibility = Literal[
    "BACKWARD",
    "BACKWARD_TRANSITIVE",
    "FORWARD",
    "FORWARD_TRANSITIVE",
    "FULL",
    "FULL_TRANSITIVE",
    "NONE",
]
Status = Literal["ok", "missing", "not registered", "incompatible"]


@dataclass(frozen=True, slots=True)
class SubjectReport:
    """The state of the subject of an output topic.

    Attributes:
        subject: the name of the subject.
        routes: the names of the routes that write the topic.
        output_format: the format of the label events.
        status: `ok` if the subject has the schema of label events; `missing` if there is no such subject;
            `not registered` if the schema may be registered but is not; `incompatible` if it may not.
        schema_id: the id of the schema, if the subject has it.
        compatibility: the subject's own compatibility level, empty if the registry's default holds.
    """

    subject: str
    routes: tuple[str, ...]
    output_format: RegistryOutput
    status: Status
    schema_id: int | None = None
    compatibility: str = ""


async def register_subjects(
    client: RegistryClient, routes: Sequence[Route], compatibility: Compatibility
) -> list[SubjectReport]:
    """Set the compatibility level of each subject, and register the schema of label events.

    A schema that is registered already keeps its id. Nothing is registered if one of the subjects has an
    incompatible schema.

    Raises:
        RegistryError: the registry is not available, or refuses the request.
        UsageError: no route writes label events with a schema.
    """
    from confluent_kafka.schema_registry import Schema

    reports = await check_subjects(client, routes)
    if any(report.status == "incompatible" for report in reports):
        return reports
    for report in reports:
        subject, schema = report.subject, Schema(*make_schema(report.output_format))
        await client.call(methodcaller("register_schema", subject, schema, True))
        await client.call(methodcaller("set_compatibility", subject, compatibility))
    return await check_subjects(client, routes)


async def check_subjects(client: RegistryClient, routes: Sequence[Route]) -> list[SubjectReport]:
    """Return the state of the subject of each output topic whose label events have a schema.

    Raises:
        RegistryError: the registry is not available, or refuses the request.
        UsageError: no route writes label events with a schema.
    """
    return [
        await _check(
            client, topic, output, tuple(route.name for route in routes if route.output_topic == topic)
        )
        for topic, output in _topics(routes).items()
    ]


def _topics(routes: Sequence[Route]) -> Mapping[str, RegistryOutput]:
    found: dict[str, RegistryOutput] = {}
    for route in routes:
        if route.registry_output is None:
            continue
        if found.setdefault(route.output_topic, route.registry_output) != route.registry_output:
            raise UsageError(
                f"two routes write {route.output_topic} in two formats",
                cause="a subject holds schemas of one type",
                fix="give the routes the same output_format, or two output topics",
            )
    if not found:
        raise UsageError(
            "no route writes label events with a schema",
            cause="output_format is neither avro nor json-schema",
            fix="set output_format, for instance --output-format avro",
        )
    return found


async def _check(
    client: RegistryClient, topic: str, output: RegistryOutput, routes: tuple[str, ...]
) -> SubjectReport:
    from confluent_kafka.schema_registry import Schema

    subject, schema = subject_of(topic), Schema(*make_schema(output))
    compatibility = await _compatibility(client, subject)
    try:
        found = await client.call(methodcaller("lookup_schema", subject, schema, True))
    except (NotFoundError, RejectedError):
        status = await _status_without_schema(client, subject, schema)
        return SubjectReport(subject, routes, output, status, None, compatibility)
    return SubjectReport(subject, routes, output, "ok", found.schema_id, compatibility)


async def _compatibility(client: RegistryClient, subject: str) -> str:
    try:
        found: str = await client.call(methodcaller("get_compatibility", subject))
    except NotFoundError:
        return ""
    return found


async def _status_without_schema(client: RegistryClient, subject: str, schema: object) -> Status:
    try:
        compatible = await client.call(methodcaller("test_compatibility_all_versions", subject, schema))
    except NotFoundError:
        return "missing"
    except RejectedError:
        return "incompatible"
    return "not registered" if compatible else "incompatible"
