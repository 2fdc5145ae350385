"""The options of `labelstream dlq`, its output, and the reading of a topic without a broker."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition
from rich.console import Console
from typer.testing import CliRunner

from stream.cli import app
from stream.commands.dlq_options import find_dead_topic, of_route
from stream.commands.dlq_output import json_row, print_letter, print_row, print_run
from stream.dlq.replay import Outcome
from stream.dlq.replayer import RunCounts
from stream.dlq.run import Found
from stream.dlq.scan import Extent, TopicScan
from stream.dlq.selection import Selection
from stream.errors import BrokerError, UsageError
from stream.settings import load_settings
from tests.dead_letters import letter
from tests.unit.records import FakeRecord

ROUTES = """
[[routes]]
name = "mail"
input_topic = "mails"
output_topic = "labels"
bundle = "b"
[[routes]]
name = "chat"
input_topic = "chats"
output_topic = "labels"
bundle = "b"
"""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("show",), "choose one dead letter"),
        (("show", "1@2", "--id", "x"), "choose one dead letter"),
        (("show", "1-2"), "is not the position"),
        (("list", "--since", "soon"), "neither a time nor a duration"),
        (("list", "--reason", "shema"), "is not a reason"),
        (("replay", "--at", "7"), "is not the position"),
        (("replay", "--where", "=1"), "is not a condition"),
        (("replay", "--import", "f.jsonl", "--reason", "model"), "--import cannot be combined"),
        (("list", "--route", "mail"), "the settings have no route 'mail'"),
    ],
)
def test_a_wrong_option_is_an_error_before_the_broker_is_asked(words: tuple[str, ...], message: str) -> None:
    result = CliRunner().invoke(app, ["dlq", *words, "--broker", "127.0.0.1:1"])
    assert isinstance(result.exception, UsageError)
    assert message in result.exception.message
    assert result.exception.fix


def test_the_topic_is_that_of_the_option_or_of_the_route(tmp_path: Path) -> None:
    assert find_dead_topic(load_settings({}), "", "") == "texts.dead"
    file = tmp_path / "labelstream.toml"
    file.write_text(ROUTES)
    settings = load_settings(config=file)
    assert find_dead_topic(settings, "any", "") == "any"
    assert find_dead_topic(settings, "", "chat") == "chats.dead"
    with pytest.raises(UsageError, match="several routes"):
        find_dead_topic(settings, "", "")
    with pytest.raises(UsageError) as refusal:
        find_dead_topic(settings, "", "mails")
    assert "mail, chat" in refusal.value.cause


def test_a_route_selects_its_own_dead_letters(tmp_path: Path) -> None:
    file = tmp_path / "labelstream.toml"
    file.write_text(ROUTES)
    selection = of_route(Selection(), load_settings(config=file), "mail")
    assert selection.matches(letter(topic=b"mails"))
    assert not selection.matches(letter(topic=b"chats"))
    assert of_route(Selection(), load_settings({}), "") == Selection()


def printed(show: Any, *args: Any, **options: Any) -> str:
    """Return what a function prints on a console."""
    file = io.StringIO()
    show(Console(file=file, highlight=False, soft_wrap=True, markup=False), *args, **options)
    return file.getvalue()


def test_control_characters_of_an_event_do_not_reach_the_terminal() -> None:
    found = Found(
        letter(b"\x1b[31m\xff", key=b"\x07", event_id="t\x1b[1m", headers=(("a\x1b", b"\n"),)), False
    )
    for shown in (
        printed(print_row, found),
        printed(print_letter, "texts.dead", found, show_text=True),
        printed(print_letter, "texts.dead", found, show_text=False),
    ):
        assert all(char.isprintable() or char == "\n" for char in shown)
    assert "\\x1b[31m\\xff" in printed(print_letter, "texts.dead", found, show_text=True)


def test_a_line_of_json_has_neither_key_nor_value() -> None:
    line = orjson.loads(json_row(Found(letter(b"secret", key=b"secret"), True)))
    assert line["value_bytes"] == 6
    assert line["done"]
    assert "secret" not in str(line)


def test_a_run_is_summarised_by_outcome_and_reason() -> None:
    counts = RunCounts()
    for outcome, reason in (
        (Outcome.REPLAYED, "model"),
        (Outcome.REPLAYED, "schema"),
        (Outcome.INCOMPLETE, "x"),
    ):
        counts.add(outcome, reason)
    shown = printed(print_run, "texts.dead", counts, 2.0, dry_run=False)
    assert shown.splitlines()[0] == "texts.dead: 3 dead letters in 2.0 s"
    assert shown.splitlines()[-1] == "  by reason: model 1, schema 1"
    assert "would be sent" in printed(print_run, "texts.dead", counts, 2.0, dry_run=True)


# ---- reading of a topic ----------------------------------------------------------------------------------


class FakeConsumer:
    """Stands in for the consumer of aiokafka."""

    def __init__(self) -> None:
        self.positions: dict[TopicPartition, int] = {}
        self.paused: list[int] = []

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        self.positions = dict.fromkeys(partitions, 0)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.positions[tp] = offset

    async def position(self, tp: TopicPartition) -> int:
        return self.positions[tp]

    def pause(self, tp: TopicPartition) -> None:
        self.paused.append(tp.partition)


class FakeReader:
    """Stands in for a `TopicReader`; each poll returns two offsets of each partition, without the gaps."""

    def __init__(self, gaps: Sequence[int] = (), stop_at: int = 10**9) -> None:
        self.consumer = FakeConsumer()
        self._gaps = gaps
        self._stop_at = stop_at

    async def poll(self, timeout_ms: int, max_records: int) -> Mapping[TopicPartition, Sequence[FakeRecord]]:
        found = {}
        for tp, position in self.consumer.positions.items():
            if tp.partition in self.consumer.paused or position >= self._stop_at:
                continue
            offsets = range(position, position + 2)
            self.consumer.positions[tp] = position + 2
            found[tp] = [FakeRecord(b"", offset=offset) for offset in offsets if offset not in self._gaps]
        return found


def make_scan(reader: FakeReader, begin: dict[int, int], end: dict[int, int]) -> TopicScan:
    return TopicScan(reader, Extent("texts.dead", None, begin, end))  # type: ignore[arg-type]


async def offsets(scan: TopicScan, *partitions: int, **options: Any) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    async for partition, records in scan.records(partitions, **options):
        found.setdefault(partition, []).extend(record.offset for record in records)
    return found


async def test_a_scan_ends_at_the_end_that_the_topic_had() -> None:
    scan = make_scan(FakeReader(), {0: 3, 1: 0, 2: 7}, {0: 8, 1: 2, 2: 7})
    assert await offsets(scan, 0, 1, 2, 9) == {0: [3, 4, 5, 6, 7], 1: [0, 1]}
    assert await offsets(make_scan(FakeReader(), {0: 0}, {0: 0}), 0) == {}


async def test_a_scan_ends_if_the_last_offsets_hold_no_record() -> None:
    scan = make_scan(FakeReader(gaps=(1, 4, 5)), {0: 0}, {0: 6})
    assert await offsets(scan, 0) == {0: [0, 2, 3]}


async def test_a_scan_begins_at_a_given_offset() -> None:
    scan = make_scan(FakeReader(), {0: 2, 1: 0}, {0: 6, 1: 4})
    assert await offsets(scan, 0, 1, start={0: 5, 1: 3}) == {0: [5], 1: [3]}
    assert await offsets(make_scan(FakeReader(), {0: 2}, {0: 4}), 0, start={0: 0}) == {0: [2, 3]}


async def test_a_scan_without_progress_is_an_error() -> None:
    clock = iter(range(0, 1_000, 5))
    scan = make_scan(FakeReader(stop_at=4), {0: 0}, {0: 9})
    with pytest.raises(BrokerError, match=r"texts\.dead cannot be read up to its end"):
        await offsets(scan, 0, clock=lambda: float(next(clock)))
