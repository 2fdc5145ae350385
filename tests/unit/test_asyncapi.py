"""The AsyncAPI document: the topics, shapes and security of the routes, without secrets."""

from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from typer.testing import CliRunner

from stream.asyncapi import make_document
from stream.cli import app
from stream.settings import load_settings

EXAMPLES = Path(__file__).parents[2] / "examples" / "topics"
SECURED = {"broker": "a:1, b:2", "security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512"}
CASES: dict[str, dict[str, Any]] = {
    "default": {},
    "zendesk": {"config": EXAMPLES / "zendesk.toml"},
    "debezium": {"config": EXAMPLES / "debezium.toml"},
    "statuses": {"config": EXAMPLES / "statuses.toml"},
    "text, secured": {"input_format": "text", "output_format": "cloudevents-binary", **SECURED},
    "certificate": {"security_protocol": "SSL", "ssl_certfile": "c.pem", "ssl_keyfile": "k.pem"},
    "structured": {"output_format": "cloudevents-structured", "include": "text", "text_field": "a.*.b"},
    "label topics": {"output_topic": "labels.{label}", "review_topic": "review", "review_below": "0.5"},
    "registry": {
        "input_format": "protobuf",
        "output_format": "avro",
        "schema_registry_url": "http://registry:8081",
    },
    "shared topics": {},
}
SHARED = """
text_field = "/a~1b/0/c"
[[routes]]
name = "one/two"
input_topic = "in"
output_topic = "out"
bundle = "b"
[[routes]]
name = "three"
input_topic = "in2"
output_topic = "out"
dead_topic = "in.dead"
bundle = "c"
output = "enrich"
""".replace("one/two", "one.two")


def document(case: str, folder: Path) -> dict[str, Any]:
    flags = dict(CASES[case])
    config = flags.pop("config", None)
    if case == "shared topics":
        config = folder / "s.toml"
        config.write_text(SHARED)
    return make_document(load_settings(flags, config))


@pytest.mark.parametrize("case", CASES)
def test_every_reference_has_its_target(case: str, tmp_path: Path) -> None:
    found = document(case, tmp_path)

    def resolve(reference: str) -> Any:
        target: Any = found
        for step in reference.removeprefix("#/").split("/"):
            target = target[step.replace("~1", "/").replace("~0", "~")]
        return target

    def visit(node: Any) -> int:
        if isinstance(node, dict):
            if "$ref" in node:
                assert resolve(node["$ref"])
                return 1
            return sum(map(visit, node.values()))
        return sum(map(visit, node)) if isinstance(node, list) else 0

    assert visit(found) >= 6


def test_the_channels_are_the_topics_of_the_routes(tmp_path: Path) -> None:
    found = document("shared topics", tmp_path)
    assert set(found["channels"]) == {"in", "in2", "out", "in.dead"}
    assert set(found["channels"]["out"]["messages"]) == {
        "one.two.label",
        "one.two.tombstone",
        "three.label",
        "three.tombstone",
    }
    assert {name: entry["action"] for name, entry in found["operations"].items()} == {
        "one.two.read": "receive",
        "one.two.label": "send",
        "one.two.reject": "send",
        "three.read": "receive",
        "three.label": "send",
        "three.reject": "send",
    }
    assert found["operations"]["three.read"]["bindings"]["kafka"]["groupId"]["enum"] == ["labelstream"]


def test_the_servers_have_the_connection_without_its_secrets() -> None:
    flags = {**SECURED, "sasl_username": "ada", "sasl_password": "hunter2"}
    found = make_document(load_settings(flags))
    assert [(s["host"], s["protocol"]) for s in found["servers"].values()] == [
        ("a:1", "kafka-secure"),
        ("b:2", "kafka-secure"),
    ]
    assert found["components"]["securitySchemes"]["sasl"]["type"] == "scramSha512"
    assert not {"ada", "hunter2"} & set(str(found).replace("'", " ").split())


@pytest.mark.parametrize(("example", "count"), [("zendesk", 2), ("debezium", 2), ("statuses", 2)])
def test_the_schema_of_mapped_events_accepts_them_and_no_others(
    example: str, count: int, tmp_path: Path
) -> None:
    found = document(example, tmp_path)
    (message,) = (
        message
        for channel in found["channels"].values()
        for name, message in channel["messages"].items()
        if name.endswith(".event")
    )
    validator = jsonschema.Draft7Validator(message["payload"]["schema"])
    events = [*map(orjson.loads, (EXAMPLES / f"{example}.jsonl").read_bytes().splitlines())]
    assert len(events) == count
    for event in events:
        validator.validate(event)
    assert not validator.is_valid({"other": 1})


@pytest.mark.parametrize("case", CASES)
def test_the_examples_fit_their_schemas(case: str, tmp_path: Path) -> None:
    checked = 0
    for channel in document(case, tmp_path)["channels"].values():
        for message in channel["messages"].values():
            schema = message["payload"].get("schema", message["payload"])
            for example in message.get("examples", ()):
                jsonschema.Draft7Validator(schema).validate(example["payload"])
                checked += 1
    assert checked


def test_the_command_writes_the_document(tmp_path: Path) -> None:
    file = tmp_path / "asyncapi.json"
    words = ["asyncapi", "--input-topic", "mails", "--text-field", "body"]
    printed = CliRunner().invoke(app, words, catch_exceptions=False)
    written = CliRunner().invoke(app, [*words, "--to", str(file)], catch_exceptions=False)
    assert (printed.exit_code, written.exit_code, written.stdout) == (0, 0, "")
    assert orjson.loads(printed.stdout) == orjson.loads(file.read_bytes())
    assert "mails" in orjson.loads(printed.stdout)["channels"]


def test_a_topic_per_label_is_a_channel_with_a_parameter(tmp_path: Path) -> None:
    found = document("label topics", tmp_path)
    channel = found["channels"]["labels.label"]
    assert (channel["address"], list(channel["parameters"])) == ("labels.{label}", ["label"])
    assert set(found["operations"]) == {f"default.{name}" for name in ("read", "label", "review", "reject")}
    assert found["operations"]["default.review"]["channel"]["$ref"] == "#/channels/review"
