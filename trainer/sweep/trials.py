"""The trials of a sweep: each trains once with drawn settings; a failed trial does not end the sweep."""

import gc
import math
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState
from rich.console import Console

from stream.errors import LabelstreamError, UsageError, one_line
from stream.output_files import named_errors
from trainer.config import TrainingConfig
from trainer.progress import Stages
from trainer.sweep.space import Choices, Dimension, Space, Value, apply_values, default_values, flag_name
from trainer.sweep.study import (
    DEFAULT_RECIPE,
    ERROR,
    MAX_ATTEMPTS,
    best_trial,
    finished_trials,
    repeat_interrupted,
    sampler,
)

LOGS = "trials"
LOG_WIDTH = 110


class Epochs(Protocol):
    """The epochs of a training."""

    @property
    def best_epoch(self) -> int:
        """The number of the best epoch, from 1."""

    @property
    def epochs_run(self) -> int:
        """The number of epochs before training stopped."""


Train = Callable[[TrainingConfig, Stages, Callable[[Mapping[str, float]], None]], Epochs]
"""A function that trains with a configuration and passes on the validation metrics of each epoch."""


@dataclass(frozen=True, slots=True)
class Search:
    """What all trials of a sweep share.

    Attributes:
        config: the configuration with the fixed settings.
        space: the searched settings.
        metric: the validation metric to maximise.
        folder: the folder of the study.
        trials: the number of finished trials to reach.
        timeout: the seconds after which no new trial starts, or None.
    """

    config: TrainingConfig
    space: Space
    metric: str
    folder: Path
    trials: int
    timeout: float | None = None


def run_trials(study: optuna.Study, search: Search, train: Train, report: "TrialReport") -> None:
    """Run trials until the study has enough of them, or until the timeout.

    Raises:
        UsageError: no trial is complete.
    """
    started, seed = time.monotonic(), search.config.recipe.seed
    repeated, abandoned = repeat_interrupted(study)
    if repeated:
        report.note(f"interrupted trials that are repeated: {repeated}")
    if abandoned:
        report.note(f"settings that are abandoned after {MAX_ATTEMPTS} interrupted trials: {abandoned}")
    default = default_values(search.config, search.space)
    if not study.get_trials(deepcopy=False) and default is not None:
        study.enqueue_trial(default, user_attrs={DEFAULT_RECIPE: True})
    while (finished := len(finished_trials(study))) < search.trials:
        if search.timeout is not None and time.monotonic() - started >= search.timeout:
            report.note(f"--timeout: no new trial starts after {finished} of {search.trials}")
            break
        study.sampler = sampler(seed, finished + abandoned)
        number = _run_trial(study, search, train, report)
        report.finished(study.trials[number])
    if best_trial(study) is None:
        raise _no_complete_trial(study, search.folder)


class TrialReport(Protocol):
    """The output of a sweep while it runs."""

    def note(self, text: str) -> None:
        """Show a sentence."""

    def epoch(self, number: int, epoch: int, value: float) -> None:
        """Show the metric of an epoch of the running trial."""

    def finished(self, trial: FrozenTrial) -> None:
        """Show a trial that has ended."""


def _run_trial(study: optuna.Study, search: Search, train: Train, report: TrialReport) -> int:
    """Run one trial, record its outcome and return its number."""
    trial = study.ask()
    values = {flag_name(dimension.parameter): _suggest(trial, dimension) for dimension in search.space}
    history: list[Mapping[str, float]] = []

    def on_epoch(metrics: Mapping[str, float]) -> None:
        value = metrics[search.metric]
        if not math.isfinite(value):
            raise ArithmeticError(f"the validation metric {search.metric} is {value}")
        history.append(metrics)
        trial.report(value, len(history))
        report.epoch(trial.number, len(history), value)
        if trial.should_prune():
            raise optuna.TrialPruned

    started = time.monotonic()
    folder = search.folder / LOGS
    with named_errors(folder):
        folder.mkdir(exist_ok=True)
        log = (folder / f"{trial.number:04}.log").open("w", encoding="utf-8", buffering=1)
    with log:
        output = Console(file=log, width=LOG_WIDTH)
        for name, value in values.items():
            output.print(f"--{name} {value}", markup=False, highlight=False, soft_wrap=True)
        outcome, error, epochs = _train(trial, search, values, train, on_epoch, output)
    trial.set_user_attr("seconds", round(time.monotonic() - started, 1))
    best = max(history, key=lambda metrics: metrics[search.metric], default=None)
    if best is not None:
        trial.set_user_attr("metrics", dict(best))
    if epochs is not None:
        trial.set_user_attr("best_epoch", epochs.best_epoch)
        trial.set_user_attr("epochs_run", epochs.epochs_run)
    elif best is not None and search.config.recipe.evaluation.eval_steps is None:
        # A trial that was pruned or failed has been evaluated once for each epoch.
        trial.set_user_attr("best_epoch", history.index(best) + 1)
        trial.set_user_attr("epochs_run", len(history))
    if outcome == TrialState.FAIL:
        trial.set_user_attr(ERROR, error)
    complete = best is not None and outcome == TrialState.COMPLETE
    study.tell(trial, best[search.metric] if best and complete else None, state=outcome)
    return trial.number


def _train(
    trial: Trial,
    search: Search,
    values: Mapping[str, Value],
    train: Train,
    on_epoch: Callable[[Mapping[str, float]], None],
    output: Console,
) -> tuple[TrialState, str, Epochs | None]:
    """Train with the values of a trial.

    Returns:
        The outcome, the error of a failed trial, and the epochs of a complete one.
    """
    try:
        with Stages(output) as stages:
            epochs = train(apply_values(search.config, values), stages, on_epoch)
    except optuna.TrialPruned:
        output.print(f"trial {trial.number} is pruned: its metric is below the median of the earlier trials")
        return TrialState.PRUNED, "", None
    except Exception as exc:  # noqa: BLE001 - whatever a trial's settings cause must not end the sweep
        traceback.print_exc(file=output.file)
        return TrialState.FAIL, exc.message if isinstance(exc, LabelstreamError) else one_line(exc), None
    finally:
        # A model that ran out of memory must leave room for that of the next trial.
        gc.collect()
    return TrialState.COMPLETE, "", epochs


def _suggest(trial: Trial, dimension: Dimension) -> Value:
    name = flag_name(dimension.parameter)
    if isinstance(dimension, Choices):
        drawn = trial.suggest_categorical(name, dimension.values)
        assert drawn is not None, "the choice `none` is a text"
        return drawn
    if dimension.integer:
        step = int(dimension.step or 1)
        return trial.suggest_int(name, int(dimension.low), int(dimension.high), step=step, log=dimension.log)
    return trial.suggest_float(name, dimension.low, dimension.high, step=dimension.step, log=dimension.log)


def _no_complete_trial(study: optuna.Study, folder: Path) -> UsageError:
    failed: list[Any] = [trial for trial in finished_trials(study) if ERROR in trial.user_attrs]
    cause = "no trial has ended yet"
    if failed:
        cause = f"{len(failed)} trials failed, the first one with: {failed[0].user_attrs[ERROR]}"
    return UsageError(
        "the sweep has no complete trial",
        cause=cause,
        fix=f"read the logs in {folder / LOGS}, correct the flags or the space, and choose another --study"
        if failed
        else "repeat the command with a longer --timeout",
    )
