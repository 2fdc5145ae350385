"""A training in memory, and its outputs in a file."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import trainer
from stream.errors import UsageError
from tests.real.tiny_bundle import LABELS, TEXTS, save_tiny_base
from trainer.config import Checkpoints, Evaluation, Recipe, Samples, TrainingConfig
from trainer.cross_validation.run import cross_validate
from trainer.data.read import read_data
from trainer.fit import TrainingJob
from trainer.kept_outputs import fit_once
from trainer.model.base_location import resolve_base_model
from trainer.report import show_cost
from trainer.run import run, split_data
from trainer.sweep.retrain import compare_recipes

QUIET = Console(quiet=True)


@pytest.fixture
def job(tmp_path: Path) -> TrainingJob:
    """A job of one step, whose settings name a folder for checkpoints."""
    save_tiny_base(tmp_path / "base")
    rows = [{"text": f"{TEXTS[at % 12]} {at * 7919}", "label": LABELS[at % 2]} for at in range(24)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    config = TrainingConfig(
        base_model=str(tmp_path / "base"),
        recipe=Recipe(max_steps=1, max_length=16, precision="fp32"),
        checkpoints=Checkpoints(keep_in=tmp_path / "kept"),
        bundle_store=tmp_path / "bundles",
        cross_validate=2,
    )
    data = read_data(tmp_path / "rows.jsonl", config.data)
    splits = split_data(data, config.recipe, QUIET)
    return TrainingJob(data, splits, config, resolve_base_model(config.base_model))


def test_a_model_of_a_fold_takes_no_part_in_the_checkpoints_of_the_bundle(
    job: TrainingJob, tmp_path: Path
) -> None:
    """With --resume a fold would otherwise continue the training of the bundle, which has seen its rows."""
    cross_validate(job.data, job.config, job.base, tmp_path / "results", QUIET)
    assert not (tmp_path / "kept").exists()
    assert len([*(tmp_path / "results").glob("*/fold-*.npz")]) == 2


def test_outputs_in_a_file_are_not_computed_again(
    job: TrainingJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fit_once(job, tmp_path / "new" / "folder", "one")
    assert "epoch 1" in (tmp_path / "new" / "folder" / "one.log").read_text()

    def refuse(*_: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("trainer.kept_outputs.fit", refuse)
    again = fit_once(job, tmp_path / "new" / "folder", "one")
    assert (first.repeated, again.repeated, again.rule) == (False, True, first.rule)
    np.testing.assert_array_equal(first.test, again.test)
    with pytest.raises(AssertionError, match="trained again"):
        compare_recipes(job, job, 1, tmp_path / "new" / "folder", QUIET)


def test_several_processes_neither_cross_validate_nor_train_in_python(
    job: TrainingJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="--cross-validate runs in one process"):
        run(job.data, job.config, job.base, QUIET)
    with pytest.raises(UsageError, match="does not train with several processes"):
        trainer.train("sample")


@pytest.mark.parametrize(
    ("values", "processes", "expected"),
    [
        ({}, "1", "at most 5 epochs of 4 steps = 20 steps of 32 texts in fp32"),
        ({}, "2", "at most 5 epochs of 2 steps = 10 steps of 64 texts in fp32"),
        ({"max_steps": 9}, "1", "at most 9 steps of 32 texts in fp32"),
        ({"evaluation": Evaluation(eval_steps=2)}, "1", "stops after 2 evaluations without improvement"),
    ],
)
def test_the_announced_steps_are_those_of_the_training(
    values: dict[str, Any], processes: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", processes)
    output = io.StringIO()
    show_cost(Console(file=output, width=300), "tiny", Recipe(**values), 100, 60.0, "fp32", 1.0)
    assert expected in output.getvalue()


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_cross_validation_refuses_samples(split: str) -> None:
    with pytest.raises(UsageError, match="cannot be combined with --cross-validate"):
        TrainingConfig(cross_validate=2, recipe=Recipe(samples=Samples(**{split: 9})))
