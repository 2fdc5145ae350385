"""Every input with every head, from a file to a bundle whose proof `verify` repeats, told by `predict`."""

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
    """Where a head's targets stand, and the member that it adds to a label event."""

    column: str
    says: str


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
    (head, given) for head in HEADS for given in INPUTS if not (head == "token" and given.startswith("pair"))
]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    room = tmp_path_factory.mktemp("combinations")
    save_tiny_base(room / "base")
    rows = [_row(number) for number in range(ROWS)]
    with (room / "rows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    with (room / "rows.jsonl").open("w") as file:
        file.writelines(
            json.dumps({**row, "tags": _tags(row["text"]), "text": row["text"].split()}) + "\n"
            for row in rows
        )
    return room


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


@pytest.mark.parametrize(("head", "given"), COMBINATIONS, ids=lambda value: value.replace(" ", "-"))
def test_a_combination(room: Path, tmp_path: Path, head: str, given: str) -> None:
    train(
        str(room / ("rows.jsonl" if head == "token" else "rows.csv")),
        task=head,
        text_column="text",
        label_column=HEADS[head].column,
        name="kind",
        bundle_store=tmp_path,
        base_model=str(room / "base"),
        epochs=1,
        batch_size=16,
        seed=5,
        **INPUTS[given],
    )
    bundle = open_bundle("kind", tmp_path)
    manifest = bundle.manifest
    assert manifest.takes_pair == ("pair" in given)
    assert bool(manifest.metadata) == ("metadata" in given)
    assert bool(manifest.windows) == (given == "windows")
    assert _run(verify, str(bundle.path)).exit_code == 0
    assert HEADS[head].says in _said(bundle, tmp_path)


def _said(bundle: Bundle, folder: Path) -> dict[str, Any]:
    event = {
        "id": "1",
        "text": f"{TEXTS[0]} and {TEXTS[1]} and once more {TEXTS[2]}",
        "text_pair": TEXTS[3],
        "metadata": {"age": 30, "channel": "never seen"},
    }
    (folder / "in.jsonl").write_text(json.dumps(event) + "\n")
    output = folder / "out.jsonl"
    done = _run(predict, str(bundle.path), "--input", str(folder / "in.jsonl"), "--output", str(output))
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(output.read_text())
    return found


def _run(command: Callable[..., None], *words: str) -> Any:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, words)
