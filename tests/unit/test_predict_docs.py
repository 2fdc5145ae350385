"""The commands of docs/predict.md work as documented."""

import gzip
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer

from stream.commands.predict import predict
from stream.predict.column_types import own_types
from stream.tables.parquet import BATCH_ROWS
from tests.real.kinds import BY_NAME, make_bundle_of

pytestmark = pytest.mark.checkout

PAGE = (Path(__file__).parents[2] / "docs" / "predict.md").read_text(encoding="utf-8")
LINES = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]
COMMANDS = [line for line in LINES if line.startswith("labelstream predict")]
LOCAL = [line for line in COMMANDS if "--engine ray" not in line]


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """Return a folder with the bundle and the files that the page names."""
    make_bundle_of(replace(BY_NAME["single"], name="tickets"), tmp_path / "bundles")
    (tmp_path / "tickets.csv").write_text("message,id\nMy card was charged twice,1\n")
    rows = BATCH_ROWS + 1
    pq.write_table(pa.table({"text": ["refund"] * rows, "id": [*range(rows)]}), tmp_path / "old.parquet")
    (tmp_path / "exports" / "2024").mkdir(parents=True)
    (tmp_path / "exports" / "2024" / "may.csv.gz").write_bytes(gzip.compress(b"text\nmy card\n"))
    (tmp_path / "exports" / "june.csv").write_text("text\nmy card\n")
    return tmp_path


@pytest.mark.slow
def test_the_commands_run(workplace: Path) -> None:
    assert len(LOCAL) == 6
    for command in LOCAL:
        words = [sys.executable, "-m", "stream", *shlex.split(command)[1:], "--device", "cpu"]
        done = subprocess.run(words, cwd=workplace, capture_output=True, text=True, check=False)
        assert done.returncode == 0, command + done.stderr
    assert (workplace / "labels" / "2024" / "may.jsonl").exists()
    assert [path.name for path in (workplace / "labels-parquet").glob("*.parquet")] == ["june.parquet"]
    assert pq.read_table(workplace / "labels.parquet").num_rows == BATCH_ROWS + 1


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_have_their_options(command: str) -> None:
    app = typer.Typer()
    app.command()(predict)
    parsed: Any = typer.main.get_command(app)
    parsed.make_context("predict", shlex.split(command)[2:])


def test_the_documented_types_are_those_of_the_columns() -> None:
    section = PAGE.split("**Parquet.** The types")[1].split("## Evaluation")[0]
    cells = "".join(re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE))
    names = ("row", "text", "text_pair", "label", "score", "scores", "labels", "value", "spans")
    documented = {*re.findall(r"`(\w+)`", cells)} - {"id", "score_LABEL"}
    assert {*own_types((*names, "abstained", "rank", "predicted", "error"))} == documented
