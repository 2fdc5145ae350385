"""The same seed on the same machine, with the default encoder: everything that is measured is equal."""

import csv
import random
from pathlib import Path

import numpy as np
import pytest

from stream.bundle import Bundle, open_bundle
from stream.sample import sample_path
from stream.verify.parity import read_reference
from trainer.cli import train

pytestmark = pytest.mark.slow
ROWS = 2_000


def _write_rows(path: Path) -> None:
    """Sample messages, two and two, so that there are enough that differ."""
    chosen = random.Random(7)
    with sample_path().open(newline="") as file:
        rows = [*csv.DictReader(file)]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        for number in range(ROWS):
            first, second = chosen.choice(rows), chosen.choice(rows)
            writer.writerow((f"{first['text']} {second['text']} {number}", first["intent"]))


@pytest.mark.timeout(900)
def test_two_trainings_on_2000_rows_split_and_measure_the_same(tmp_path: Path) -> None:
    _write_rows(tmp_path / "rows.csv")

    def once(store: str) -> Bundle:
        train(
            str(tmp_path / "rows.csv"),
            name="same",
            bundle_store=tmp_path / store,
            epochs=1,
            max_length=32,
            seed=11,
        )
        return open_bundle("same", tmp_path / store)

    first, second = once("first"), once("second")
    for file in ("splits.csv", "metrics.json"):
        assert (first.path / file).read_text() == (second.path / file).read_text()
    np.testing.assert_array_equal(read_reference(first)[1], read_reference(second)[1])
