"""Every combination of input and head: trained from a file, checked by `verify` and used by `predict`."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from typer.testing import CliRunner

from stream.bundle import Bundle, open_bundle
from stream.commands.predict import predict
from stream.commands.verify import verify
from tests.real.tiny_bundle import TEXTS, save_tiny_base
from trainer.cli import train

pytestmark = pytest.mark.slow
ROWS = 96


class Head(NamedTuple):
    """The target column of a head, and the field that the head adds to a label event."""

    column: str
    output_field: str


HEADS = {
    "single-label": Head("kind", "label"),
    "multi-label": Head("kinds", "labels"),
    "regression": Head("score", "value"),
    "token": Head("tags", "spans"),
}
INPUTS: dict[str, dict[str, Any]] = {
    "text": {},
    "pair": {"text_pair_column": "other"},
    "metadata": {"metadata_columns": ["age,channel"]},
    "pair and metadata": {"text_pair_column": "other", "metadata_columns": ["age,channel"]},
    "windows": {"windows": True, "max_length": 12, "stride": 4},
}
COMBINATIONS = [
    (head, input_kind)
    for head in HEADS
    for input_kind in INPUTS
    if not (head == "token" and input_kind.startswith("pair"))
]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("combinations")
    save_tiny_base(workspace / "base")
    rows = [_row(number) for number in range(ROWS)]
    with (workspace / "rows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    with (workspace / "rows.jsonl").open("w") as file:
        file.writelines(
            json.dumps({**row, "tags": _tags(row["text"]), "text": row["text"].split()}) + "\n"
            for row in rows
        )
    return workspace


def _row(number: int) -> dict[str, Any]:
    kind = number % 3
    return {
        "text": f"{TEXTS[number % 12]} {number}",
        "other": f"{TEXTS[(number + kind) % 12]} {number}",
        "age": 20 + number % 50,
        "channel": ("web", "mail", "")[number % 3],
        "kind": ("a", "b", "c")[kind],
        "kinds": ("a", "a,b", "c")[kind],
        "score": 10.0 * kind + number % 7,
    }


def _tags(text: str) -> list[str]:
    return ["B-thing" if word in ("refund", "app", "parcel", "card") else "O" for word in text.split()]


@pytest.mark.parametrize(("head", "input_kind"), COMBINATIONS, ids=lambda value: value.replace(" ", "-"))
def test_a_combination_trains_verifies_and_predicts(
    workspace: Path, tmp_path: Path, head: str, input_kind: str
) -> None:
    train(
        str(workspace / ("rows.jsonl" if head == "token" else "rows.csv")),
        task=head,
        text_column="text",
        label_column=HEADS[head].column,
        name="kind",
        bundle_store=tmp_path,
        results=tmp_path / "results",
        base_model=str(workspace / "base"),
        epochs=1,
        batch_size=16,
        seed=5,
        **INPUTS[input_kind],
    )
    bundle = open_bundle("kind", tmp_path)
    results = tmp_path / "results" / "kind" / "1"
    assert b"</html>" in (results / "report.html").read_bytes()
    assert len(list(csv.DictReader((results / "predictions.csv").open(newline="")))) > 1
    manifest = bundle.manifest
    assert manifest.takes_pair == ("pair" in input_kind)
    assert bool(manifest.metadata) == ("metadata" in input_kind)
    assert bool(manifest.windows) == (input_kind == "windows")
    _check_verified(bundle)
    assert HEADS[head].output_field in _prediction(bundle, tmp_path)


def _check_verified(bundle: Bundle) -> None:
    """Check that `verify` passes, also on a CPU without VNNI, where int8-static is exact on OpenVINO only."""
    result = _run(verify, str(bundle.path))
    assert result.exit_code == 0, result.output


def _prediction(bundle: Bundle, folder: Path) -> dict[str, Any]:
    event = {
        "id": "1",
        "text": f"{TEXTS[0]} and {TEXTS[1]} and once more {TEXTS[2]}",
        "text_pair": TEXTS[3],
        "metadata": {"age": 30, "channel": "never seen"},
    }
    (folder / "in.jsonl").write_text(json.dumps(event) + "\n")
    output = folder / "out.jsonl"
    result = _run(predict, str(bundle.path), "--input", str(folder / "in.jsonl"), "--output", str(output))
    assert result.exit_code == 0, result.output
    prediction: dict[str, Any] = json.loads(output.read_text())
    return prediction


def _run(command: Callable[..., None], *words: str) -> Any:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, words)
