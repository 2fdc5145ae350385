"""docs/tutorial.md, from a fresh clone to labelled events: every command, in order; then the manual's."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose.journal import Journal
from tests.compose.stack import PROJECT, Stack, run
from tests.compose.traffic import DEAD, LABELS
from tests.real.components import unique

pytestmark = [pytest.mark.compose, pytest.mark.slow, pytest.mark.timeout(3000)]

STEPS_S = 2400.0


# The others of docs/compose.md are run by test_run.py, or need a GPU, Grafana's image or a bridge network.
MANUAL = ("Start", "Scale", "Volumes")


def commands(text: str) -> list[str]:
    """Return the fenced sh blocks."""
    return re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def manual() -> list[str]:
    """Return the blocks of some sections of docs/compose.md."""
    sections = (PROJECT / "docs" / "compose.md").read_text(encoding="utf-8").split("\n## ")
    chosen = [section for section in sections if section.startswith(tuple(f"{name}\n" for name in MANUAL))]
    assert len(chosen) == len(MANUAL)
    return [block for section in chosen for block in commands(section)]


@pytest.fixture
def clone(compose: list[str], images: dict[str, str], tmp_path: Path) -> Iterator[Stack]:
    """A stack in a folder with the content of a clone of this working tree."""
    listed = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], folder=PROJECT)
    for name in filter(None, listed.stdout.split("\0")):
        if (PROJECT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes((PROJECT / name).read_bytes())
    bin_folder = tmp_path / ".bin"
    bin_folder.mkdir()
    # The tutorial's command for any Compose of this machine. A full path prevents it from calling itself.
    program, *words = compose
    whole = " ".join((shutil.which(program) or program, *words))
    (bin_folder / "docker-compose").write_text(f'#!/bin/sh\nexec {whole} "$@"\n')
    (bin_folder / "docker-compose").chmod(0o755)
    stack = Stack(compose, unique("labelstream-tutorial"), tmp_path)
    yield stack
    stack.compose("down", "-v", "--remove-orphans", check=False)


def test_every_command_of_the_tutorial(clone: Stack, journal: Journal) -> None:
    blocks = commands((PROJECT / "docs" / "tutorial.md").read_text(encoding="utf-8"))
    assert len(blocks) > 8
    *steps, down = blocks
    with journal.step("docs/tutorial.md, every command from clone to labels", "tutorial") as step:
        execute(clone, steps)
        labels = {event["id"]: event for event in values(clone, LABELS)}
        assert labels.keys() == {"t-1", "t-2", "t-3"}
        assert {event["model"]["name"] for event in labels.values()} == {"tickets"}
        assert {event["label"] for event in labels.values()} <= {"billing", "delivery", "technical"}
        assert [record.value for record in clone.broker.records(DEAD)] == [b"this is not JSON"]
        execute(clone, manual())
        assert (clone.folder / "bundles.tar.gz").stat().st_size > 1_000_000
        execute(clone, [down])
        step.result = (
            f"{sum(len(block.splitlines()) for block in blocks)} lines of shell; 3 labels, 1 dead letter"
        )
    assert clone.containers("worker", ended=True) == []


def values(stack: Stack, topic: str) -> list[dict[str, dict[str, str]]]:
    """Return the JSON values of a topic."""
    return [json.loads(record.value) for record in stack.broker.records(topic) if record.value]


def execute(stack: Stack, blocks: list[str]) -> None:
    """Run blocks in one shell, which ends at the first failing command."""
    script = "export PATH=$PWD/.bin:$PATH\n" + "\n".join(blocks)
    run(
        ["bash", "-euo", "pipefail", "-c", script],
        folder=stack.folder,
        environment=stack.environment,
        timeout_s=STEPS_S,
    )
