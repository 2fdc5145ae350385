"""The AsyncAPI messages of a route: events, label events, dead letters and tombstones."""

from typing import Any

from stream.field_paths import EVERY_ELEMENT, FieldPath, parse_path, parse_template
from stream.routes import REGISTRY_INPUTS, Route
from stream.schemas import Name, load_schema

KAFKA_BINDING = "0.5.0"
DRAFT_07 = "application/schema+json;version=draft-07"
JSON = "application/json"
CLOUD_EVENTS_JSON = "application/cloudevents+json"
CONTENT_TYPES = {"avro": "application/avro", "protobuf": "application/protobuf"}
FRAME = {
    "schemaIdLocation": "payload",
    "schemaIdPayloadEncoding": "confluent",
    "schemaLookupStrategy": "TopicNameStrategy",
}
LABEL_EVENT: dict[str, Any] = {
    "id": "t-42",
    "label": "billing",
    "score": 0.981,
    "scores": {"billing": 0.981, "refund": 0.019},
    "model": {"name": "support", "version": "1", "digest": f"sha256:{'0' * 64}", "variant": "int8"},
    "cached": False,
    "source": {"topic": "texts", "partition": 3, "offset": 1041},
    "time": "2026-11-20T10:00:00Z",
    "labelled_at": "2026-11-20T10:00:00.041Z",
}
_LABEL_HEADERS = {
    "labelstream-id": "The event's id.",
    "labelstream-model": "The bundle: NAME@VERSION.",
    "labelstream-schema": "The version of the contract: label.v1.",
    "content-type": "The content type of the value.",
}
_ATTRIBUTES = ("specversion", "id", "source", "type")
Message = dict[str, Any]


def event_message(route: Route) -> Message:
    """Return the message of the events that a route reads."""
    if route.input_format == "text":
        return {
            "title": "Text",
            "summary": "The text itself, UTF-8 unless the header content-type names another charset.",
            "contentType": "text/plain",
            "payload": {"type": "string"},
            **_kafka_key(),
        }
    schema = _mapped_schema(route) if route.maps_fields else _schema("event.v1")
    examples = schema.pop("examples", [])
    return {
        "title": "Event",
        "summary": "A text to be labelled.",
        "contentType": CONTENT_TYPES.get(route.input_format, JSON),
        "headers": _headers(
            {"labelstream-id": "The event's id; it takes precedence over that of the value."}
        ),
        "payload": _multi_format(schema),
        **_kafka_key(framed=route.input_format in REGISTRY_INPUTS),
        **({"examples": [{"payload": example} for example in examples]} if examples else {}),
    }


def label_message(route: Route) -> Message:
    """Return the message of the label events that a route writes."""
    label = _schema("label.v1")
    schema, example = label, dict(LABEL_EVENT)
    if route.output == "enrich":
        schema = {
            "type": "object",
            "description": "The input event, with the label event as one more member.",
            "required": [route.label_field],
            "properties": {route.label_field: label},
        }
        example = {route.label_field: LABEL_EVENT}
    content_type = CONTENT_TYPES.get(route.output_format, JSON)
    headers = dict(_LABEL_HEADERS)
    if route.output_format == "cloudevents-structured":
        content_type = CLOUD_EVENTS_JSON
        schema, example = _envelope(schema), {**_example_attributes(), "data": example}
    elif route.output_format == "cloudevents-binary":
        headers |= {f"ce_{name}": "An attribute of the CloudEvent." for name in _ATTRIBUTES}
    return {
        "title": "Label event",
        "summary": "The prediction for an event, with the key and the headers of the event.",
        "contentType": content_type,
        "headers": _headers(headers, required=True),
        "payload": _multi_format(schema),
        **_kafka_key(framed=route.registry_output is not None),
        "examples": [{"payload": example}],
    }


def dead_letter_message() -> Message:
    """Return the message of dead letters, whose value is that of the input."""
    return {
        "title": "Dead letter",
        "summary": "A record that cannot be labelled: key, value and headers of the input, and the error.",
        "headers": _multi_format(_schema("dead-letter-headers.v1")),
        "payload": {"description": "The value of the input; any bytes."},
        **_kafka_key(),
    }


def tombstone_message() -> Message:
    """Return the message of tombstones."""
    return {
        "title": "Tombstone",
        "summary": "A null value with the key of the input, for compacted topics.",
        "payload": {"type": "null"},
        **_kafka_key(),
    }


def _mapped_schema(route: Route) -> dict[str, Any]:
    """Return the schema of events whose fields a route reads by paths."""
    root: dict[str, Any] = {
        "type": "object",
        "description": "An event of any shape; only the fields that the worker reads are listed.",
    }
    if route.text_template:
        for part in parse_template(route.text_template):
            if part.path is not None:
                _add(root, part.path, {"description": "A part of the text."}, required=not part.optional)
    else:
        text = {"type": "string", "description": "The text to label."}
        _add(root, parse_path(route.text_field or "text"), text, required=True)
    optional: tuple[tuple[str, dict[str, Any]], ...] = (
        (route.text_pair_field, {"type": "string", "description": "The second text."}),
        (route.id_field, {"type": ["string", "integer", "null"], "description": "The event's id."}),
        (route.time_field, {"description": "The event's time: RFC 3339 or a Unix time."}),
        *((path, {"description": f"The metadata column {n}."}) for n, path in route.metadata_fields.items()),
    )
    for path, found in optional:
        if path:
            _add(root, parse_path(path), found)
    return root


def _add(schema: dict[str, Any], path: FieldPath, found: dict[str, Any], *, required: bool = False) -> None:
    """Add the schema of the field at a path; a step that may be an element makes its parent unrestricted."""
    for at, step in enumerate(path.steps):
        if step == EVERY_ELEMENT or step.isdecimal():
            schema["description"] = f"Holds the field {path.written}. {found['description']}"
            return
        if required and step not in schema.setdefault("required", []):
            schema["required"].append(step)
        last = at == len(path.steps) - 1
        inner: dict[str, Any] = dict(found) if last else {}
        schema.setdefault("type", "object")
        schema = schema.setdefault("properties", {}).setdefault(step, inner)


def _envelope(data: dict[str, Any]) -> dict[str, Any]:
    attribute = {"type": "string", "minLength": 1}
    return {
        "type": "object",
        "description": "A CloudEvent 1.0 whose data is the label event.",
        "required": [*_ATTRIBUTES, "data"],
        "properties": {**dict.fromkeys(_ATTRIBUTES, attribute), "data": data},
    }


def _example_attributes() -> dict[str, str]:
    return {
        "specversion": "1.0",
        "id": "texts-3-1041",
        "source": "urn:labelstream:labelstream:default",
        "type": "dev.labelstream.label.v1",
    }


def _schema(name: Name) -> dict[str, Any]:
    """Return a schema of the records without its dialect and id, which an AsyncAPI document does not take."""
    return {key: value for key, value in load_schema(name).items() if key not in ("$schema", "$id")}


def _multi_format(schema: dict[str, Any]) -> dict[str, Any]:
    return {"schemaFormat": DRAFT_07, "schema": schema}


def _headers(described: dict[str, str], *, required: bool = False) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: {"type": "string", "description": text} for name, text in described.items()},
        **({"required": list(described)} if required else {}),
    }


def _kafka_key(*, framed: bool = False) -> dict[str, Any]:
    """Return the binding of a message; `framed` says that its value begins with the id of a schema."""
    key = {"type": "string", "description": "Any bytes; output records have the key of their input."}
    return {"bindings": {"kafka": {"key": key, **(FRAME if framed else {}), "bindingVersion": KAFKA_BINDING}}}
