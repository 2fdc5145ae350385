"""The early refusals of `labelstream sweep`, before it imports its libraries."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from stream.errors import UsageError, install_hint
from trainer.cli_sweep import check_installed, searched_models, sweep
from trainer.config import TrainingConfig
from trainer.sweep.space import Choices
from trainer.sweep.space_file import read_space


def refusal(*arguments: str) -> UsageError:
    app = typer.Typer()
    app.command()(sweep)
    error = CliRunner().invoke(app, [*arguments]).exception
    assert isinstance(error, UsageError)
    return error


def test_the_command_needs_no_heavy_import() -> None:
    heavy = "{'torch', 'transformers', 'optuna', 'sqlalchemy', 'matplotlib', 'jinja2', 'sklearn'}"
    code = f"import sys, trainer.cli_sweep; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_flag_is_not_fixed_and_searched_even_at_its_default(tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text("epochs = [3, 5]")
    space = str(tmp_path / "space.toml")
    assert refusal("none.csv", "--space", space, "--num_train_epochs", "5").message == (
        "--epochs is fixed and searched"
    )
    assert "none.csv" in refusal("none.csv", "--space", space).message


def test_checkpoints_are_refused(tmp_path: Path) -> None:
    error = refusal("none.csv", "--checkpoints", str(tmp_path))
    assert (error.message, "--study" in error.fix) == ("a sweep keeps no checkpoints", True)


def test_the_metric_of_a_training_is_refused() -> None:
    error = refusal("none.csv", "--metric-for-best-model", "accuracy")
    assert error.message == "a sweep compares its trials by the main metric of the task"


def test_several_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert refusal("none.csv").message == "a sweep runs in one process"


def test_data_are_named_once_as_for_train() -> None:
    assert refusal("none.csv", "--train-file", "rows.csv").message == (
        "DATA cannot be combined with --train-file"
    )
    assert "rows.csv" in refusal("--train-file", "rows.csv").message
    assert refusal().message == "no training data are named"


def test_the_revision_is_that_of_the_base_model() -> None:
    assert "--revision v2 cannot be combined" in refusal("none.csv", "--revision", "v2").message


def test_a_missing_tracker_is_reported_before_the_data_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.tracking.tracking.is_installed", lambda name: False)
    assert "--report-to wandb needs a package" in refusal("none.csv", "--report-to", "wandb").message


def test_the_shorthand_of_a_flag_fixes_its_setting(tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text('precision = ["bf16", "fp32"]')
    error = refusal("none.csv", "--space", str(tmp_path / "space.toml"), "--bf16")
    assert error.message == "--precision is fixed and searched"


def test_searched_base_models_are_located_before_the_first_trial(tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text(f'base-model = ["owner/model", "{tmp_path}"]')
    space = read_space(tmp_path / "space.toml", TrainingConfig())
    with pytest.raises(UsageError):
        searched_models(space, TrainingConfig())
    (on_hub,) = searched_models([Choices("base_model", ("owner/model", "none"))], TrainingConfig())
    assert not on_hub.local


def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("optuna", "matplotlib", "jinja2"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "meta_path", [])
    with pytest.raises(UsageError, match="not installed completely") as refused:
        check_installed()
    assert refused.value.fix == install_hint("trainer", "sweep")
