"""The documentation matches the code."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import click
import jsonschema
import orjson
import pytest
import typer
from prometheus_client.parser import text_string_to_metric_families

from stream.cli import app
from stream.errors import Reason
from stream.observe.metrics import Metrics
from stream.schemas import load_schema
from stream.settings import load_settings

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text(encoding="utf-8")
OPERATIONS = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
PAGES = [
    str(page.relative_to(PROJECT))
    for page in sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")])
]
ROUTING = (PROJECT / "docs" / "routing.md").read_text(encoding="utf-8")
RECORDS = (PROJECT / "docs" / "records.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return the anchors that a Markdown renderer gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_examples_of_the_record_contract_match_their_schemas() -> None:
    event, label = (orjson.loads(block) for block in blocks(README, "json"))
    jsonschema.validate(event, load_schema("event.v1"))
    label["model"]["digest"] = label["model"]["digest"].replace("…", "0" * 64)
    jsonschema.validate(label, load_schema("label.v1"))
    assert label["id"] == event["id"]


def test_the_examples_of_every_head_match_the_schema() -> None:
    (label,) = blocks(README, "json")[1:]
    common = {name: orjson.loads(label)[name] for name in ("id", "cached", "source", "time", "labelled_at")}
    model = {"name": "n", "version": "1", "digest": "sha256:" + "0" * 64, "variant": "fp32"}
    section = RECORDS.split("## Label events")[1].split("## Dead letters")[0]
    examples = re.findall(r"^\| [^|]+ \| `(\".*)` \|$", section, re.MULTILINE)
    assert len(examples) == 7
    validator = jsonschema.Draft202012Validator(load_schema("label.v1"))
    for members in examples:
        validator.validate({**common, "model": model, **orjson.loads(f"{{{members}}}")})
        assert not validator.is_valid({**common, "model": model})


def test_the_readme_names_the_command_that_ci_runs() -> None:
    assert "make test" in README
    assert re.search(r"^make test$", (PROJECT / ".ci" / "run").read_text(), re.MULTILINE)


def test_the_settings_file_of_the_documentation_is_accepted(tmp_path: Path) -> None:
    (example,) = blocks(OPERATIONS, "toml")
    tomllib.loads(example)
    file = tmp_path / "labelstream.toml"
    file.write_text(example)
    assert [route.name for route in load_settings(config=file).effective_routes] == ["mail", "chat"]


def test_the_settings_file_of_the_routing_page_is_accepted(tmp_path: Path) -> None:
    (example,) = blocks(ROUTING, "toml")
    file = tmp_path / "labelstream.toml"
    file.write_text(example)
    mail, chat = load_settings(config=file).effective_routes
    assert (mail.output_topics, mail.review_below) == (("mails.{label}", "labels.review"), 0.7)
    assert (chat.output_topics, chat.review_below, chat.unlabelled) == (("chats.labels",), None, "drop")


DLQ = (PROJECT / "docs" / "dlq.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for page in (ROUTING, DLQ)
    for block in blocks(page, "sh")
    for line in block.splitlines()
    if line.startswith("labelstream ")
]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_of_the_pages_have_their_options(command: str) -> None:
    words = shlex.split(command)[1:]
    group: Any = typer.main.get_command(app)
    while isinstance(group, click.Group):
        context = click.Context(group)
        found = group.get_command(context, words.pop(0))
        assert found is not None, command
        group = found
    group.make_context("labelstream", words)


def test_the_documented_metrics_are_the_exposed_ones() -> None:
    metrics = Metrics()
    metrics.register_redis()
    exposed = {family.name for family in text_string_to_metric_families(metrics.exposition()[0].decode())}
    ours = {n for n in exposed if n.startswith("labelstream_") and not n.endswith("_created")}
    documented = {name.removesuffix("_total") for name in re.findall(r"labelstream_[a-z_]+", OPERATIONS)}
    assert documented == ours


def test_the_documented_reasons_are_the_closed_list() -> None:
    section = RECORDS.split("## Dead letters")[1]
    assert set(re.findall(r"^\| `([a-z-]+)` \| ", section, re.MULTILINE)) == set(Reason)


@pytest.mark.checkout
@pytest.mark.parametrize("page", PAGES)
def test_links_and_anchors_exist(page: str) -> None:
    text = (PROJECT / page).read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", text):
        linked = (PROJECT / page).parent / target if target else PROJECT / page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked), f"{target}#{anchor}"


RELIABILITY = (PROJECT / "docs" / "reliability.md").read_text(encoding="utf-8")
TESTED = re.findall(r"\| (tests/\S+\.py)(?:::(\w+))? \|$", RELIABILITY, re.MULTILINE)


def test_every_fault_of_the_reliability_page_names_a_test() -> None:
    rows = RELIABILITY.count("\n| ") - RELIABILITY.count("\n| fault ")
    assert len(TESTED) == rows > 60


@pytest.mark.parametrize(("path", "name"), TESTED)
def test_the_tests_that_the_reliability_page_names_exist(path: str, name: str) -> None:
    code = (PROJECT / path).read_text(encoding="utf-8")
    assert not name or re.search(rf"^(async )?def {name}\(", code, re.MULTILINE), f"{path} has no {name}"
