"""Differences between classifiers on the same rows: the paired bootstrap (Efron and Tibshirani 1993)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson

from benchmarks.quality.training import FailedError, run_command
from trainer.evaluation.bootstrap import RESAMPLES, Weights, intervals
from trainer.evaluation.scores import single_decisions

Numbers = npt.NDArray[np.int64]
"""Label numbers [rows]."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95% interval."""

    value: float
    low: float
    high: float

    def text(self, *, signed: bool = False) -> str:
        """As it stands in a table: figure [low, high]."""
        mark = "+" if signed else ""
        return f"{self.value:{mark}.4f} [{self.low:{mark}.4f}, {self.high:{mark}.4f}]"


def statistic(
    runs: Sequence[Numbers], truth: Numbers, labels: int, figure: str
) -> Callable[[Weights], Weights]:
    """A figure, accuracy or macro_f1, as the mean over several runs' guesses, for rows with weights."""
    if figure not in ("accuracy", "macro_f1"):
        raise ValueError(f"no paired figure is called {figure}")
    decisions = [single_decisions(guesses, truth, labels) for guesses in runs]
    right = [(guesses == truth).astype(np.float64) for guesses in runs]

    def found(weights: Weights) -> Weights:
        if figure == "macro_f1":
            each = [one.macro_f1(weights) for one in decisions]
        else:
            each = [weights @ one / weights.sum(axis=1) for one in right]
        mean: Weights = np.mean(each, axis=0)
        return mean

    return found


def estimates(
    arms: Mapping[str, Sequence[Numbers]],
    truth: Numbers,
    labels: int,
    figure: str,
    against: str,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, tuple[Estimate, Estimate]]:
    """Each arm's figure, and by how much it is above one of them, over the same resamples of the rows.

    Args:
        arms: label numbers [rows] of each run of each arm; a figure is the mean over an arm's runs.
        truth: the true label numbers [rows].
        labels: how many there are.
        figure: accuracy or macro_f1.
        against: the arm that the others are held against.
        seed: of the bootstrap.
        resamples: of the bootstrap.
    """
    ways = {arm: statistic(runs, truth, labels, figure) for arm, runs in arms.items()}
    base = ways[against]

    def above(way: Callable[[Weights], Weights]) -> Callable[[Weights], Weights]:
        return lambda weights: way(weights) - base(weights)

    every = {f"of {arm}": way for arm, way in ways.items()}
    every |= {f"above by {arm}": above(way) for arm, way in ways.items()}
    ends = intervals(every, len(truth), seed, resamples)
    whole = np.ones((1, len(truth)))
    found = {name: Estimate(float(way(whole)[0]), *ends[name]) for name, way in every.items()}
    return {arm: (found[f"of {arm}"], found[f"above by {arm}"]) for arm in arms}


def predicted(bundle: Path, file: Path, into: Path) -> list[str]:
    """The labels that `labelstream predict` gives the rows of a file, by the fp32 variant on the CPU.

    Raises:
        FailedError: it failed, or a row has no label.
    """
    words = ["labelstream", "predict", str(bundle), "--input", str(file), "--output", str(into)]
    run_command([*words, "--variant", "fp32", "--device", "cpu"], into.with_suffix(".predict.log"))
    rows = [orjson.loads(line) for line in into.read_bytes().splitlines()]
    if lacking := [row["row"] for row in rows if "label" not in row]:
        raise FailedError(f"{len(lacking)} rows of {file} have no prediction, the first is {lacking[0]}")
    return [row["label"] for row in rows]


def numbered(names: Sequence[str], labels: Sequence[str]) -> Numbers:
    """Label numbers of names."""
    place = {label: at for at, label in enumerate(labels)}
    return np.array([place[name] for name in names], dtype=np.int64)
