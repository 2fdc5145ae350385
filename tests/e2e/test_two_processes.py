"""Two processes of torchrun train the model of one process with equal batches, and one publishes."""

import csv
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stream.bundle import open_bundle
from stream.verify import read_reference
from tests.real.tiny_bundle import TEXTS, save_tiny_base

pytestmark = pytest.mark.slow
KINDS = ("billing", "refund", "delivery", "login", "bug", "cancel")
ROWS = 60
ACCELERATE = (sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
FLAGS = (
    *("--base-model", "base", "--epochs", "2", "--learning-rate", "1e-3"),
    # Some CPUs train in bf16 by default, which rounds batches of other sizes differently.
    *("--precision", "fp32", "--variants", "fp32", "--no-results"),
)


def command(*words: str, room: Path) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        words, capture_output=True, text=True, cwd=room, env=environment, timeout=200, check=False
    )


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base model without dropout, so that equal batches give equal weights, and its data."""
    room = tmp_path_factory.mktemp("room")
    save_tiny_base(room / "base")
    config = json.loads((room / "base" / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (room / "base" / "config.json").write_text(json.dumps(config))
    rng = random.Random(1)
    with (room / "rows.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("text", "label"))
        for n in range(ROWS):
            text = f"{TEXTS[n % 12]} {'and so on ' * (n % 5)}{rng.randrange(10**9)}"
            writer.writerow((text, KINDS[n % 12 // 2]))
    return room


def test_two_processes_train_the_model_of_one(room: Path) -> None:
    one = command(
        *(sys.executable, "-m", "trainer", "train", "rows.csv", *FLAGS),
        *("--batch-size", "8", "--bundle-store", "one"),
        room=room,
    )
    assert one.returncode == 0, one.stderr
    two = command(
        *(*TORCHRUN, "-m", "trainer", "train", "rows.csv", *FLAGS),
        *("--batch-size", "4", "--bundle-store", "two", "--checkpoints", "kept"),
        room=room,
    )
    assert two.returncode == 0, two.stderr
    single, double = open_bundle("rows", room / "one"), open_bundle("rows", room / "two")
    assert [path.name for path in (room / "two" / "rows").iterdir() if path.is_dir()] == ["1"]
    assert (single.path / "splits.csv").read_text() == (double.path / "splits.csv").read_text()
    expected, found = (json.loads((b.path / "metrics.json").read_text()) for b in (single, double))
    for name in ("epochs_run", "best_epoch", "steps_run", "best_step"):
        assert found["training"][name] == expected["training"][name]
    for split in ("validation", "test"):
        for name in ("accuracy", "macro_f1"):
            assert found[split][name] == pytest.approx(expected[split][name], abs=1e-6)
    np.testing.assert_allclose(read_reference(double)[1], read_reference(single)[1], atol=1e-4)
    # Only the main process prints.
    assert two.stdout.count("epoch 2:") == two.stdout.count("parity") // one.stdout.count("parity") == 1


def test_accelerate_starts_a_training_of_two_processes(room: Path) -> None:
    """The launcher requests GPUs, as in the documentation; the processes use the devices that exist."""
    done = command(
        *(*ACCELERATE, "-m", "trainer", "train", "rows.csv", *FLAGS, "--max-steps", "1"),
        *("--batch-size", "4", "--bundle-store", "launched"),
        room=room,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("at most 1 steps of 8 texts") == 1
    assert open_bundle("rows", room / "launched").path.name == "1"


def test_a_failing_process_ends_all_and_one_prints(room: Path) -> None:
    failed = command(
        *(*TORCHRUN, "-m", "trainer", "train", "rows.csv", *FLAGS),
        *("--label-column", "nowhere", "--bundle-store", "failed"),
        room=room,
    )
    assert failed.returncode != 0
    assert failed.stderr.count("cause: ") == 1
    assert not (room / "failed").exists()
