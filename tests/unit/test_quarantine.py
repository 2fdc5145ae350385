"""The offsets that an operator skips."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from stream.commands.options import with_settings
from stream.errors import Reason, UsageError
from stream.quarantine import Quarantine, format_offsets, missing, parse_offsets
from stream.records import DeadLetter, Decoder, Event, Source, Tombstone
from stream.routes import RouteOptions
from stream.settings import Settings, load_settings
from tests.unit.record_path import record_path
from tests.unit.records import SOURCE, FakeRecord, as_read

__all__ = ["record_path"]
pytestmark = pytest.mark.usefixtures("record_path")


def decoder(*named: str) -> Decoder:
    return Decoder(
        RouteOptions(),
        max_event_bytes=1_000,
        max_text_chars=100,
        quarantine=Quarantine(named),
    )


@pytest.mark.parametrize(
    ("text", "topic", "partition", "offsets"),
    [
        ("texts:3:1041", "texts", 3, range(1041, 1042)),
        ("texts:3:1041-1050", "texts", 3, range(1041, 1051)),
        ("a.b-c_D:0:0-0", "a.b-c_D", 0, range(1)),
    ],
)
def test_offsets_are_named_by_topic_partition_and_range(
    text: str, topic: str, partition: int, offsets: range
) -> None:
    assert parse_offsets(text) == (topic, partition, offsets)
    assert parse_offsets(f"{topic}:{partition}:{format_offsets(offsets)}").offsets == offsets


@pytest.mark.parametrize(
    "text",
    [
        *("", "texts", "texts:3", "texts:3:", "texts::1", ":3:1", "texts:3:x", "texts:-1:4", "texts:3:-1"),
        *("texts:3:1-", "texts:3:5-4", "texts:3:1-2-3", "te xts:3:1", "texts:3:\u0663", "texts:3:1\n"),
        "texts:3:9999999999999999999999",
    ],
)
def test_other_forms_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="texts:3:1041"):
        parse_offsets(text)


@pytest.mark.parametrize(
    ("named", "gaps"),
    [
        ([], [range(10, 20)]),
        ([range(10, 20)], []),
        ([range(5, 12), range(12, 30)], []),
        ([range(12, 14)], [range(10, 12), range(14, 20)]),
        ([range(0, 5), range(30, 40)], [range(10, 20)]),
        ([range(5, 12), range(11, 13), range(19, 20)], [range(13, 19)]),
        ([range(5, 100), range(11, 13)], []),
    ],
)
def test_the_offsets_that_are_not_named_are_found(named: list[range], gaps: list[range]) -> None:
    assert missing(range(10, 20), named) == gaps


def test_a_quarantined_record_becomes_a_dead_letter_without_being_decoded() -> None:
    values = [b'{"text":"a"}', b'{"text":"b"}', b"{broken", None, b'{"text":"c"}']
    records = [as_read(FakeRecord(value, b"k", offset=10 + at)) for at, value in enumerate(values)]
    decoded = decoder("texts:3:11", "texts:3:12-13", "texts:4:10", "other:3:10").decode_all(SOURCE, records)
    assert [type(item) for item in decoded] == [Event, DeadLetter, DeadLetter, DeadLetter, Event]
    for item, record in zip(decoded[1:4], records[1:4], strict=True):
        assert isinstance(item, DeadLetter)
        assert (item.reason, item.record, item.id) == (Reason.QUARANTINED, record, f"texts-3-{record.offset}")


def test_a_batch_of_quarantined_records_only_is_decoded() -> None:
    records = [as_read(FakeRecord(b"{}", offset=at)) for at in (10, 11)]
    decoded = decoder("texts:3:1-50").decode_all(SOURCE, records)
    assert [item.reason for item in decoded if isinstance(item, DeadLetter)] == [Reason.QUARANTINED] * 2


def test_an_offset_that_is_never_met_changes_nothing() -> None:
    records = [as_read(FakeRecord(b'{"text":"a"}')), as_read(FakeRecord(None, offset=1042))]
    decoded = decoder("texts:3:1", "texts:3:9000").decode_all(SOURCE, records)
    assert [type(item) for item in decoded] == [Event, Tombstone]
    assert decoder("texts:3:1041").decode_all(Source("texts", 4), records)[0].record is records[0]


def test_a_damaged_record_becomes_a_dead_letter_and_not_a_tombstone() -> None:
    for value in (b"\0\0", None):
        (dead,) = decoder().decode_all(SOURCE, [FakeRecord(value, damaged=True)])
        assert isinstance(dead, DeadLetter)
        assert (dead.reason, dead.id) == (Reason.DECODE, "texts-3-1041")
        (dead,) = decoder("texts:3:1041").decode_all(SOURCE, [FakeRecord(value, damaged=True)])
        assert isinstance(dead, DeadLetter)
        assert dead.reason is Reason.QUARANTINED
        assert ("cannot be read" in dead.message) == (value is None)


# ---- the setting -------------------------------------------------------------------------------------


def test_the_setting_is_a_list_in_the_file_and_comma_separated_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expected = ("texts:3:1041", "texts:0:7-9")
    assert load_settings().quarantine == ()
    assert load_settings({"quarantine": list(expected)}).quarantine == expected
    file = tmp_path / "s.toml"
    file.write_text('quarantine = ["texts:3:1041", "texts:0:7-9"]\n')
    assert load_settings(config=file).quarantine == expected
    monkeypatch.setenv("LABELSTREAM_QUARANTINE", " texts:3:1041, texts:0:7-9")
    assert load_settings().quarantine == expected


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("texts:3", "such as texts:3:1041"),
        ("texts:3:9-1", "texts:3:1041-1050"),
        ("labels:3:9", "'labels' is not an input topic; the input topics are texts"),
    ],
)
def test_a_wrong_setting_is_a_usage_error(named: str, expected: str) -> None:
    with pytest.raises(UsageError, match="quarantine") as refusal:
        load_settings({"quarantine": [named]})
    assert expected in refusal.value.message
    assert refusal.value.exit_code == 2


def test_the_flag_can_be_repeated_and_may_be_absent() -> None:
    loaded: list[tuple[str, ...]] = []

    @with_settings("quarantine", "group")
    def command(settings: Settings) -> None:
        loaded.append(settings.quarantine)

    app = typer.Typer()
    app.command()(command)
    runner = CliRunner()
    for flags in ([], ["--quarantine", "texts:3:1", "--quarantine", "texts:3:5-7"]):
        assert runner.invoke(app, flags).exit_code == 0
    assert loaded == [(), ("texts:3:1", "texts:3:5-7")]
    refused = runner.invoke(app, ["--quarantine", "texts/3/1"])
    assert isinstance(refused.exception, UsageError)
    assert "such as texts:3:1041" in refused.exception.message


def test_an_absent_flag_leaves_the_value_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELSTREAM_QUARANTINE", "texts:3:1041")
    loaded: list[tuple[str, ...]] = []

    @with_settings("quarantine")
    def command(settings: Settings) -> None:
        loaded.append(settings.quarantine)

    app = typer.Typer()
    app.command()(command)
    CliRunner().invoke(app, [])
    assert loaded == [("texts:3:1041",)]
