"""The commands of the README against the stack, unchanged except for addresses and names."""

import os
import re
from pathlib import Path

import pytest

from tests.compose.inside.conftest import BROKER
from tests.compose.stack import run

pytestmark = pytest.mark.compose

PROJECT = Path(__file__).parents[3]
SECTION = "## Use your own data and broker"
# These commands do not end, or need the trainer's image: test_tutorial.py runs them in their containers.
ELSEWHERE = ("labelstream train", "labelstream worker")
BUNDLE = os.environ.get("LABELSTREAM_BUNDLE") or "support"


def documented() -> list[str]:
    """Return the commands of the README's section, without those that run elsewhere."""
    section = (PROJECT / "README.md").read_text(encoding="utf-8").split(SECTION)[1]
    block = re.search(r"^```sh\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    assert block
    commands = [line.partition("  #")[0] for line in block[1].splitlines()]
    return [line for line in commands if line.startswith("labelstream ") and not line.startswith(ELSEWHERE)]


def test_the_readme_has_commands_to_run() -> None:
    assert {command.split()[1] for command in documented()} == {"topics", "produce", "tail", "dlq", "doctor"}


@pytest.mark.parametrize("command", documented())
def test_the_readme_s_commands(command: str, addresses: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text('{"id": "t-42", "text": "My card was charged twice"}\n')
    words = command.replace("kafka:9092", addresses[BROKER]).replace("tickets", BUNDLE).split()
    if words[1] == "tail":
        words += ["--count", "1"]
    if words[1] == "doctor":
        words += ["--bundle-store", str(PROJECT / "bundles"), "--web-port", "0"]
    done = run(words, folder=tmp_path, check=False, timeout_s=120, environment={})
    assert done.returncode == 0, done.stdout
    expected = {
        "topics": "exists",
        "produce": "1 event produced",
        "tail": "@",
        "dlq": "dead letter",
        "doctor": "ok",
    }
    assert expected[words[1]] in done.stdout
