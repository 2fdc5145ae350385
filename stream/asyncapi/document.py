"""The AsyncAPI 3.0 document of a worker: its servers, and the channels and operations of its routes."""

from collections.abc import Iterator, Mapping
from typing import Any

from stream import __version__
from stream.asyncapi.messages import (
    KAFKA_BINDING,
    Message,
    dead_letter_message,
    event_message,
    label_message,
    tombstone_message,
)
from stream.routes import Route
from stream.settings import Settings
from stream.topic_template import fill_template, is_template

ASYNCAPI = "3.0.0"
PARAMETER = "label"
NO_BINDING: Mapping[str, Any] = {}
_SASL_SCHEMES = {"PLAIN": "plain", "SCRAM-SHA-256": "scramSha256", "SCRAM-SHA-512": "scramSha512"}


def make_document(settings: Settings) -> dict[str, Any]:
    """Return the document of the configured routes, from the view of the worker, as JSON values.

    Args:
        settings: the settings of the worker.
    """
    schemes = dict(_security_schemes(settings))
    routes = settings.effective_routes
    channels: dict[str, Any] = {}
    for route in routes:
        for topic, messages in _channels(route).items():
            channel = channels.setdefault(_channel_name(topic), _channel(topic))
            channel["messages"] |= messages
    return {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": f"labelstream: {settings.group}",
            "version": __version__,
            "description": "A worker that labels the texts of Kafka topics.",
        },
        "defaultContentType": "application/json",
        "servers": {name: _server(settings, host, list(schemes)) for name, host in _hosts(settings.broker)},
        "channels": channels,
        "operations": {name: found for route in routes for name, found in _operations(route, settings)},
        **({"components": {"securitySchemes": schemes}} if schemes else {}),
    }


def _hosts(broker: str) -> Iterator[tuple[str, str]]:
    hosts = [host.strip() for host in broker.split(",") if host.strip()]
    for number, host in enumerate(hosts, 1):
        yield ("kafka" if len(hosts) == 1 else f"kafka-{number}"), host


def _server(settings: Settings, host: str, schemes: list[str]) -> dict[str, Any]:
    encrypted = settings.security_protocol.endswith("SSL")
    security = [{"$ref": f"#/components/securitySchemes/{name}"} for name in schemes]
    return {
        "host": host,
        "protocol": "kafka-secure" if encrypted else "kafka",
        **({"security": security} if security else {}),
        **_registry(settings),
    }


def _registry(settings: Settings) -> dict[str, Any]:
    if not settings.schema_registry_url:
        return {}
    binding = {"schemaRegistryUrl": settings.schema_registry_url, "schemaRegistryVendor": "confluent"}
    return {"bindings": {"kafka": {**binding, "bindingVersion": KAFKA_BINDING}}}


def _security_schemes(settings: Settings) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the security schemes of the connection; they contain no names and no secrets."""
    if settings.security_protocol.startswith("SASL"):
        yield "sasl", {"type": _SASL_SCHEMES[settings.sasl_mechanism], "description": "SASL"}
    if settings.ssl_certfile is not None:
        yield "certificate", {"type": "X509", "description": "A client certificate"}


def _channels(route: Route) -> dict[str, dict[str, Message]]:
    """Return the messages of each topic of a route, with names that no other route uses."""
    return {
        route.input_topic: {
            f"{route.name}.event": event_message(route),
            f"{route.name}.tombstone": tombstone_message(),
        },
        **{
            topic: {
                f"{route.name}.label": label_message(route),
                f"{route.name}.tombstone": tombstone_message(),
            }
            for topic in route.output_topics
        },
        route.dead_topic: {f"{route.name}.dead-letter": dead_letter_message()},
    }


def _channel(topic: str) -> dict[str, Any]:
    parameters = {PARAMETER: {"description": "A label of the bundle, in the alphabet of topic names."}}
    return {
        "address": topic,
        "messages": {},
        **({"parameters": parameters} if is_template(topic) else {}),
        "bindings": {"kafka": {"topic": topic, "bindingVersion": KAFKA_BINDING}},
    }


def _channel_name(topic: str) -> str:
    return fill_template(topic, PARAMETER) if is_template(topic) else topic


def _operations(route: Route, settings: Settings) -> Iterator[tuple[str, dict[str, Any]]]:
    group = {"groupId": {"type": "string", "enum": [settings.group]}}
    yield _operation(route, "read", "receive", route.input_topic, "Read events", group)
    yield _operation(route, "label", "send", route.output_topic, "Write label events")
    if route.review_topic:
        title = "Write label events for review"
        yield _operation(route, "review", "send", route.review_topic, title)
    yield _operation(route, "reject", "send", route.dead_topic, "Write dead letters")


def _operation(
    route: Route, name: str, action: str, topic: str, title: str, binding: Mapping[str, Any] = NO_BINDING
) -> tuple[str, dict[str, Any]]:
    channel = f"#/channels/{_escape(_channel_name(topic))}"
    return (
        f"{route.name}.{name}",
        {
            "action": action,
            "title": title,
            "channel": {"$ref": channel},
            "messages": [{"$ref": f"{channel}/messages/{_escape(m)}"} for m in _channels(route)[topic]],
            "bindings": {"kafka": {**binding, "bindingVersion": KAFKA_BINDING}},
        },
    )


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
