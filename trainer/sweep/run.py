"""The procedure of `labelstream sweep`: trials, comparison of the winner with the default recipe, bundle."""

import shlex
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.trial import FrozenTrial
from rich.console import Console

from trainer.config import ModelLocation, TrainingConfig
from trainer.data.examples import Data
from trainer.data.read import data_digest
from trainer.evaluation.figures import SELECTION_METRIC
from trainer.export.graph import check_exportable
from trainer.fit import TrainingJob, fit
from trainer.metric_titles import title_of
from trainer.model.base_location import resolve_base_model
from trainer.model.base_model import load_tokenizer
from trainer.model.finetune import TrainingResult
from trainer.progress import Stages, silence_libraries
from trainer.run import prepared_push, run, split_data
from trainer.sweep.default_space import default_space
from trainer.sweep.flags import command_flags, model_settings
from trainer.sweep.progress import SweepProgress, settings_text, study_files
from trainer.sweep.results import conclude, outcome, read_result, write_page, write_result
from trainer.sweep.retrain import compare_recipes, recipe_digest
from trainer.sweep.space import Space, apply_values, default_values, flag_name, space_digest
from trainer.sweep.space_file import read_space
from trainer.sweep.study import best_trial, finished_trials, open_study
from trainer.sweep.trials import Search, run_trials


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """The options of a sweep in addition to the settings of a training.

    Attributes:
        study: the folder of the study.
        trials: the number of finished trials to reach.
        seeds: the number of seeds of the comparison.
        space_file: the file of the search space; None for the default space.
        timeout: the seconds after which no new trial starts, or None.
        given: the parameters of the training flags that the user gave.
    """

    study: Path
    trials: int
    seeds: int
    space_file: Path | None = None
    timeout: float | None = None
    given: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep on given data.

    Attributes:
        job: data, splits, the settings before the search, and the base model.
        space: the searched settings.
        options: the options of the sweep.
        metric: the validation metric to maximise.
    """

    job: TrainingJob
    space: Space
    options: SweepOptions
    metric: str

    def job_with(self, config: TrainingConfig) -> TrainingJob:
        """Return the job with other settings; the splits stay."""
        base = self.job.base
        if config.base_model != self.job.config.base_model:
            base = resolve_base_model(config.base_model, config.bundle_store, config.revision)
        return TrainingJob(self.job.data, self.job.splits, config, base)

    def train(
        self, config: TrainingConfig, stages: Stages, on_epoch: Callable[[Mapping[str, float]], None]
    ) -> TrainingResult:
        """Train once with the settings of a trial; the model is not kept."""
        try:
            return fit(self.job_with(config), stages, on_epoch).result
        finally:
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


def sweep(
    data: Data, config: TrainingConfig, base: ModelLocation, options: SweepOptions, console: Console
) -> None:
    """Search settings, compare the winner with the settings before the search, and publish its bundle.

    Trials see the training and the validation split only; the test split is read after the choice.

    Raises:
        UsageError: the space is not valid, the study belongs to another sweep, or no trial is complete.
        LabelstreamError: a push to the Hub is requested, and the Hub does not answer.
        BundleError: the exported graph does not match the trained model.
        DeviceError: the device does not compute in the requested precision.
    """
    silence_libraries()
    # A token that may not write is reported before the search, not after it.
    prepared_push(config)
    with console.status(f"loading the tokenizer of {base.name}"):
        model_config, _ = load_tokenizer(base)
    check_exportable(model_config.model_type, token=data.task == "token")
    space = (
        default_space(data, config, options.given)
        if options.space_file is None
        else read_space(options.space_file, config, options.given)
    )
    splits = split_data(data, config.recipe, console)
    metric = SELECTION_METRIC["single-label" if data.task == "pair" else data.task]
    this = Sweep(TrainingJob(data, splits, config, base), space, options, metric)
    _show_start(this, console)
    with open_study(options.study, _identity(this), config.recipe.seed) as study:
        search = Search(config, space, metric, options.study, options.trials, options.timeout)
        with console.status("starting the first trial") as status:
            run_trials(study, search, this.train, SweepProgress(study, search, console, status))
        _finish(study, this, console)


def _identity(sweep: Sweep) -> dict[str, Any]:
    """Return what all trials of a study share."""
    config = sweep.job.config
    settings = {name: str(value) for name, value in model_settings(config).items()}
    return {
        "data": data_digest(sweep.job.data),
        "rows": len(sweep.job.data.examples),
        "space": space_digest(sweep.space),
        "base_model": sweep.job.base.name,
        **{f"--{flag_name(name)}": value for name, value in settings.items()},
    }


def _show_start(sweep: Sweep, console: Console) -> None:
    searched = ", ".join(flag_name(dimension.parameter) for dimension in sweep.space)
    lines = [
        f"study   {sweep.options.study} (repeat the command to continue an interrupted sweep)",
        f"search  {searched}; {sweep.options.trials} trials, best validation {title_of(sweep.metric)}",
    ]
    if default_values(sweep.job.config, sweep.space) is None:
        lines.append("note    the default recipe is outside the space, so no trial has its settings")
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def _finish(study: optuna.Study, sweep: Sweep, console: Console) -> None:
    """Compare the winner with the default recipe, publish its bundle, and write the files of the study."""
    best, options, title = best_trial(study), sweep.options, title_of(sweep.metric)
    assert best is not None, "run_trials raises an error if no trial is complete"
    winner = apply_values(sweep.job.config, best.params)
    about = _about(study, best, sweep)
    write_page(study, sweep.metric, options.study, about)
    earlier = read_result(options.study)
    same_winner = (earlier.get("trial"), earlier.get("seeds")) == (best.number, options.seeds)
    if same_winner and Path(earlier.get("bundle", "")).is_dir() and earlier.get("bundle"):
        write_page(study, sweep.metric, options.study, about, earlier["conclusion"])
        _show_end(f"the bundle {earlier['bundle']} already holds this winner", earlier, sweep, console)
        return
    result: dict[str, Any] = {"trial": best.number, "seeds": options.seeds, "settings": best.params}
    if recipe_digest(winner) == recipe_digest(sweep.job.config):
        result["conclusion"] = (
            f"No trial is better than the default recipe on the validation split: {title} {best.value:.4f}."
        )
    else:
        compared = compare_recipes(sweep.job_with(winner), sweep.job, options.seeds, options.study, console)
        result |= {
            "conclusion": conclude(compared, title),
            "test": {**asdict(compared), "difference": compared.difference, "verdict": compared.verdict},
        }
    write_result(options.study, result)
    write_page(study, sweep.metric, options.study, about, result["conclusion"])
    _show_command(winner, best, sweep, console)
    bundle = run(sweep.job.data, winner, sweep.job_with(winner).base, console)
    assert bundle is not None, "a sweep runs in one process"
    result["bundle"] = str(bundle.path)
    write_result(options.study, result)
    _show_end(f"the bundle {bundle.path} holds the winner", result, sweep, console)


def _about(study: optuna.Study, best: FrozenTrial, sweep: Sweep) -> dict[str, str]:
    job, trials = sweep.job, finished_trials(study)
    sizes = ", ".join(f"{rows} {name}" for name, rows in job.splits.sizes.items())
    return {
        "study": str(sweep.options.study),
        "data": f"{job.data.path.name} ({sizes})",
        "base model": job.base.name,
        "trials": ", ".join(f"{count} {name}" for name, count in Counter(map(outcome, trials)).items()),
        "best trial": f"{best.number}: validation {title_of(sweep.metric)} {best.value:.4f}",
        "settings": settings_text(best.params),
    }


def _show_command(winner: TrainingConfig, best: FrozenTrial, sweep: Sweep, console: Console) -> None:
    """Show the winner, and the command that trains it."""
    # --train-file and --dataset-name are among the flags.
    by_flag = winner.data.train_file is not None or winner.data.dataset_name is not None
    data = [] if by_flag else [str(sweep.job.data.path)]
    command = shlex.join(["labelstream", "train", *data, *command_flags(winner)])
    lines = [f"winner  trial {best.number}: {settings_text(best.params)}", f"train   {command}"]
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def _show_end(line: str, result: Mapping[str, Any], sweep: Sweep, console: Console) -> None:
    lines = [line, str(result["conclusion"]), f"files: {study_files(sweep.options.study)}"]
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
