"""Tests of the cache of schemas and of the client, with a scripted registry and an injected clock."""

import asyncio
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference
from confluent_kafka.schema_registry.error import SchemaRegistryError

from stream.errors import Poison, Reason, RegistryError, UsageError
from stream.records import DeadLetter, Decoder, Event, make_output_form
from stream.registry import RegistryClient, SchemaCache
from stream.registry.cache import CONCURRENT_REQUESTS, UNKNOWN_S
from stream.registry.fetch import SchemaFetcher
from stream.registry.formats import UnusableSchema
from stream.registry.frame import write_frame
from stream.registry.worker import RouteSchemas
from stream.routes import Route, RouteOptions
from stream.settings import Settings
from tests.unit.records import SOURCE, FakeRecord
from tests.unit.registry_schemas import CUSTOMER_AVRO, TICKET_AVRO
from tests.unit.test_registry_parsers import TICKET, ticket_avro

URL = "http://registry:8081"
NOT_FOUND = SchemaRegistryError(404, 40403, "Schema not found")


class Clock:
    """A clock that moves when something sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


class ScriptedRegistry:
    """The part of Confluent's client that the worker uses, with errors to raise before an answer."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.requests: list[Any] = []

    async def get_schema(self, schema_id: int) -> Schema:
        self.requests.append(schema_id)
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        if schema_id >= 100:
            raise NOT_FOUND
        name = "dev.shop.Customer" if schema_id < 99 else "gone"
        return Schema(TICKET_AVRO, "AVRO", [SchemaReference(name, name, 1)])

    async def get_version(self, subject: str, version: int) -> Any:
        self.requests.append(subject)
        if subject == "gone":
            raise SchemaRegistryError(404, 40401, "Subject not found")
        return SimpleNamespace(schema=Schema(CUSTOMER_AVRO, "AVRO"))


def registry_client(
    registry: ScriptedRegistry, clock: Clock, on_retry: Callable[[], None] = lambda: None
) -> RegistryClient:
    settings = Settings(schema_registry_url=URL, retry_deadline_s=20)
    return RegistryClient(settings, client=registry, clock=clock, sleep=clock.sleep, on_retry=on_retry)


def schema_cache(registry: ScriptedRegistry, clock: Clock | None = None, capacity: int = 10) -> SchemaCache:
    clock = clock or Clock()
    return SchemaCache(SchemaFetcher(registry_client(registry, clock)).fetch, clock, capacity)


def framed(*ids: int) -> list[bytes | None]:
    return [write_frame(schema_id, ticket_avro()) for schema_id in ids]


async def test_batches_share_one_request_for_a_schema() -> None:
    registry = ScriptedRegistry()
    cache = schema_cache(registry)
    await asyncio.gather(*(cache.resolve([*framed(1, 1), None, b"broken"]) for _ in range(3)))
    await cache.resolve(framed(1))
    assert registry.requests == [1, "dev.shop.Customer"]
    assert cache.parse(write_frame(1, ticket_avro()), "AVRO") == TICKET


async def test_the_cache_is_bounded_and_keeps_a_whole_batch() -> None:
    registry = ScriptedRegistry()
    cache = schema_cache(registry, capacity=3)
    batch = framed(*range(8))
    await cache.resolve(batch)
    for value in batch:
        assert cache.parse(value or b"", "AVRO") == TICKET
    await cache.resolve(framed(7))
    await cache.resolve(framed(9))
    assert len(cache._entries) == 4
    assert cache.parse(write_frame(7, ticket_avro()), "AVRO") == TICKET
    with pytest.raises(Poison, match="schema 0 was dropped"):
        cache.parse(write_frame(0, ticket_avro()), "AVRO")


async def test_an_unknown_schema_is_asked_for_again_after_a_while() -> None:
    registry, clock = ScriptedRegistry(), Clock()
    cache = schema_cache(registry, clock)
    for moment, requests in ((0.0, 1), (UNKNOWN_S - 1, 1), (UNKNOWN_S, 2)):
        clock.now = moment
        await cache.resolve(framed(404))
        assert registry.requests == [404] * requests
    with pytest.raises(Poison, match="the schema registry has no schema 404") as raised:
        cache.parse(write_frame(404, b""), "AVRO")
    assert raised.value.reason is Reason.SCHEMA


async def test_a_batch_of_unknown_schemas_is_asked_for_once_however_long_that_takes() -> None:
    registry, clock = ScriptedRegistry(), Clock()
    fetch, running, most = SchemaFetcher(registry_client(registry, clock)).fetch, 0, 0

    async def slow(schema_id: int) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        clock.now += UNKNOWN_S / 10
        found = await fetch(schema_id)
        running -= 1
        return found

    cache = SchemaCache(slow, clock, 10)
    batch = framed(*range(100, 200))
    await cache.resolve(batch)
    assert sorted(registry.requests) == list(range(100, 200))
    assert most == CONCURRENT_REQUESTS
    for value in batch:
        with pytest.raises(Poison, match="has no schema"):
            cache.parse(value or b"", "AVRO")


async def test_unknown_schemas_leave_the_cache_before_those_in_use() -> None:
    registry = ScriptedRegistry()
    cache = schema_cache(registry, capacity=3)
    await cache.resolve(framed(1, 2))
    await cache.resolve(framed(*range(100, 110)))
    await cache.resolve(framed(3))
    before = len(registry.requests)
    await cache.resolve(framed(1, 2))
    assert len(registry.requests) == before


async def test_a_batch_that_waits_keeps_the_schemas_that_it_has() -> None:
    registry = ScriptedRegistry()
    cache = schema_cache(registry, capacity=1)
    await cache.resolve(framed(1, 2))
    first, second = framed(1, 3), framed(2, 4, 5)
    await asyncio.gather(cache.resolve(second), asyncio.create_task(check(cache, first)))


async def check(cache: SchemaCache, batch: list[bytes | None]) -> None:
    await cache.resolve(batch)
    for value in batch:
        assert cache.parse(value or b"", "AVRO") == TICKET


async def test_an_error_of_the_registry_ends_all_requests_of_a_batch() -> None:
    registry, started = ScriptedRegistry(), list[int]()

    async def failing(schema_id: int) -> Any:
        started.append(schema_id)
        await asyncio.sleep(0)
        raise RegistryError("away", cause="refused", fix="start it")

    with pytest.raises(RegistryError, match="away"):
        await SchemaCache(failing, Clock()).resolve(framed(*range(100, 200)))
    assert len(started) == CONCURRENT_REQUESTS
    assert not registry.requests


@pytest.mark.parametrize("status", [409, 422])
async def test_an_id_that_the_registry_rejects_makes_dead_letters(status: int) -> None:
    cache = schema_cache(ScriptedRegistry(SchemaRegistryError(status, status, "no such id")))
    await cache.resolve(framed(1))
    with pytest.raises(Poison, match="has no schema 1"):
        cache.parse(write_frame(1, b""), "AVRO")


async def test_a_schema_that_takes_too_long_to_read_makes_dead_letters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hold = threading.Event()
    monkeypatch.setattr("stream.registry.fetch.make_parser", lambda _: hold.wait(30))
    monkeypatch.setattr("stream.registry.fetch.READ_S", 0.01)
    found = await SchemaFetcher(registry_client(ScriptedRegistry(), Clock())).fetch(1)
    hold.set()
    assert isinstance(found, UnusableSchema)
    assert "AVRO schema 1 cannot be read within" in found.message
    assert not found.may_appear


async def test_a_schema_whose_reference_is_gone_or_of_another_type_makes_dead_letters() -> None:
    cache = schema_cache(ScriptedRegistry())
    await cache.resolve(framed(1, 99))
    with pytest.raises(Poison, match="lacks a reference of schema 99"):
        cache.parse(write_frame(99, b""), "AVRO")
    with pytest.raises(Poison, match="schema 1 is of type AVRO, the route reads PROTOBUF"):
        cache.parse(write_frame(1, b""), "PROTOBUF")


async def test_the_client_waits_for_a_registry_that_is_away() -> None:
    away = [OSError("refused"), SchemaRegistryError(503, 50301, "busy"), SchemaRegistryError(429, 42901, "")]
    registry, clock, retries = ScriptedRegistry(*away), Clock(), list[int]()
    fetched = await SchemaFetcher(registry_client(registry, clock, lambda: retries.append(1))).fetch(1)
    assert not isinstance(fetched, UnusableSchema)
    assert len(retries) == 3
    assert clock.now == pytest.approx(0.2 + 0.4 + 0.8)


async def test_a_registry_that_stays_away_is_an_error_after_the_deadline() -> None:
    registry, clock = ScriptedRegistry(*[OSError("refused")] * 100), Clock()
    with pytest.raises(RegistryError, match=f"{URL} is not available") as raised:
        await SchemaFetcher(registry_client(registry, clock)).fetch(1)
    assert raised.value.exit_code == 4
    assert "refused; waited 20 s" in raised.value.cause
    assert 15 < clock.now <= 20


def untrusted() -> OSError:
    error = OSError("handshake")
    error.__cause__ = ssl.SSLCertVerificationError("self-signed")
    return error


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        (SchemaRegistryError(401, 401, "no"), "schema_registry_auth_file"),
        (SchemaRegistryError(403, 403, "no"), "grant the rights"),
        # The page of another server: its records must not become dead letters.
        (SchemaRegistryError(404, None, None), "schema_registry_url"),
        (SchemaRegistryError(405, -1, "<html>"), "schema_registry_url"),
        (untrusted(), "schema_registry_cafile"),
    ],
)
async def test_an_error_that_no_retry_cures_ends_the_worker_at_once(error: Exception, fix: str) -> None:
    clock = Clock()
    with pytest.raises(RegistryError) as raised:
        await SchemaFetcher(registry_client(ScriptedRegistry(error), clock)).fetch(1)
    assert fix in raised.value.fix
    assert clock.now == 0


def test_a_registry_must_be_named() -> None:
    with pytest.raises(UsageError, match="schema_registry_url is not set"):
        RegistryClient(Settings(input_format="avro"))


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (None, "No such file or directory"),
        (b"no-colon", "the file holds USER:PASSWORD"),
        (b"\xff:x", "it is not UTF-8"),
    ],
)
def test_credentials_that_cannot_be_read_are_a_usage_error(
    tmp_path: Path, content: bytes | None, cause: str
) -> None:
    file = tmp_path / "credentials"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match="schema_registry_auth_file") as refusal:
        RegistryClient(Settings(schema_registry_url=URL, schema_registry_auth_file=file))
    assert refusal.value.cause == cause


async def decode_all(options: RouteOptions, *records: FakeRecord) -> Any:
    cache = schema_cache(ScriptedRegistry())
    await cache.resolve(record.value for record in records)
    decoder = Decoder(options, max_event_bytes=1 << 20, max_text_chars=1000, schemas=cache)
    return decoder.decode_all(SOURCE, records)


async def test_events_with_a_schema_are_mapped_like_json() -> None:
    options = RouteOptions(input_format="avro", text_field="body", metadata_fields={"plan": "customer.plan"})
    value = write_frame(1, ticket_avro())
    headers = (("content-type", b"text/plain"), ("ce_specversion", b"9"))
    for record in (FakeRecord(value), FakeRecord(value, headers=headers)):
        (event,) = await decode_all(options, record)
        assert isinstance(event, Event)
        assert (event.id, event.text, event.metadata) == ("t-1", "refund", {"plan": "pro"})
        assert event.time == "2025-11-20T10:00:00Z"


async def test_values_without_a_usable_frame_are_dead_letters_with_their_bytes() -> None:
    options = RouteOptions(input_format="avro", text_field="body")
    value = write_frame(1, ticket_avro())
    broken = [b"{}", b"\x00\x00", value[:-1], write_frame(404, b"x"), value]
    records = [FakeRecord(item) for item in broken[:-1]]
    records.append(FakeRecord(value, headers=(("__value_schema_id", b"\x01" + bytes(16)),)))
    decoded = await decode_all(options, *records)
    reasons = [item.reason for item in decoded if isinstance(item, DeadLetter)]
    assert reasons == [Reason.DECODE, Reason.DECODE, Reason.DECODE, Reason.SCHEMA, Reason.SCHEMA]
    assert [item.record.value for item in decoded] == broken


async def test_included_fields_come_from_the_parsed_value() -> None:
    cache = schema_cache(ScriptedRegistry())
    record = FakeRecord(write_frame(1, ticket_avro()))
    await cache.resolve([record.value])
    route = Route(
        name="r",
        input_topic="a",
        output_topic="b",
        bundle="x",
        input_format="avro",
        include=("customer.plan", "text"),
    )
    shape = make_output_form(route, "g", RouteSchemas(inputs=cache)).shape
    assert shape is not None
    found = shape.apply(Event(record, "t-1", "refund"), b'{"id":"t-1"}')
    assert found == b'{"id":"t-1","event":{"customer":{"plan":"pro"},"text":"refund"}}'


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schema_registry_url": "registry:8081"}, "http://"),
        ({"schema_registry_url": "http://user:secret@registry"}, "schema_registry_auth_file"),
        ({"schema_registry_url": URL, "input_format": "protobuf", "output": "enrich"}, "output = enrich"),
        ({"schema_registry_url": URL, "output_format": "avro", "output": "enrich"}, "not of enriched"),
        ({"schema_registry_url": URL, "output_format": "avro", "include": "text"}, "no place for include"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        Settings(**options)
    assert "secret" not in str(raised.value.errors(include_input=False))  # type: ignore[attr-defined]
