"""Reproducibility with the default encoder: the same seed on the same machine gives equal metrics."""

import csv
import random
from pathlib import Path

import numpy as np
import pytest

from stream.bundle import Bundle, open_bundle
from stream.sample import sample_path
from stream.verify import read_reference
from trainer.cli import train

pytestmark = pytest.mark.slow
ROWS = 2_000
STEPS = 10
"""An operation that is not deterministic shows in the weights after any step, so an epoch needs not end."""


def _write_rows(path: Path) -> None:
    """Write texts that combine two sample messages, for enough distinct rows."""
    generator = random.Random(7)
    with sample_path().open(newline="") as file:
        rows = [*csv.DictReader(file)]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        for number in range(ROWS):
            first, second = generator.choice(rows), generator.choice(rows)
            writer.writerow((f"{first['text']} {second['text']} {number}", first["intent"]))


@pytest.mark.timeout(900)
def test_two_trainings_on_2000_rows_have_equal_splits_and_metrics(tmp_path: Path) -> None:
    _write_rows(tmp_path / "rows.csv")

    def train_once(store: str) -> Bundle:
        train(
            str(tmp_path / "rows.csv"),
            name="same",
            bundle_store=tmp_path / store,
            no_results=True,
            max_steps=STEPS,
            max_length=32,
            # The seed chooses the calibration texts of int8-static; int8 and fp16 only convert the graph.
            variants=["fp32", "int8-static"],
            seed=11,
        )
        return open_bundle("same", tmp_path / store)

    first, second = train_once("first"), train_once("second")
    for file in ("splits.csv", "metrics.json"):
        assert (first.path / file).read_text() == (second.path / file).read_text()
    np.testing.assert_array_equal(read_reference(first)[1], read_reference(second)[1])
