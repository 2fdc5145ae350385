"""Differences between classifiers on the same rows, by the paired bootstrap (Efron and Tibshirani 1993)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson

from benchmarks.quality.training import FailedError, run_command
from trainer.evaluation.label_counts import single_label_counts
from trainer.evaluation.statistics import RESAMPLES, Weights, intervals

Numbers = npt.NDArray[np.int64]
"""Label numbers, int64 [rows]."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95% interval."""

    value: float
    low: float
    high: float

    def text(self, *, signed: bool = False) -> str:
        """Format the estimate for a table: figure [low, high]."""
        mark = "+" if signed else ""
        return f"{self.value:{mark}.4f} [{self.low:{mark}.4f}, {self.high:{mark}.4f}]"


def statistic(
    runs: Sequence[Numbers], truth: Numbers, labels: int, figure: str
) -> Callable[[Weights], Weights]:
    """Return a function of row weights that computes accuracy or macro_f1 as the mean over several runs."""
    if figure not in ("accuracy", "macro_f1"):
        raise ValueError(f"unknown paired figure: {figure}")
    decisions = [single_label_counts(predictions, truth, labels) for predictions in runs]
    correct = [(predictions == truth).astype(np.float64) for predictions in runs]

    def compute_mean(weights: Weights) -> Weights:
        if figure == "macro_f1":
            each = [counts.macro_f1(weights) for counts in decisions]
        else:
            each = [weights @ hits / weights.sum(axis=1) for hits in correct]
        mean: Weights = np.mean(each, axis=0)
        return mean

    return compute_mean


def estimates(
    arms: Mapping[str, Sequence[Numbers]],
    truth: Numbers,
    labels: int,
    figure: str,
    against: str,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, tuple[Estimate, Estimate]]:
    """Estimate each arm's figure and its difference from a reference arm, over the same row resamples.

    Args:
        arms: the predicted label numbers [rows] of each run, by arm; a figure is the mean over its runs.
        truth: the true label numbers [rows].
        labels: the number of labels.
        figure: accuracy or macro_f1.
        against: the name of the reference arm.
        seed: the seed of the bootstrap.
        resamples: the number of resamples of the bootstrap.
    """
    statistics = {arm: statistic(runs, truth, labels, figure) for arm, runs in arms.items()}
    base = statistics[against]

    def gain_over_base(compute: Callable[[Weights], Weights]) -> Callable[[Weights], Weights]:
        return lambda weights: compute(weights) - base(weights)

    all_statistics = {f"value of {arm}": compute for arm, compute in statistics.items()}
    all_statistics |= {f"gain of {arm}": gain_over_base(compute) for arm, compute in statistics.items()}
    interval_ends = intervals(all_statistics, len(truth), seed, resamples)
    unit_weights = np.ones((1, len(truth)))
    estimated = {
        name: Estimate(float(compute(unit_weights)[0]), *interval_ends[name])
        for name, compute in all_statistics.items()
    }
    return {arm: (estimated[f"value of {arm}"], estimated[f"gain of {arm}"]) for arm in arms}


def predict_labels(bundle: Path, file: Path, output: Path) -> list[str]:
    """Predict the labels of the rows of a file with `labelstream predict`, by the fp32 variant on the CPU.

    Raises:
        FailedError: the command failed, or a row has no label.
    """
    command = ["labelstream", "predict", str(bundle), "--input", str(file), "--output", str(output)]
    run_command([*command, "--variant", "fp32", "--device", "cpu"], output.with_suffix(".predict.log"))
    rows = [orjson.loads(line) for line in output.read_bytes().splitlines()]
    if unlabelled := [row["row"] for row in rows if "label" not in row]:
        raise FailedError(f"{len(unlabelled)} rows of {file} have no prediction, first row {unlabelled[0]}")
    return [row["label"] for row in rows]


def label_numbers(names: Sequence[str], labels: Sequence[str]) -> Numbers:
    """Convert label names to label numbers."""
    numbers = {label: number for number, label in enumerate(labels)}
    return np.array([numbers[name] for name in names], dtype=np.int64)
