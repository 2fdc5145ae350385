"""Compare the winner of a sweep with the default recipe: both are trained with the same seeds."""

import hashlib
from dataclasses import replace
from pathlib import Path

import orjson
from rich.console import Console

from trainer.config import TrainingConfig
from trainer.evaluation.paired import PairedDifference, paired_difference
from trainer.evaluation.selection import selection_statistic
from trainer.evaluation.statistics import Statistic
from trainer.fit import TrainingJob
from trainer.kept_outputs import fit_once
from trainer.sweep.flags import model_settings, with_flags

FOLDER = "retrained"
SEEDS = 2**32


def compare_recipes(
    winner: TrainingJob, default: TrainingJob, seeds: int, folder: Path, console: Console
) -> PairedDifference:
    """Train two recipes with the same seeds, and compare them on the test split.

    The splits stay those of the sweep; only the training has other seeds. The outputs of each training are
    kept in the folder of the study, so a comparison that was interrupted continues.

    Args:
        winner: the job with the settings of the best trial.
        default: the job with the settings before the search.
        seeds: the number of seeds, counted from that of the sweep.
        folder: the folder of the study.
        console: the output for progress.
    """
    groups: list[list[Statistic]] = [[], []]
    first = winner.config.recipe.seed
    for number in range(seeds):
        seed = (first + number) % SEEDS
        for name, job, group in (("winner", winner, groups[0]), ("default", default, groups[1])):
            with console.status(f"training the {name} recipe with seed {seed} ({number + 1} of {seeds})"):
                group.append(_test_statistic(_with_seed(job, seed), folder / FOLDER))
    return paired_difference(groups[0], groups[1], len(winner.splits.test), first)


def _with_seed(job: TrainingJob, seed: int) -> TrainingJob:
    return replace(job, config=with_flags(job.config, {"seed": seed}))


def _test_statistic(job: TrainingJob, folder: Path) -> Statistic:
    """Return the selection metric on the test split after one training, which is not repeated."""
    kept = fit_once(job, folder, f"{recipe_digest(job.config)[:12]}-{job.config.recipe.seed}")
    return selection_statistic(kept.prepared.evaluator(job.splits.test), kept.test, kept.rule)


def recipe_digest(config: TrainingConfig) -> str:
    """Return the hexadecimal digest of the settings that affect a trained model."""
    described = orjson.dumps(model_settings(config), default=str, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(described).hexdigest()
