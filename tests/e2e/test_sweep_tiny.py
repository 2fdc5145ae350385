"""A sweep in real processes with a tiny model: it is killed, continues, and publishes a bundle."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stream.bundle import open_bundle
from tests.e2e.test_train_tiny import ENVIRONMENT, write_tickets
from tests.real.tiny_bundle import save_tiny_base
from tests.real.wait import until

pytestmark = pytest.mark.slow

SPACE = """
batch-size = [8, 16]
[learning-rate]
low = 1e-4
high = 1e-2
log = true
"""
COMMAND = (
    *(sys.executable, "-m", "stream", "sweep", "tickets.csv", "--base-model", "base", "--epochs", "1"),
    *("--max-length", "16", "--space", "space.toml", "--trials", "3", "--seeds", "1", "--variants", "fp32"),
)
SWEEP_SECONDS = 400


def sweep_again(room: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        COMMAND, cwd=room, env=ENVIRONMENT, capture_output=True, text=True, timeout=SWEEP_SECONDS, check=False
    )


@pytest.mark.timeout(1200)
def test_a_killed_sweep_continues_and_publishes_its_winner_once(tmp_path: Path) -> None:
    save_tiny_base(tmp_path / "base")
    write_tickets(tmp_path / "tickets.csv", 60)
    (tmp_path / "space.toml").write_text(SPACE)
    study = tmp_path / "sweeps" / "tickets"

    with (tmp_path / "killed.log").open("w") as log:
        killed = subprocess.Popen(
            COMMAND, cwd=tmp_path, env=ENVIRONMENT, stdout=log, stderr=log, start_new_session=True
        )
        second = study / "trials" / "0001.log"
        try:
            until(lambda: second.exists() or killed.poll() is not None, SWEEP_SECONDS, "the second trial")
        finally:
            os.killpg(killed.pid, signal.SIGKILL)
            killed.wait()
    interrupted = (study / "trials" / "0001.log").read_text()

    done = sweep_again(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "interrupted trials that are repeated: 1" in done.stdout
    with (study / "trials.csv").open(newline="") as file:
        trials = [*csv.DictReader(file)]
    assert [(row["trial"], row["state"]) for row in trials] == [(n, "complete") for n in ("0", "2", "3")]
    assert f"--learning-rate {trials[1]['learning-rate']}" in interrupted

    best = max(trials, key=lambda row: float(row["validation_macro_f1"]))
    bundle = open_bundle("tickets", tmp_path / "bundles")
    metrics = json.loads((bundle.path / "metrics.json").read_text())
    assert metrics["training"]["learning_rate"] == float(best["learning-rate"])
    # A trial trains as the command `train` does.
    assert metrics["validation"]["macro_f1"] == pytest.approx(float(best["validation_macro_f1"]))

    result = json.loads((study / "result.json").read_text())
    assert result["trial"] == int(best["trial"])
    assert result["conclusion"] in done.stdout
    assert ("is better" in result["conclusion"]) == (result["test"]["low"] > 0)
    assert len(result["test"]["first"]) == len(result["test"]["second"]) == 1
    assert result["conclusion"].split(":")[0] in (study / "sweep.html").read_text()

    repeated = sweep_again(tmp_path)
    assert repeated.returncode == 0, repeated.stdout + repeated.stderr
    assert "already holds this winner" in repeated.stdout
    assert [folder.name for folder in (tmp_path / "bundles" / "tickets").iterdir() if folder.is_dir()] == [
        "1"
    ]
