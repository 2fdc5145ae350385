"""Experiment tracking without its libraries: settings, names, secrets, and trackers that fail or hang."""

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import StringIO
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from rich.console import Console

from stream.bundle import read_bundle
from stream.errors import BundleError, UsageError
from trainer.config import Checkpoints, TrackingSettings
from trainer.config.tracking import is_installed
from trainer.model.training_history import epoch_history
from trainer.tracking import check_trackers, tracking
from trainer.tracking.base import RunInfo
from trainer.tracking.guard import GuardedTracker
from trainer.tracking.values import curve_points, flat_parameters, flat_results, without_secrets

# --- settings


def test_trackers_are_chosen_by_name_all_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert TrackingSettings(report_to=("wandb", "mlflow", "wandb")).report_to == ("wandb", "mlflow")
    assert TrackingSettings(report_to=("none",)).report_to == ()
    assert TrackingSettings(report_to="wandb, mlflow").report_to == ("wandb", "mlflow")
    monkeypatch.setattr("trainer.config.tracking.is_installed", lambda name: name != "trackio")
    assert TrackingSettings(report_to=("all",)).report_to == ("tensorboard", "mlflow", "wandb")
    with pytest.raises(UsageError) as refused:
        TrackingSettings(report_to=("tensorbord",))
    assert refused.value.fix == "did you mean --report-to tensorboard?"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"run_name": "one"}, "--run-name has no effect without --report-to"),
        ({"project": "one"}, "--project has no effect without --report-to"),
        ({"report_to": ("wandb",), "register_as": "m"}, "--register m needs MLflow"),
        ({"report_to": ("mlflow",), "register_as": "a/b"}, "--register a/b cannot name a model in MLflow"),
        ({"report_to": ("mlflow",), "alias": ("best",)}, "--alias best has no effect without --register"),
        (
            {"report_to": ("mlflow",), "register_as": "m", "alias": ("best", "v2")},
            "--alias v2 cannot name a version in MLflow",
        ),
        ({"report_to": ("mlflow",), "run_name": " "}, "--run-name   is not valid"),
    ],
)
def test_a_setting_without_an_effect_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as refused:
        TrackingSettings(**values)
    assert refused.value.message == message
    assert refused.value.fix


def test_the_project_is_the_flag_else_the_variable_of_the_tracker_else_the_bundle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "of-wandb")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    settings = TrackingSettings(report_to=("wandb", "mlflow"))
    assert settings.project_of("wandb", "tickets") == "of-wandb"
    assert settings.project_of("mlflow", "tickets") == "tickets"
    named = TrackingSettings(report_to=("wandb",), project="mine")
    assert named.project_of("wandb", "tickets") == "mine"


def test_a_missing_library_is_an_error_before_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.tracking.tracking.is_installed", lambda name: name != "wandb")
    check_trackers(TrackingSettings(report_to=("mlflow",)))
    with pytest.raises(UsageError) as refused:
        check_trackers(TrackingSettings(report_to=("mlflow", "wandb")))
    assert refused.value.message == "--report-to wandb needs a package that is not installed"
    assert "trainer,tracking" in refused.value.fix


def test_a_folder_of_runs_is_not_taken_for_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "not_a_library").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert not is_installed("not_a_library")  # type: ignore[arg-type]
    (tmp_path / "not_a_library/__init__.py").touch()
    assert is_installed("not_a_library")  # type: ignore[arg-type]


# --- names, values and secrets


def test_parameters_are_flat_and_hold_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef")
    settings = {
        "task": "token",
        "lora": {"rank": 8, "dropout": 0.05},
        "windows": None,
        "imbalance": {"class_weights": "inverse", "weights": {"a//b": 0.5, "x" * 300: 2.0}},
        "augment": ("swap", "noise"),
        "token": "hf_abc",
        "hub": {"api_key": "k", "password": "p", "max_token": 5},
        "data": {"file": "https://ada:pw@host/data.csv"},
        "note": "key 0123456789abcdef",
        "long": "x" * 10_000,
    }
    found = flat_parameters(settings)
    assert found.pop("long") == "x" * 499 + "…"
    assert found == {
        "task": "token",
        "lora.rank": 8,
        "lora.dropout": 0.05,
        "imbalance.class_weights": "inverse",
        "augment": '["swap","noise"]',
        "hub.max_token": 5,
        "data.file": "https://host/data.csv",
        "note": "key ***",
    }


def test_errors_hide_the_values_of_secret_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter22")
    monkeypatch.setenv("OTHER", "visible")
    assert without_secrets("http://u:hunter22@h/ hunter22 visible") == "http://h/ *** visible"


def test_results_have_both_ends_of_their_intervals_and_no_figures_of_labels() -> None:
    metrics = {
        "training": {"seed": 1},
        "validation": {"accuracy": 0.5},
        "test": {
            "rows": 12,
            "macro_f1": 0.75,
            "answered": None,
            "intervals": {"macro_f1": [0.5, 0.9], "per_label": {"bug": [0.1, 0.2]}},
            "per_label": {"bug": {"f1": 0.5}},
        },
    }
    assert flat_results(metrics) == {
        "best_validation/accuracy": 0.5,
        "test/rows": 12.0,
        "test/macro_f1": 0.75,
        "test/macro_f1_low": 0.5,
        "test/macro_f1_high": 0.9,
    }


def test_curves_distinguish_training_and_validation() -> None:
    step = {"loss": 0.5, "grad_norm": 2.0, "learning_rate": 1e-4, "epoch": 0.5}
    assert curve_points(step) == {f"train/{name}": value for name, value in step.items()}
    assert curve_points({"eval_accuracy": 0.9, "note": "x"}) == {"validation/accuracy": 0.9}
    # The mean of the whole training is no point of the curve of the loss.
    assert curve_points({"train_loss": 0.7, "train_runtime": 3.0}) == {
        "train/mean_loss": 0.7,
        "train/runtime": 3.0,
    }


def test_the_history_has_the_mean_loss_of_the_steps_of_each_epoch() -> None:
    log = [
        {"step": 4, "loss": 1.0, "grad_norm": 1.0, "epoch": 0.8},
        {"step": 5, "loss": 2.0, "epoch": 1.0},
        {"step": 5, "eval_macro_f1": 0.5, "eval_accuracy": 0.6, "epoch": 1.0},
        {"step": 10, "loss": 0.5, "epoch": 2.0},
        {"step": 10, "eval_macro_f1": 0.7, "eval_accuracy": 0.8, "epoch": 1.9999999999},
        {"step": 12, "eval_macro_f1": 0.6, "eval_accuracy": 0.8, "epoch": 2.4},
        {"step": 12, "train_loss": 0.9, "epoch": 2.4},
    ]
    assert epoch_history(log) == [
        {"epoch": 1, "loss": pytest.approx(1.2), "macro_f1": 0.5, "accuracy": 0.6},
        {"epoch": 2, "loss": 0.5, "macro_f1": 0.7, "accuracy": 0.8},
        {"epoch": 2.4, "macro_f1": 0.6, "accuracy": 0.8},
    ]


# --- trackers that fail


class ScriptedTracker:
    """A tracker that records its calls and runs a script at each of them."""

    name: Any = "mlflow"
    samples_system = False

    def __init__(self, script: Callable[[str], None]) -> None:
        self._script = script
        self.calls: list[str] = []

    def _call(self, name: str) -> None:
        self.calls.append(name)
        self._script(name)

    def start(self, run: RunInfo) -> str:
        self._call("start")
        return f"id of {run.name}"

    def location(self) -> str:
        return "http://ada:secret@host/run"

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        self._call(f"metrics {step}")

    def log_results(self, metrics: Mapping[str, float], step: int) -> None:
        self._call("results")

    def log_bundle(self, bundle: Any) -> None:
        self._call("bundle")

    def log_files(self, paths: Any) -> None:
        self._call("files")

    def finish(self, status: str) -> None:
        self._call(status)


def run_through(guarded: GuardedTracker) -> None:
    guarded.start(RunInfo("p", "one"))
    for step in (1, 2, 3):
        guarded.log_metrics({"train/loss": 1.0}, step)
    guarded.log_metrics({"system/cpu": 1.0})
    guarded.log_results({"test/accuracy": 1.0})
    guarded.log_files([])
    guarded.finish("finished")
    guarded.wait(10)


def test_calls_arrive_in_order_and_the_place_hides_the_password() -> None:
    tracker, warnings = ScriptedTracker(lambda _: None), list[str]()
    guarded = GuardedTracker(tracker, warnings.append)
    run_through(guarded)
    points = ["metrics 1", "metrics 2", "metrics 3", "metrics 3"]
    assert tracker.calls == ["start", *points, "results", "files", "finished"]
    assert (guarded.run_id, guarded.where, guarded.failure, warnings) == (
        "id of one",
        "http://host/run",
        "",
        [],
    )


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), SystemExit(1), KeyboardInterrupt()]
)
def test_a_failure_is_reported_once_and_the_final_calls_are_tried(error: BaseException) -> None:
    def script(name: str) -> None:
        if name == "metrics 2":
            raise error

    tracker, warnings = ScriptedTracker(script), list[str]()
    guarded = GuardedTracker(tracker, warnings.append)
    run_through(guarded)
    assert tracker.calls == ["start", "metrics 1", "metrics 2", "results", "files", "finished"]
    (warning,) = warnings
    assert warning.startswith("mlflow has failed, and the training goes on without it: ")
    assert guarded.failure in warning


def test_a_final_call_that_fails_is_the_last_one() -> None:
    def script(name: str) -> None:
        if name in ("metrics 1", "results"):
            raise ConnectionError("gone")

    tracker, warnings = ScriptedTracker(script), list[str]()
    run_through(GuardedTracker(tracker, warnings.append))
    assert tracker.calls == ["start", "metrics 1", "results"]
    assert len(warnings) == 1


def test_a_tracker_that_does_not_start_is_an_error_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef")

    def script(name: str) -> None:
        raise ValueError("the key 0123456789abcdef is not valid")

    guarded = GuardedTracker(ScriptedTracker(script), print)
    with pytest.raises(UsageError) as refused:
        guarded.start(RunInfo("p", "one"))
    assert refused.value.message == "mlflow does not start a run"
    assert refused.value.cause == "ValueError: the key *** is not valid"
    guarded.finish("failed")
    guarded.wait(10)


@pytest.mark.parametrize(
    ("error", "bound"),
    [(None, "FINISHED_TIMEOUT_S"), (KeyboardInterrupt, "INTERRUPTED_TIMEOUT_S")],
)
def test_trackers_that_hang_delay_neither_the_training_nor_its_end(
    error: type[BaseException] | None, bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang, console = Event(), Console(file=StringIO(), width=200)
    trackers = [ScriptedTracker(lambda name: None if name == "start" else (hang.wait(60), None)[1])] * 2
    monkeypatch.setattr(tracking, "_create", lambda name, _: trackers.pop())
    monkeypatch.setattr(tracking, "is_installed", lambda _: True)
    monkeypatch.setattr(tracking, bound, 0.2)
    settings = TrackingSettings(report_to=("mlflow", "wandb"))
    with suppress(KeyboardInterrupt), tracking.Tracking(settings, console) as tracked:
        tracked.start("tickets", {}, Checkpoints())
        for _ in range(1_000):
            tracked.log_results({"test": {"accuracy": 1.0}})
        if error is not None:
            raise error
    # Without a bound the block would end only after the trackers, which wait for this.
    assert not hang.is_set()
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert printed.count("is incomplete: it did not end in time") == 2
    hang.set()


def test_the_system_figures_do_not_set_the_step_back() -> None:
    steps: list[str] = []
    guarded = GuardedTracker(ScriptedTracker(steps.append), print)
    guarded.log_metrics({"train/loss": 1.0}, 7)
    guarded.log_metrics({"system/cpu": 1.0})
    guarded.finish("finished")
    guarded.wait(10)
    assert steps == ["metrics 7", "metrics 7", "finished"]


def test_the_results_folder_has_one_name_in_every_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow", reason="the extra tracking is not installed")
    from mlflow import MlflowClient

    from trainer.tracking.mlflow import MlflowTracker

    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    folder = tmp_path / "results/tickets/1"
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("<p>")
    tracker = MlflowTracker()
    run_id = tracker.start(RunInfo("tickets", "one"))
    tracker.log_files([folder])
    assert [item.path for item in MlflowClient().list_artifacts(run_id, "results")] == ["results/report.html"]


# --- references


@pytest.mark.parametrize(
    "text", ["models:/tickets", "models:/", "models:/a/b/c", "models:/a@", "runs:/", "models:/a/x"]
)
def test_a_malformed_reference_is_refused_with_the_forms(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        read_bundle(text, tmp_path)
    assert "models:/NAME@ALIAS" in refused.value.fix


def test_a_reference_needs_the_client_of_mlflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(UsageError) as refused:
        read_bundle("models:/tickets@champion", tmp_path)
    assert "'.[mlflow]'" in refused.value.fix


def test_a_name_that_is_no_reference_is_looked_up_in_the_store(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="was not found"):
        read_bundle("models@3", tmp_path)
