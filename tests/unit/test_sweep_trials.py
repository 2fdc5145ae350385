"""The trials of a sweep with scripted trainings: pruning, failures, resuming, and the files of a study."""

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial

from stream.errors import UsageError
from trainer.config import TrainingConfig
from trainer.sweep.results import importances, outcome, trial_rows, write_page, write_table
from trainer.sweep.space import Choices, Dimension, Range
from trainer.sweep.study import best_trial, finished_trials, open_study
from trainer.sweep.trials import Search, run_trials

SPACE: list[Dimension] = [Range("learning_rate", 1e-5, 1e-3, log=True), Choices("batch_size", (16, 32, 64))]
IDENTITY = {"data": "sha256:1", "space": "sha256:2"}
METRIC = "macro_f1"
Script = Sequence[Sequence[float] | BaseException]
OnEpoch = Callable[[Mapping[str, float]], None]


class Killed(BaseException):
    """An exception that nothing handles, as a process ends at SIGKILL in the middle of a trial."""


@dataclass
class Scripted:
    """A training whose epochs have the metrics of a script, one list per trial; an exception is raised."""

    script: Script
    configs: list[TrainingConfig] = field(default_factory=list)

    def __call__(
        self, config: TrainingConfig, _: Any, on_epoch: Callable[[Mapping[str, float]], None]
    ) -> Any:
        self.configs.append(config)
        epochs = self.script[min(len(self.configs), len(self.script)) - 1]
        if isinstance(epochs, BaseException):
            raise epochs
        for value in epochs:
            on_epoch({METRIC: value, "accuracy": value})
        return SimpleNamespace(best_epoch=epochs.index(max(epochs)) + 1, epochs_run=len(epochs))


@dataclass
class Report:
    notes: list[str] = field(default_factory=list)
    trials: list[FrozenTrial] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def epoch(self, number: int, epoch: int, value: float) -> None:
        pass

    def finished(self, trial: FrozenTrial) -> None:
        self.trials.append(trial)


@contextmanager
def opened(folder: Path, identity: Mapping[str, Any] = IDENTITY) -> Iterator[optuna.Study]:
    with open_study(folder, identity, 42) as study:
        yield study


def search(folder: Path, trials: int, timeout: float | None = None) -> Search:
    return Search(TrainingConfig(), SPACE, METRIC, folder, trials, timeout)


def params_after(folder: Path, trials: int) -> list[dict[str, Any]]:
    with opened(folder) as study:
        run_trials(study, search(folder, trials), Scripted([[0.5]]), Report())
        return [trial.params for trial in finished_trials(study)]


def test_the_first_trial_is_the_default_recipe_and_the_best_value_is_that_of_the_best_epoch(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as study:
        train = Scripted([[0.5, 0.8, 0.6], [0.7], [0.8]])
        run_trials(study, search(tmp_path, 3), train, Report())
        assert study.trials[0].params == {"learning-rate": 1e-4, "batch-size": 32}
        best = best_trial(study)
        assert best is not None
        assert (best.number, best.value) == (0, 0.8)
        assert best.user_attrs["best_epoch"] == 2
        assert [config.recipe.batch_size for config in train.configs] == [
            trial.params["batch-size"] for trial in study.trials
        ]


def test_a_trial_below_the_median_is_pruned_after_its_second_epoch(tmp_path: Path) -> None:
    good = [0.5, 0.8, 0.9]
    with opened(tmp_path) as study:
        train = Scripted([good, good, good, good, [0.1, 0.2, 0.95], [0.1, 0.9, 0.95]])
        run_trials(study, search(tmp_path, 6), train, Report())
        assert [outcome(trial) for trial in study.trials] == ["complete"] * 4 + ["pruned", "complete"]
        assert study.trials[4].intermediate_values == {1: 0.1, 2: 0.2}
        assert "is pruned" in (tmp_path / "trials" / "0004.log").read_text()
        best = best_trial(study)
        assert best is not None
        assert best.number == 5


def test_a_failed_trial_is_recorded_and_does_not_end_the_sweep(tmp_path: Path) -> None:
    refused = UsageError("--freeze-layers cannot be combined with --lora")
    script: Script = [
        [0.5],
        RuntimeError("CUDA out of memory\nTried 2 GiB"),
        refused,
        [float("nan")],
        MemoryError(),
        [0.6],
    ]
    report = Report()
    with opened(tmp_path) as study:
        run_trials(study, search(tmp_path, 6), Scripted(script), report)
        assert [outcome(trial) for trial in report.trials] == ["complete", *["failed"] * 4, "complete"]
        rows = trial_rows(finished_trials(study), METRIC)
    assert [row["error"] for row in rows] == [
        None,
        "RuntimeError: CUDA out of memory Tried 2 GiB",
        refused.message,
        "ArithmeticError: the validation metric macro_f1 is nan",
        "MemoryError: ",
        None,
    ]
    assert "Traceback" in (tmp_path / "trials" / "0001.log").read_text()


def test_a_sweep_whose_trials_all_fail_ends_with_the_first_error(tmp_path: Path) -> None:
    with opened(tmp_path) as study, pytest.raises(UsageError, match="no complete trial") as refused:
        run_trials(study, search(tmp_path, 2), Scripted([RuntimeError("no memory")]), Report())
    assert "2 trials failed" in refused.value.cause
    assert "no memory" in refused.value.cause


def test_a_killed_sweep_draws_the_same_settings_as_one_that_was_not_killed(tmp_path: Path) -> None:
    with opened(tmp_path / "killed") as study, pytest.raises(Killed):
        run_trials(study, search(tmp_path / "killed", 8), Scripted([[0.5], [0.5], Killed()]), Report())
    report = Report()
    with opened(tmp_path / "killed") as study:
        run_trials(study, search(tmp_path / "killed", 8), Scripted([[0.5]]), report)
        assert report.notes == ["interrupted trials that are repeated: 1"]
        assert len(report.trials) == 6
        found = [trial.params for trial in finished_trials(study)]
    assert found == params_after(tmp_path / "whole", 8)
    assert len({tuple(params.items()) for params in found}) == 8


def test_a_sweep_that_was_killed_before_its_first_trial_repeats_the_default_recipe(tmp_path: Path) -> None:
    with opened(tmp_path) as study, pytest.raises(Killed):
        run_trials(study, search(tmp_path, 1), Scripted([Killed()]), Report())
    with opened(tmp_path) as study:
        run_trials(study, search(tmp_path, 1), Scripted([[0.5]]), Report())
        [trial] = finished_trials(study)
        assert trial.params == {"learning-rate": 1e-4, "batch-size": 32}
        assert trial_rows([trial], METRIC)[0]["default_recipe"] is True


def test_settings_that_kill_the_process_three_times_are_abandoned(tmp_path: Path) -> None:
    for _ in range(3):
        with opened(tmp_path) as study, pytest.raises(Killed):
            run_trials(study, search(tmp_path, 1), Scripted([Killed()]), Report())
    report = Report()
    with opened(tmp_path) as study:
        run_trials(study, search(tmp_path, 1), Scripted([[0.5]]), report)
        [trial] = finished_trials(study)
        assert trial.params != {"learning-rate": 1e-4, "batch-size": 32}
    assert report.notes == ["settings that are abandoned after 3 interrupted trials: 1"]


def test_trials_counts_earlier_runs_and_the_timeout_starts_no_trial(tmp_path: Path) -> None:
    assert len(params_after(tmp_path, 2)) == 2
    assert len(params_after(tmp_path, 3)) == 3
    assert len(params_after(tmp_path, 2)) == 3
    report = Report()
    with opened(tmp_path) as study:
        run_trials(study, search(tmp_path, 9, timeout=0), Scripted([[0.5]]), report)
    assert report.trials == []
    assert report.notes == ["--timeout: no new trial starts after 3 of 9"]


def test_a_study_refuses_other_data_and_another_process(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(UsageError, match="is in use"), opened(tmp_path):
        pass
    with opened(tmp_path, IDENTITY):
        pass
    other = {**IDENTITY, "data": "sha256:3"}
    with pytest.raises(UsageError, match="belongs to another sweep") as refused, opened(tmp_path, other):
        pass
    assert refused.value.cause == "these parts differ: data"


@pytest.mark.parametrize("damage", ["study.json", "study.db"])
def test_a_damaged_study_is_refused(tmp_path: Path, damage: str) -> None:
    with opened(tmp_path):
        pass
    (tmp_path / damage).write_text("not a study")
    with pytest.raises(UsageError, match=r"another sweep|cannot be opened"), opened(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write") as refused, opened(tmp_path / "file" / "study"):
        pass
    assert "--study" in refused.value.fix


def test_a_study_in_a_folder_with_an_odd_name(tmp_path: Path) -> None:
    assert len(params_after(tmp_path / "stüdy ?a=1&b%20#c", 1)) == 1
    assert [found.name for found in tmp_path.iterdir()] == ["stüdy ?a=1&b%20#c"]


def test_the_table_and_the_page_show_every_trial_and_escape_texts(tmp_path: Path) -> None:
    script: Script = [[0.5], [0.7], [0.6], [0.9], RuntimeError("<script>alert(1)</script>")]
    with opened(tmp_path) as study:
        run_trials(study, search(tmp_path, 5), Scripted(script), Report())
        write_table(study, METRIC, tmp_path)
        write_page(study, METRIC, tmp_path, {"study": "<b>"}, "The winner is not better.")
        assert set(importances(study)) == {"learning-rate", "batch-size"}
    with (tmp_path / "trials.csv").open(newline="") as file:
        rows = [*csv.DictReader(file)]
    assert [row["state"] for row in rows] == ["complete"] * 4 + ["failed"]
    assert rows[3]["validation_macro_f1"] == "0.9"
    for name in ("history.png", "importance.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "sweep.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "The winner is not better." in page
    assert not re.search(r"(src|href)=.?https?:", page)
    assert page.count("<tr") == 6


def test_the_page_says_why_it_has_no_importance(tmp_path: Path) -> None:
    with opened(tmp_path) as study:
        run_trials(study, search(tmp_path, 1), Scripted([[0.5]]), Report())
        write_page(study, METRIC, tmp_path, {"study": "s"})
    assert "needs 4 complete trials" in (tmp_path / "sweep.html").read_text()
    assert not (tmp_path / "importance.png").exists()
