"""`labelstream route try`: what a worker would read, and the examples of foreign topics."""

import re
import shlex
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from stream.commands.route import app
from stream.errors import UsageError
from stream.settings import load_settings
from tests.unit.test_output_form import label, value_of

PROJECT = Path(__file__).parents[2]
EXAMPLES = PROJECT / "examples" / "topics"


def run(*words: object, given: bytes = b"") -> Result:
    return CliRunner().invoke(app, ["try", *map(str, words)], input=given, catch_exceptions=False)


def lines(result: Result) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in result.stdout.splitlines()]


def test_the_table_shows_events_and_dead_letters() -> None:
    result = run("-", "--text-field", "a.b", given=b'{"id":1,"a":{"b":"x\\n\\u001b[1my"}}\n\n{"a":{}}\n')
    assert result.exit_code == 0
    assert "x⏎\N{REPLACEMENT CHARACTER}[1my" in result.stdout
    assert "text_field a.b: a has no member 'b'; it has no members" in result.stdout
    assert "1 event can be labelled, 1 dead letter" in result.stderr


def test_json_shows_every_field() -> None:
    value = b'{"k":"7","t":1763632800,"q":"one","r":"two","m":{"a":1}}\n'
    words = ("--text-field", "q", "--text-pair-field", "r", "--id-field", "k", "--time-field", "t")
    result = run("-", "--json", *words, "--metadata-fields", "a=m.a", given=value)
    (shown,) = lines(result)
    assert shown == {
        "line": 1,
        "id": "7",
        "text": "one",
        "text_pair": "two",
        "time": "2025-11-20T10:00:00Z",
        "metadata": {"a": 1},
    }


def test_paths_that_an_event_does_not_have_are_listed() -> None:
    words = ["--text-field", "q", "--id-field", "k", "--time-field", "t", "--metadata-fields", "a=m.a"]
    words += ["--include", "text,plan.name,lang"]
    values = (
        b'{"q":"hi","t":"yesterday","plan":{"name":"pro"}}',
        b'{"q":"hi","k":1,"t":1,"m":{"a":1},"plan":{},"lang":null}',
    )
    given = b"\n".join(values)
    result = run("-", "--json", *words, given=given)
    first, second = lines(result)
    assert first["not_found"] == [
        "id_field k",
        "time_field t: the value is not a time of RFC 3339 or a Unix time",
        "metadata_fields m.a",
        "include lang",
    ]
    assert first["included"] == {"text": "hi", "plan": {"name": "pro"}}
    assert second["not_found"] == ["include plan.name"]
    assert second["included"] == {"text": "hi", "lang": None}
    table = run("-", *words, given=given)
    assert "not found" in table.stdout
    assert "include plan.name" in table.stdout


def test_an_enriched_output_is_described() -> None:
    words = ("--output", "enrich", "--label-field", "mood")
    result = run("-", *words, given=b'{"text":"hi"}')
    assert "each output is the event with the member mood added" in result.stderr
    assert "not found" not in result.stdout


def test_headers_select_the_format() -> None:
    envelope = {"specversion": "1.0", "id": "c", "source": "s", "type": "t", "data": {"x": "hi"}}
    words = ("--json", "--text-field", "x", "--header", "content-type=application/cloudevents+json")
    (shown,) = lines(run("-", *words, given=orjson.dumps(envelope)))
    assert (shown["id"], shown["text"]) == ("c", "hi")
    with pytest.raises(UsageError, match="is not NAME=VALUE"):
        run("-", "--header", "content-type", given=b"{}")


@pytest.mark.parametrize("input_format", ["avro", "json-schema", "protobuf"])
def test_events_with_a_schema_are_given_as_json(input_format: str) -> None:
    given = b'{"id": "7", "text": "hi", "time": 1763632800000}'
    (shown,) = lines(run("-", "--json", "--input-format", input_format, given=given))
    assert shown == {"line": 1, "id": "7", "text": "hi", "time": "2025-11-20T10:00:00Z"}


def test_a_tombstone_has_no_line_and_an_empty_file_no_table(tmp_path: Path) -> None:
    file = tmp_path / "empty"
    file.write_bytes(b"\n\n")
    result = run(file)
    assert (result.stdout, result.exit_code) == ("", 0)
    assert "0 events can be labelled, 0 dead letters" in result.stderr


def test_a_route_of_several_is_named(tmp_path: Path) -> None:
    config = tmp_path / "s.toml"
    text = '[[routes]]\nname = "{0}"\ninput_topic = "{0}"\noutput_topic = "{0}.o"\nbundle = "b"\n'
    text += 'text_field = "{0}"\n'
    config.write_text(text.format("a") + text.format("b"))
    (shown,) = lines(run("-", "--json", "--config", config, "--route", "b", given=b'{"a":"x","b":"y"}'))
    assert shown["text"] == "y"
    for words in ((), ("--route", "c")):
        with pytest.raises(UsageError) as refusal:
            run("-", "--config", config, *words, given=b"{}")
        assert refusal.value.cause == "the routes are a, b"


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        run(tmp_path)


@pytest.mark.parametrize(
    ("example", "first"),
    [
        ("zendesk", {"id": "35436", "time": "2026-11-20T09:58:09Z"}),
        ("debezium", {"id": "9007199254740993", "metadata": {"stars": 2}}),
        ("statuses", {"id": "1050118621198921728", "time": "2026-11-20T10:00:00Z"}),
    ],
)
def test_the_examples_of_foreign_topics_are_read(example: str, first: dict[str, object]) -> None:
    result = run(EXAMPLES / f"{example}.jsonl", "--json", "--config", EXAMPLES / f"{example}.toml")
    shown = lines(result)
    assert "2 events can be labelled, 0 dead letters" in result.stderr
    assert first.items() <= shown[0].items()
    assert not any("<" in str(event["text"]) for event in shown)


@pytest.mark.checkout
def test_the_commands_and_settings_of_the_documentation_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(PROJECT)
    page = (PROJECT / "docs" / "any-topic.md").read_text(encoding="utf-8")
    commands = re.findall(r"^labelstream route try (.*)$", page, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        assert "2 events can be labelled, 0 dead letters" in run(*shlex.split(command)).stderr
    *_, settings = re.findall(r"^```toml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    file = tmp_path / "labelstream.toml"
    file.write_text(settings)
    tickets, chat = load_settings(config=file).effective_routes
    assert (tickets.text_format, chat.text_format, chat.output) == ("html", "plain", "enrich")


@pytest.mark.checkout
def test_the_outputs_of_the_documentation_are_those_of_the_encoder() -> None:
    page = (PROJECT / "docs" / "any-topic.md").read_text(encoding="utf-8")
    included, enriched = map(orjson.loads, re.findall(r"^```json\n(.*?)^```", page, re.DOTALL | re.MULTILINE))
    value = {name: member for name, member in enriched.items() if name != "labelstream"}
    written = value_of(label(value, include="text,customer.id"))
    assert list(written["event"].items()) == list(included["event"].items())
    assert list(value_of(label(value, output="enrich"))) == list(enriched)
