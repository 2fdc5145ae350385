"""Cross-validation of a training: one model per fold, each evaluated on the rows that it has not seen."""

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
from rich.console import Console

from trainer.config import ModelLocation, TrainingConfig
from trainer.cross_validation.out_of_fold import Fold, OutOfFold
from trainer.cross_validation.summary import FoldMetrics
from trainer.cross_validation.table import write_out_of_fold
from trainer.data.examples import Data, Example
from trainer.data.folds import assign_folds
from trainer.data.read import data_digest
from trainer.data.splits import split_examples
from trainer.fit import TrainingJob
from trainer.kept_outputs import fit_once
from trainer.metric_titles import format_metrics

TABLE = "oof.csv"
DIGEST_CHARS = 8
NOT_IN_A_MODEL = {
    "name",
    "bundle_store",
    "no_weights",
    "variants",
    "abstain_below",
    "checkpoints",
    "cross_validate",
    "results",
    "no_results",
    "push_to_hub",
    "hub_private",
    "tracking",
}
"""The settings that do not affect the models of the folds."""


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """A finished cross-validation.

    Attributes:
        found: the out-of-fold predictions of all rows.
        metrics: the metrics over the folds.
    """

    found: OutOfFold
    metrics: FoldMetrics


def cross_validate(
    data: Data, config: TrainingConfig, base: ModelLocation, results: Path, console: Console
) -> CrossValidation:
    """Train and evaluate one model per fold, and write the out-of-fold prediction of each row to oof.csv.

    The files are in a folder of `results` whose name depends on the data and the settings, so a repeated
    command continues after the last finished fold.

    Args:
        data: the labelled examples.
        config: the settings, with the number of folds.
        base: the pretrained model.
        results: the folder of the results of this bundle.
        console: the output for progress.

    Raises:
        UsageError: the data have too few independent rows, or a file cannot be written.
    """
    folder = results_folder(data, config, base, results)
    found = out_of_fold(data, config, base, folder, console)
    file = folder / TABLE
    write_out_of_fold(found, file)
    metrics = FoldMetrics([fold.metrics for fold in found.folds], str(file))
    _print(console, f"mean of {len(found.folds)} folds: {format_metrics(metrics.as_metrics())}")
    _print(console, f"out-of-fold predictions: {file}")
    return CrossValidation(found, metrics)


def results_folder(data: Data, config: TrainingConfig, base: ModelLocation, results: Path) -> Path:
    """Return the folder of a cross-validation, whose name depends on the data and the settings."""
    described = {
        "data": data_digest(data),
        "rows": len(data.examples),
        "labels": data.labels,
        "base_model": base.name,
        "folds": config.cross_validate,
        "settings": config.model_dump(exclude=NOT_IN_A_MODEL),
    }
    digest = hashlib.sha256(orjson.dumps(described, default=str, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return results / f"cross-validation-{digest[:DIGEST_CHARS]}"


def out_of_fold(
    data: Data, config: TrainingConfig, base: ModelLocation, folder: Path, console: Console
) -> OutOfFold:
    """Return the fold of each row with the output of a model that was not trained on it.

    Args:
        data: the labelled examples.
        config: the settings, with the number of folds.
        base: the pretrained model.
        folder: the folder that holds the outputs of finished folds.
        console: the output for progress.
    """
    folds = config.cross_validate or 2
    fold_of = assign_folds(data.examples, folds, config.recipe.seed)
    sizes = Counter(fold_of.values())
    _print(console, f"cross-validation: {folds} folds of {min(sizes.values())} to {max(sizes.values())} rows")
    if base.bundle:
        console.print(
            "  [yellow]the base model is a bundle: if it was trained on these rows, the out-of-fold "
            "predictions are too good[/]"
        )
    found = []
    for number in range(1, folds + 1):
        started = time.monotonic()
        held_out = [example for example in data.examples if fold_of.get(example.row) == number]
        with console.status(f"training fold {number} of {folds}"):
            fold, repeated = _train_fold(data, config, base, folder, (number, held_out))
        found.append(fold)
        took = "kept from an earlier run" if repeated else f"{time.monotonic() - started:.0f} s"
        _print(console, f"  fold {number}/{folds}: {format_metrics(fold.metrics)} ({took})")
    return OutOfFold(data, found)


def _train_fold(
    data: Data,
    config: TrainingConfig,
    base: ModelLocation,
    folder: Path,
    held_out: tuple[int, Sequence[Example]],
) -> tuple[Fold, bool]:
    """Return a fold, and whether its model was trained in an earlier run.

    The validation rows that select the epoch are a tenth of the rows outside the fold.
    """
    number, examples = held_out
    rows = {example.row for example in examples}
    marked = [replace(example, split="test" if example.row in rows else None) for example in data.examples]
    job = TrainingJob(data, split_examples(marked, config.recipe.seed), config, base)
    kept = fit_once(job, folder, f"fold-{number}")
    metrics = kept.prepared.evaluator(examples).evaluate(kept.test, kept.rule, resamples=0)
    return Fold(number, examples, kept.prepared, kept.test, kept.rule, metrics), kept.repeated


def _print(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
