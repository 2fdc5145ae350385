"""Train from a CSV file to a verified bundle, in real processes, with a tiny model."""

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stream.bundle import Bundle, open_bundle
from stream.classify import TextInput, Tokeniser
from stream.runtime import OnnxRuntime
from stream.verify import infer_all, read_reference
from tests.real.tiny_bundle import TEXTS, save_tiny_base
from tests.real.wait import until

pytestmark = pytest.mark.slow
ROWS = 120
KINDS = ("billing", "refund", "delivery", "login", "bug", "cancel")


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


def labelstream(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stream", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT, timeout=200, check=False
    )


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    room = tmp_path_factory.mktemp("room")
    save_tiny_base(room / "base")
    write_tickets(room / "tickets.csv", ROWS)
    return room


def write_tickets(file: Path, rows: int) -> None:
    """Write texts that differ only in a number, two kinds per label, and a last row without a text."""
    rng = random.Random(1)
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("id", "body", "intent"))
        for n in range(rows):
            at = n % len(TEXTS)
            writer.writerow((f"t-{n}", f"{TEXTS[at]} {rng.randrange(10**9)}", KINDS[at // 2]))
        writer.writerow(("t-empty", " ", "bug"))


@pytest.fixture(scope="module")
def trained(room: Path) -> subprocess.CompletedProcess[str]:
    return labelstream(
        *("train", "tickets.csv", "--model_name_or_path", "base", "--num_train_epochs", 1),
        *("--learning_rate", 1e-3, "--name", "tickets", "--seed", 3),
        cwd=room,
    )


@pytest.fixture(scope="module")
def bundle(room: Path, trained: subprocess.CompletedProcess[str]) -> Bundle:
    assert trained.returncode == 0, trained.stderr
    return open_bundle("tickets", room / "bundles")


def test_the_output_reports_each_step_without_control_codes(
    bundle: Bundle, trained: subprocess.CompletedProcess[str]
) -> None:
    assert "\x1b" not in trained.stdout
    assert trained.stderr == ""
    for part in ("skipped: 1 rows without text (rows 121)", "epoch 1", "accuracy", "macro-F1", "parity"):
        assert part in trained.stdout
    assert "labelstream worker --bundle tickets" in trained.stdout


def test_each_variant_is_in_the_bundle_or_reported_as_skipped(
    bundle: Bundle, trained: subprocess.CompletedProcess[str]
) -> None:
    for name in ("fp32", "fp16", "int8"):
        assert (name in bundle.manifest.variants) == (f"variant {name} is skipped" not in trained.stdout)
        assert (name in bundle.manifest.variants) == (f"parity     {name}: " in trained.stdout)


def test_the_reference_has_validation_rows_then_training_rows_and_no_test_rows(
    room: Path, bundle: Bundle
) -> None:
    with (room / "tickets.csv").open() as file:
        texts = {row["body"]: number for number, row in enumerate(csv.DictReader(file), 1)}
    with (bundle.path / "splits.csv").open() as file:
        splits = {int(row["row"]): row["split"] for row in csv.DictReader(file)}
    sizes = bundle.manifest.data["splits"]
    rows, _ = read_reference(bundle)
    found = [splits[texts[row.text]] for row in rows if row.text in texts]
    assert found == ["validation"] * sizes["validation"] + ["train"] * sizes["train"]


def test_the_output_ends_with_a_table_of_the_variants(
    bundle: Bundle, trained: subprocess.CompletedProcess[str]
) -> None:
    lines = trained.stdout.splitlines()
    table = lines[next(at for at, line in enumerate(lines) if "parity check" in line) :]
    for name in (*bundle.manifest.variants, *bundle.manifest.skipped_variants):
        assert any(line.startswith(f"│ {name} ") for line in table)


def test_the_bundle_verifies_without_torch(room: Path, bundle: Bundle) -> None:
    checked = labelstream("verify", "tickets", cwd=room)
    assert checked.returncode == 0, checked.stderr
    assert "bf16" in checked.stdout, "neither run nor reported as not run"
    assert "not run: tensorrt" in checked.stdout
    code = "import sys, stream.commands.verify; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_graph_matches_the_trained_model(bundle: Bundle) -> None:
    rows, reference = read_reference(bundle)
    found = infer_all(OnnxRuntime(bundle, "fp32"), Tokeniser(bundle), rows)
    np.testing.assert_allclose(found, reference, atol=1e-4)
    assert (found.argmax(axis=1) == reference.argmax(axis=1)).all()


def test_the_manifest_describes_the_origin(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert manifest.labels == sorted(manifest.labels)
    assert manifest.data["rows"] == ROWS
    assert sum(manifest.data["class_counts"].values()) == sum(manifest.data["splits"].values()) == ROWS
    assert manifest.data["sha256"].startswith("sha256:")
    assert {"torch", "transformers", "onnxruntime"} <= manifest.libraries.keys()
    assert manifest.metrics["training"]["base_model"] == "base"
    metrics = json.loads((bundle.path / "metrics.json").read_text())
    assert metrics["test"]["rows"] == manifest.data["splits"]["test"]
    assert np.sum(metrics["test"]["confusion"]) == metrics["test"]["rows"]
    assert manifest.metrics["validation"].keys() & {"per_label", "confusion"} == set()
    with (bundle.path / "confusion.csv").open(newline="") as file:
        cells = [row for row in csv.DictReader(file) if row["split"] == "test"]
    assert sum(int(row["rows"]) for row in cells) == metrics["test"]["rows"]


def test_splits_name_every_row_and_hold_no_text(bundle: Bundle) -> None:
    with (bundle.path / "splits.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["row"]) for row in rows] == list(range(1, ROWS + 1))
    assert rows[0].keys() == {"row", "id", "split"}
    assert rows[0]["id"] == "t-0"


def test_the_bundle_contains_no_local_path(room: Path, bundle: Bundle) -> None:
    for file in bundle.path.rglob("*"):
        assert file.is_dir() or str(room).encode() not in file.read_bytes(), file


def test_transformers_loads_the_bundle(bundle: Bundle) -> None:
    from transformers import AutoConfig, AutoTokenizer

    config = AutoConfig.from_pretrained(bundle.path, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(bundle.path, local_files_only=True)
    assert [config.id2label[at] for at in range(config.num_labels)] == bundle.manifest.labels
    assert tokenizer.model_max_length == bundle.manifest.max_length == 64
    (ours,) = Tokeniser(bundle).encode([TextInput("Where is my refund?")])
    assert tokenizer("Where is my refund?")["input_ids"] == ours.ids


def test_the_same_seed_gives_the_same_splits_and_scores(room: Path, bundle: Bundle) -> None:
    again = labelstream(
        *("train", "tickets.csv", "--base-model", "base", "--epochs", 1, "--learning-rate", 1e-3),
        *("--name", "tickets", "--seed", 3, "--bundle-store", "again"),
        cwd=room,
    )
    assert again.returncode == 0, again.stderr
    second = open_bundle("tickets", room / "again")
    assert second.manifest.files["splits.csv"] == bundle.manifest.files["splits.csv"]
    _, first_logits = read_reference(bundle)
    _, second_logits = read_reference(second)
    np.testing.assert_allclose(first_logits, second_logits, atol=1e-3)


def test_a_changed_byte_names_the_file(room: Path, bundle: Bundle) -> None:
    copy = room / "copy"
    shutil.copytree(bundle.path, copy)
    graph = bytearray((copy / "onnx/model.onnx").read_bytes())
    graph[len(graph) // 2] ^= 1
    (copy / "onnx/model.onnx").write_bytes(graph)
    checked = labelstream("verify", copy, cwd=room)
    assert checked.returncode == 3
    assert "onnx/model.onnx" in checked.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_leaves_nothing_behind(
    room: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    scratch = tmp_path
    write_tickets(room / "many.csv", 20_000)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "stream", "train", "many.csv", "--base-model", "base"),
            *("--bundle-store", "interrupted"),
        ],
        cwd=room,
        env={**ENVIRONMENT, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(
            lambda: process.poll() is not None or list(scratch.glob("labelstream-train-*")),
            90,
            "the first checkpoint folder",
        )
        assert process.poll() is None, process.communicate()
        process.send_signal(number)
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code
    assert list(scratch.glob("labelstream-train-*")) == []
    assert not (room / "interrupted").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_export_leaves_nothing_behind(
    room: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    store = tmp_path / "store"
    process = subprocess.Popen(
        [sys.executable, "-m", "stream", "export", "base", "--bundle-store", str(store)],
        cwd=room,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(
            lambda: [*store.glob("base/.staging-*/config.json")],
            90,
            "the configuration in the staging folder",
        )
        process.send_signal(number)
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code
    assert not store.exists()
