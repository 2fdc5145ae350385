"""produce, tail and doctor without a broker: input, sent records and output."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import MessageSizeTooLargeError

from stream.codec.python import PythonCodec
from stream.commands.checks import CheckResult, run_checks
from stream.commands.record_reader import FileFormat, ProducerRecord, RecordReader
from stream.commands.tail_cells import dead_cells, label_cells
from stream.errors import BrokerError, UsageError
from stream.kafka.sender import Sender
from stream.settings import load_settings
from tests.unit.records import FakeRecord


async def read(path: Path | str, file_format: FileFormat) -> tuple[list[ProducerRecord], RecordReader]:
    with RecordReader(str(path), file_format) as reader:
        return [event async for batch in reader.batches() for event in batch], reader


async def test_json_lines_keep_every_byte_even_when_invalid(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b'{"text":  "a"}\n{broken\n\n\xff\xfe\r\n"b" ')
    events, reader = await read(file, FileFormat("json"))
    assert [event.value for event in events] == [b'{"text":  "a"}', b"{broken", b"\xff\xfe", b'"b" ']
    assert reader.not_json == 2
    assert reader.position == reader.size == file.stat().st_size


async def test_a_line_longer_than_a_chunk_stays_whole(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    long = json.dumps({"text": "x" * 2**20}).encode()
    file.write_bytes(long + b"\n" + long)
    events, _ = await read(file, FileFormat("json"))
    assert [event.value for event in events] == [long, long]


async def test_the_key_comes_from_a_field_of_the_event(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text('{"k": "é"}\n{"k": 7}\n{"k": null}\n{}\n[1]\n{broken\n')
    events, _ = await read(file, FileFormat("json", key_field="k"))
    assert [event.key for event in events] == ["é".encode(), b"7", None, None, None, None]


async def test_text_lines_are_bare_texts(tmp_path: Path) -> None:
    file = tmp_path / "log.txt"
    file.write_text("one\n\n two \n")
    events, reader = await read(file, FileFormat("text"))
    assert [event.value for event in events] == [b"one", b" two "]
    assert reader.not_json == 0


async def test_csv_rows_become_events(tmp_path: Path) -> None:
    file = tmp_path / "tickets.csv"
    file.write_text('\ufeffticket,message,who\n1,"hi, ""there""\nyou",ann\n,short,bob\n3\n')
    events, _ = await read(file, FileFormat("csv", "message", "ticket", "who"))
    assert [json.loads(event.value) for event in events] == [
        {"id": "1", "text": 'hi, "there"\nyou'},
        {"text": "short"},
        {"id": "3", "text": ""},
    ]
    assert [event.key for event in events] == [b"ann", b"bob", None]


async def test_a_csv_file_without_the_column_is_an_error_with_its_columns(tmp_path: Path) -> None:
    file = tmp_path / "tickets.csv"
    file.write_text("ticket,message\n1,a\n")
    with pytest.raises(UsageError, match="no column 'text'") as refusal:
        await read(file, FileFormat("csv"))
    assert "ticket, message" in refusal.value.cause


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ("ticket,text\n1,ok\n2,Hello, please cancel\n", "after line 3: the row has more fields"),
        ('text,ticket\n"a" b,1\n', "',' expected"),
        ("text,text\na,b\n", "text, text"),
    ],
)
async def test_a_csv_row_whose_text_would_be_cut_is_an_error(
    tmp_path: Path, content: str, cause: str
) -> None:
    file = tmp_path / "tickets.csv"
    file.write_text(content)
    with pytest.raises(UsageError) as refusal:
        await read(file, FileFormat("csv"))
    assert cause in refusal.value.cause
    assert refusal.value.fix


async def test_csv_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "tickets.csv"
    file.write_bytes(b"text\nna\xefve\n")
    with pytest.raises(UsageError, match="cannot be read as CSV"):
        await read(file, FileFormat("csv"))


async def test_a_pipe_gives_lines_as_they_arrive_without_blocking_the_loop(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writing = os.open(pipe, os.O_RDWR)
    with RecordReader(str(pipe), FileFormat("json")) as reader:
        assert reader.size is None
        batches = reader.batches()
        assert isinstance(batches, AsyncGenerator)
        waiting = asyncio.create_task(anext(batches))
        await asyncio.sleep(0)
        assert not waiting.done()
        os.write(writing, b'{"text": "now"}\n')
        assert await waiting == [ProducerRecord(b'{"text": "now"}')]
        await batches.aclose()
    os.close(writing)


@pytest.mark.parametrize("name", ["none.jsonl", "."])
def test_an_unreadable_file_is_a_usage_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        RecordReader(str(tmp_path / name), FileFormat("json"))


class FakeProducer:
    """A producer that settles the futures at flush, and refuses the values in `refused`."""

    refused: tuple[bytes, ...] = ()

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.records: list[tuple[str, bytes, bytes | None, list[tuple[str, bytes]]]] = []
        self._futures: list[tuple[bytes, asyncio.Future[None]]] = []

    async def send(
        self, topic: str, *, value: bytes, key: bytes | None, headers: Any
    ) -> asyncio.Future[None]:
        self.records.append((topic, value, key, headers))
        future = asyncio.get_running_loop().create_future()
        self._futures.append((value, future))
        return future

    async def flush(self) -> None:
        for value, future in self._futures:
            if value in self.refused:
                future.set_exception(MessageSizeTooLargeError())
            else:
                future.set_result(None)


class RefusingProducer(FakeProducer):
    """A producer whose broker refuses the value `big`."""

    refused = (b"big",)


async def test_every_confirmed_delivery_is_counted() -> None:
    producers: list[FakeProducer] = []

    def make(**options: Any) -> FakeProducer:
        producers.append(FakeProducer(**options))
        return producers[0]

    sender = Sender(load_settings(), "texts", [("h", b"v")], make)
    await sender.send(b"a", b"k")
    await sender.send(b"b")
    assert (sender.sent, sender.confirmed) == (2, 0)
    await sender.finish()
    assert (sender.sent, sender.confirmed) == (2, 2)
    assert producers[0].records == [
        ("texts", b"a", b"k", [("h", b"v")]),
        ("texts", b"b", None, [("h", b"v")]),
    ]
    assert producers[0].options["acks"] == "all"
    assert producers[0].options["enable_idempotence"] is True


async def test_a_refused_delivery_is_an_error_with_the_number_of_confirmed_events() -> None:
    sender = Sender(load_settings(), "texts", [], RefusingProducer)
    for value in (b"a", b"big", b"c"):
        await sender.send(value)
    with pytest.raises(BrokerError, match="2 are confirmed") as failure:
        await sender.finish()
    assert failure.value.cause.startswith("MessageSizeTooLarge")
    with pytest.raises(BrokerError):
        await sender.send(b"d")


def test_a_label_event_is_printed_with_its_source() -> None:
    event = {"id": "t-1", "label": "billing", "score": 0.98123, "cached": True}
    source = {"source": {"topic": "texts", "partition": 2, "offset": 9}}
    cells = label_cells(3, FakeRecord(json.dumps(event | source).encode()))
    assert cells[1:] == ["t-1", "billing", "0.9812", "yes", "2@9", "-"]


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (None, "(tombstone)"),
        (b"{", "(not JSON)"),
        (b"[1]", "(not a label event)"),
        (b'{"score": "x"}', "(not a label event)"),
    ],
)
def test_records_that_are_not_label_events_are_printed_too(value: bytes | None, label: str) -> None:
    assert label_cells(3, FakeRecord(value))[1:] == ["-", label, "-", "-", "3@1041", "-"]


def test_a_dead_letter_is_printed_with_reason_and_origin() -> None:
    names = {
        "topic": b"texts",
        "partition": b"3",
        "offset": b"7",
        "reason": b"decode",
        "message": b"not \xff",
    }
    headers = [("labelstream-id", b"t-9"), *((f"labelstream-error-{name}", v) for name, v in names.items())]
    cells = dead_cells(3, FakeRecord(b"\xff", headers=tuple(headers)))
    assert cells[1:] == ["t-9", "decode", "texts 3@7", "not \N{REPLACEMENT CHARACTER}"]


def results(**flags: Any) -> dict[str, CheckResult]:
    # The invalid broker fails the first check, so that no test waits for an answer.
    settings = load_settings({"broker": "no-port", **flags})
    return {result.check: result for result in run_checks(settings)}


def test_doctor_continues_after_a_failure_and_skips_dependent_checks(tmp_path: Path) -> None:
    checks = results(bundle_store=tmp_path)
    names = [
        "settings",
        "broker",
        "topics",
        "group",
        "redis",
        "bundle",
        "device",
        "codec",
        "web port",
        "disk",
    ]
    assert list(checks) == names
    assert (checks["settings"].status, checks["settings"].exit_code) == ("FAIL", 2)
    assert checks["broker"].status == checks["topics"].status == checks["group"].status == "skip"
    assert (checks["bundle"].status, checks["bundle"].exit_code) == ("FAIL", 3)
    assert checks["redis"].status == checks["device"].status == checks["disk"].status == "ok"


def test_doctor_reports_an_unavailable_device(tmp_path: Path) -> None:
    device = results(bundle_store=tmp_path, device="tensorrt")["device"]
    assert (device.status, device.exit_code) == ("FAIL", 7)
    assert "'.[gpu]'" in device.fix


def test_doctor_lists_the_available_devices(tmp_path: Path) -> None:
    assert results(bundle_store=tmp_path)["device"].detail.startswith("available: cpu")


def test_a_codec_that_is_not_compiled_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.commands.checks.load_codec", PythonCodec)
    codec = results(bundle_store=tmp_path)["codec"]
    assert (codec.status, "gcc" in codec.fix) == ("warn", True)


def test_a_taken_web_port_is_a_warning(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        check = results(bundle_store=tmp_path, web_port=taken.getsockname()[1])["web port"]
    assert check.status == "warn"
    assert "web_port" in check.fix


def test_an_unreachable_redis_is_a_warning_without_its_password(tmp_path: Path) -> None:
    check = results(bundle_store=tmp_path, redis_url="redis://:s3cret@127.0.0.1:1/0")["redis"]
    assert check.status == "warn"
    assert "127.0.0.1:1" in check.detail
    assert "s3cret" not in check.detail + check.fix


def test_an_invalid_redis_url_is_a_failure_without_its_password(tmp_path: Path) -> None:
    check = results(bundle_store=tmp_path, redis_url="redis://:s3cret@cache:port/0")["redis"]
    assert (check.status, check.exit_code) == ("FAIL", 2)
    assert "s3cret" not in check.detail + check.fix


def test_a_short_cache_secret_is_a_failure(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b"short")
    url = "redis://127.0.0.1:1/0"
    check = results(bundle_store=tmp_path, redis_url=url, cache_secret_file=file)["redis"]
    assert (check.status, check.exit_code) == ("FAIL", 2)
    assert "openssl rand" in check.fix


def test_an_unreadable_web_token_file_is_a_failure(tmp_path: Path) -> None:
    checks = results(broker="127.0.0.1:1", bundle_store=tmp_path, web_token_file=tmp_path / "none")
    assert "web_token_file" in checks["settings"].detail
    assert checks["broker"].status == "skip"
