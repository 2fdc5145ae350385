"""`labelstream train --cross-validate` with a tiny model."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from stream.bundle import open_bundle
from tests.e2e.test_train_tiny import write_tickets
from tests.real.tiny_bundle import save_tiny_base

pytestmark = pytest.mark.slow

FOLDS = 2
ROWS = 60


@pytest.mark.timeout(1200)
def test_every_row_has_an_out_of_fold_prediction_and_the_bundle_is_that_of_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import trainer.cross_validation.run as validation
    import trainer.fit
    import trainer.kept_outputs
    from trainer.cli import train
    from trainer.config import DataConfig, Recipe, TrainingConfig
    from trainer.data.read import read_data
    from trainer.model.base_location import resolve_base_model

    monkeypatch.chdir(tmp_path)
    save_tiny_base(tmp_path / "base")
    write_tickets(tmp_path / "tickets.csv", ROWS)
    flags: dict[str, Any] = {
        "base_model": "base",
        "epochs": 1,
        "max_length": 16,
        "variants": "fp32",
        "no_results": True,
    }
    trained: list[set[int]] = []

    def counted(job: Any, *arguments: Any) -> Any:
        rows = {example.row for example in (*job.splits.train, *job.splits.validation)}
        assert not rows & {example.row for example in job.splits.test}
        trained.append(rows)
        return trainer.fit.fit(job, *arguments)

    monkeypatch.setattr(trainer.kept_outputs, "fit", counted)
    train("tickets.csv", name="folds", cross_validate=FOLDS, **flags)
    train("tickets.csv", name="plain", **flags)
    assert len(trained) == FOLDS

    metrics, plain = (
        json.loads((open_bundle(name, Path("bundles")).path / "metrics.json").read_text())
        for name in ("folds", "plain")
    )
    section = metrics.pop("cross_validation")
    assert metrics == plain
    assert (section["folds"], section["rows"]) == (FOLDS, ROWS)
    assert section["accuracy"] == pytest.approx(np.mean(section["by_fold"]["accuracy"]))
    low, high = section["intervals"]["accuracy"]
    assert low <= section["accuracy"] <= high

    with Path(section["out_of_fold"]).open(newline="") as file:
        rows = [*csv.DictReader(file)]
    assert [int(row["row"]) for row in rows] == [*range(1, ROWS + 1)]
    labels = [name for name in rows[0] if name.startswith("p:")]
    for row in rows:
        scores = {name: float(row[name]) for name in labels}
        assert sum(scores.values()) == pytest.approx(1, abs=1e-4)
        assert max(scores, key=lambda name: scores[name]) == f"p:{row['predicted']}"
        assert int(row["row"]) not in trained[int(row["fold"]) - 1]
    right = [row["label"] == row["predicted"] for row in rows if row["fold"] == "1"]
    assert np.mean(right) == pytest.approx(section["by_fold"]["accuracy"][0])

    # The second run continues after the folds that are finished.
    folder = Path(section["out_of_fold"]).parent
    (folder / "fold-2.npz").unlink()
    config = TrainingConfig(
        data=DataConfig(), recipe=Recipe(epochs=1, max_length=16), base_model="base", cross_validate=FOLDS
    )
    data, before = read_data(Path("tickets.csv"), config.data), (folder / "oof.csv").read_bytes()
    done = validation.cross_validate(
        data, config, resolve_base_model("base"), folder.parent, Console(quiet=True)
    )
    assert trained[FOLDS:] == [trained[1]]
    assert (folder / "oof.csv").read_bytes() == before

    found = done.found.evaluated_rows()
    assert [example.row for example in found.examples] == [*range(1, ROWS + 1)]
    assert found.probabilities is not None
    best = [found.labels[at] for at in found.probabilities.argmax(axis=1)]
    assert best == [row["predicted"] for row in rows]
    assert [answer["label"] for answer in found.predictions] == best
