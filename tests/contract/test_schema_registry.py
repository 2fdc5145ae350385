"""Routes under a real schema registry: records of Confluent's serializers, labels for its deserializers."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from confluent_kafka.schema_registry import topic_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from stream.bundle import Bundle
from stream.errors import RegistryError
from stream.registry import RegistryClient, open_schemas
from stream.registry.frame import write_frame
from stream.schemas import load_schema, schema_text
from stream.settings import Settings
from tests.pipeline import StartWorker, make_route, offline_labels, start_worker, tiny_bundle
from tests.real.client import BrokerClient, Record
from tests.real.registry import ApicurioRegistry
from tests.real.registry_proxy import PASSWORD, USER, RegistryProxy
from tests.real.wait import until
from tests.unit.registry_schemas import (
    ADDRESS_PROTO,
    CUSTOMER_AVRO,
    CUSTOMER_JSON,
    TICKET_AVRO,
    TICKET_JSON,
    TICKET_PROTO,
    ticket_message,
)

__all__ = ["start_worker", "tiny_bundle"]

RECOVERY_S = 60.0
TEXTS = ("card charged twice", "where is my parcel", "login crash again")
TICKETS = [
    {"id": f"t-{number}", "body": text, "customer": {"plan": "pro"}, "time": 1_763_632_800_000 + number}
    for number, text in enumerate(TEXTS)
]
# The clients' default asks for associations first, which Apicurio does not have.
BY_TOPIC = {"subject.name.strategy": topic_subject_name_strategy}
UNKNOWN = b"\x00\x00\x7f\xff\xff" + b"payload"


def value_context(topic: str) -> SerializationContext:
    return SerializationContext(topic, MessageField.VALUE)


def serialize(
    registry: ApicurioRegistry, topic: str, kind: str, tickets: Sequence[dict[str, Any]]
) -> list[bytes]:
    """Return tickets as Confluent's serializers write them, under schemas with references."""
    conf = {"auto.register.schemas": False, "use.latest.version": True, **BY_TOPIC}
    subject = f"{topic}-value"
    if kind == "avro":
        registry.register("dev.shop.Customer", CUSTOMER_AVRO, "AVRO")
        registry.register(subject, TICKET_AVRO, "AVRO", ("dev.shop.Customer",))
        write: Any = AvroSerializer(registry.client, conf=conf)
    elif kind == "json-schema":
        registry.register("customer.json", CUSTOMER_JSON, "JSON")
        registry.register(subject, TICKET_JSON, "JSON", ("customer.json",))
        write = JSONSerializer(TICKET_JSON, registry.client, conf={**conf, "validate": False})
    else:
        return _protobuf(registry, topic, tickets)
    return [write(ticket, value_context(topic)) for ticket in tickets]


def _protobuf(registry: ApicurioRegistry, topic: str, tickets: Sequence[dict[str, Any]]) -> list[bytes]:
    """Return messages of Confluent's serializer, and a last one under the same schema as .proto text.

    The serializer registers file descriptors, the clients for Java register texts.
    """
    *first, last = map(ticket_message, tickets)
    write = ProtobufSerializer(type(last), registry.client, {"use.deprecated.format": False, **BY_TOPIC})
    name = f"{topic}/address.proto"
    registry.register(name, ADDRESS_PROTO, "PROTOBUF")
    text = TICKET_PROTO.replace("shop/address.proto", name)
    schema_id = registry.register(f"{topic}-text", text, "PROTOBUF", (name,))
    framed = write_frame(schema_id, bytes([4, 2, 0]) + last.SerializeToString())
    return [*(write(message, value_context(topic)) for message in first), framed]


def await_records(broker: BrokerClient, topic: str, count: int) -> list[Record]:
    until(lambda: sum(broker.end_offsets(topic).values()) >= count, RECOVERY_S, f"{count} records in {topic}")
    return list(broker.records(topic))


def read_labels(
    registry: ApicurioRegistry, topic: str, output: str, records: Sequence[Record]
) -> list[dict[str, Any]]:
    """Return label records as a consumer with Confluent's deserializers reads them."""
    context = value_context(topic)
    if output == "avro":
        avro = AvroDeserializer(registry.client)
        return [avro(record.value, context) for record in records]
    if output == "json-schema":
        json = JSONDeserializer(None, schema_registry_client=registry.client)
        return [json(record.value, context) for record in records]
    return [orjson.loads(record.value or b"") for record in records]


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run `labelstream` with these words."""
    command = [sys.executable, "-m", "stream", *words]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=RECOVERY_S)


def headers_of(record: Record) -> dict[str, bytes]:
    return {name: value or b"" for name, value in record.headers}


FORMATS = (("avro", "avro"), ("json-schema", "json-schema"), ("protobuf", "json"))


def test_routes_of_every_format_are_labelled(
    broker: BrokerClient,
    schema_registry: ApicurioRegistry,
    start_worker: StartWorker,
    tiny_bundle: Bundle,
    tmp_path: Path,
) -> None:
    topics = {kind: make_route(broker, kind) for kind, _ in FORMATS}
    file = tmp_path / "labelstream.toml"
    file.write_text(
        f'schema_registry_url = "{schema_registry.url}"\n'
        + "".join(
            f'[[routes]]\nname = "{kind}"\ninput_topic = "{topics[kind]}"\n'
            f'output_topic = "{topics[kind]}.labels"\nbundle = "{tiny_bundle.path}"\n'
            f'input_format = "{kind}"\noutput_format = "{output}"\ntext_field = "body"\n'
            + ('include = ["customer.plan"]\n' if output != "avro" else "")
            for kind, output in FORMATS
        )
    )
    values = {kind: serialize(schema_registry, topics[kind], kind, TICKETS) for kind, _ in FORMATS}
    assert run("schemas", "check", "--config", str(file)).returncode == 4
    registered = run("schemas", "register", "--config", str(file))
    assert registered.returncode == 0, registered.stderr
    assert registered.stdout.count("ok") == 2
    assert run("schemas", "check", "--config", str(file)).returncode == 0
    worker = start_worker(broker, topics["avro"], config=file)
    broken = [b'{"id":"plain","body":"no frame"}', b"\x00\x00", UNKNOWN]
    for kind, topic in topics.items():
        cut = values[kind][0][:-3] if kind != "json-schema" else values[kind][0][:5] + b'{"body": 7}'
        broker.produce(topic, *values[kind], *broken, cut, partition=1)
        broker.produce(
            topic, values[kind][0], partition=1, headers=[("__value_schema_id", b"\x01" + bytes(16))]
        )
    expected = offline_labels(tiny_bundle, list(TEXTS))
    schema = jsonschema.Draft202012Validator(load_schema("label.v1"))
    for kind, output in FORMATS:
        topic = topics[kind]
        records = await_records(broker, f"{topic}.labels", len(TICKETS))
        labels = read_labels(schema_registry, f"{topic}.labels", output, records)
        for label, ticket, offline in zip(labels, TICKETS, expected, strict=True):
            assert (label["id"], label["label"]) == (ticket["id"], offline["label"])
            assert label["scores"] == pytest.approx(offline["scores"], abs=1e-5)
            assert label["time"].startswith("2025-11-20T10:00:00")
            if output != "avro":
                schema.validate(label)
                assert label["event"] == {"customer": {"plan": "pro"}}
        dead = await_records(broker, f"{topic}.dead", 5)
        assert [record.value for record in dead[:3]] == broken
        messages = [headers_of(record)["labelstream-error-message"].decode() for record in dead]
        assert "magic byte" in messages[0]
        assert "2 bytes" in messages[1]
        assert messages[2] == "the schema registry has no schema 8388607"
        assert "__value_schema_id" in messages[4]
        reasons = [headers_of(record)["labelstream-error-reason"] for record in dead]
        fourth = b"schema" if kind == "json-schema" else b"decode"
        assert reasons == [b"decode", b"decode", b"schema", fourth, b"schema"], messages
    assert worker.stop() == 0


def test_known_schemas_work_while_the_registry_is_away_and_an_unknown_one_ends_the_worker(
    embedded_broker: BrokerClient, schema_registry: ApicurioRegistry, start_worker: StartWorker
) -> None:
    topic = make_route(embedded_broker, "away")
    first, second, third = serialize(schema_registry, topic, "avro", TICKETS)
    worker = start_worker(
        embedded_broker,
        topic,
        input_format="avro",
        text_field="body",
        schema_registry_url=schema_registry.url,
        retry_deadline_s=4,
    )
    embedded_broker.produce(topic, first, partition=0)
    await_records(embedded_broker, worker.labels, 1)
    schema_registry.pause()
    embedded_broker.produce(topic, second, third, partition=0)
    await_records(embedded_broker, worker.labels, 3)
    embedded_broker.produce(topic, UNKNOWN, partition=0)
    assert worker.await_exit(RECOVERY_S) == 4
    assert f"the schema registry {schema_registry.url} is not available" in worker.log
    assert not embedded_broker.records(worker.dead)


def test_a_worker_without_the_registered_schema_exits_with_4(
    embedded_broker: BrokerClient, schema_registry: ApicurioRegistry, start_worker: StartWorker
) -> None:
    topic = make_route(embedded_broker, "unregistered")
    worker = start_worker(
        embedded_broker, topic, ready=False, output_format="avro", schema_registry_url=schema_registry.url
    )
    assert worker.await_exit(RECOVERY_S) == 4
    assert "labelstream schemas register" in worker.log


def test_an_incompatible_subject_is_reported_and_left_alone(schema_registry: ApicurioRegistry) -> None:
    schema_registry.register("taken-value", '"string"', "AVRO")
    flags = ("--schema-registry-url", schema_registry.url, "--output-topic", "taken")
    for output in ("avro", "json-schema"):
        done = run("schemas", "register", *flags, "--output-format", output)
        assert done.returncode == 4
        assert "incompatible" in done.stdout
    assert schema_registry.client.get_versions("taken-value") == [1]


@pytest.fixture
def proxy(schema_registry: ApicurioRegistry, tmp_path: Path) -> Iterator[RegistryProxy]:
    opened = RegistryProxy(schema_registry.url, tmp_path)
    yield opened
    opened.close()


def protected(proxy: RegistryProxy, folder: Path, user: str = USER, **changed: Any) -> Settings:
    file = folder / "credentials"
    file.write_text(f"{user}:{PASSWORD}\n", encoding="utf-8")
    settings = {
        "schema_registry_url": proxy.url,
        "schema_registry_auth_file": file,
        "schema_registry_cafile": proxy.cafile,
        "retry_deadline_s": 2,
        "input_format": "avro",
    }
    return Settings(**{**settings, **changed})


async def open_and_close(settings: Settings) -> None:
    client = RegistryClient(settings)
    try:
        await open_schemas(client, settings.effective_routes)
    finally:
        await client.close()


async def test_a_registry_with_tls_and_a_password(proxy: RegistryProxy, tmp_path: Path) -> None:
    proxy.failures = [503, 429]
    await open_and_close(protected(proxy, tmp_path))
    assert proxy.paths == ["/schemas/types"]


@pytest.mark.parametrize(
    ("changed", "cause", "fix"),
    [
        ({"user": "other"}, "HTTP status 401", "schema_registry_auth_file"),
        ({"schema_registry_cafile": None}, "certificate is not trusted", "schema_registry_cafile"),
    ],
)
async def test_wrong_credentials_and_certificates_are_refused_at_once(
    proxy: RegistryProxy, tmp_path: Path, changed: dict[str, Any], cause: str, fix: str
) -> None:
    settings = protected(proxy, tmp_path, **changed)
    with pytest.raises(RegistryError) as raised:
        await asyncio.wait_for(open_and_close(settings), 2)
    assert cause in raised.value.cause
    assert fix in raised.value.fix
    assert PASSWORD not in str(vars(raised.value))


def test_the_subject_follows_confluents_strategy_and_the_schema_is_the_file(
    schema_registry: ApicurioRegistry,
) -> None:
    flags = (
        "--schema-registry-url",
        schema_registry.url,
        "--output-topic",
        "named",
        "--output-format",
        "avro",
    )
    assert run("schemas", "register", *flags, "--compatibility", "FULL").returncode == 0
    subject = topic_subject_name_strategy(value_context("named"), None)
    registered = schema_registry.client.get_latest_version(subject)
    assert orjson.loads(registered.schema.schema_str) == orjson.loads(schema_text("label.v1.avsc"))
    assert schema_registry.client.get_compatibility(subject) == "FULL"
