"""The statistics of any number of labels per row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from trainer.evaluation.label_counts import LabelCounts
from trainer.evaluation.single_label import MILLIONTHS, SMALLEST, calibration_statistic
from trainer.evaluation.statistics import Floats, Statistic, mean_statistic, ratio_statistic

ROWS_PER_CHUNK = 1000
"""The number of rows whose labels are ranked at a time."""

ZeroOrOne = npt.NDArray[np.integer]
"""0 and 1, [rows, labels]."""

Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class MultiDecisions:
    """The decisions for rows with any number of labels.

    Attributes:
        counts: the counts of the labels.
        predicted: whether each label is given, bool [rows, labels].
        statistics: the statistics by name.
    """

    counts: LabelCounts
    predicted: Booleans
    statistics: dict[str, Statistic]


def decide_multi(
    probabilities: Floats,
    targets: ZeroOrOne,
    thresholds: Sequence[float],
    abstain_below: float | None = None,
) -> MultiDecisions:
    """Return the decisions and the statistics of any number of labels per row.

    Log loss, Brier score and calibration error are means over rows and labels. The sample F1 of a row without
    labels is 1 if none is given, and 0 otherwise.

    Args:
        probabilities: the predicted probabilities, [rows, labels].
        targets: 0 and 1, the same shape.
        thresholds: the lowest probability at which each label is given, [labels].
        abstain_below: the probability of the best label below which no label is given; the other figures
            ignore it.
    """
    predicted = given_labels(probabilities, thresholds)
    actual = targets == 1
    counts = LabelCounts(predicted & actual, predicted, actual)
    of_rows = _row_figures(probabilities, actual, predicted)
    statistics: dict[str, Statistic] = {
        "exact": mean_statistic(of_rows["exact"]),
        "macro_f1": counts.macro_f1,
        "micro_f1": counts.micro_f1,
        "weighted_f1": counts.weighted_f1,
        **{name: mean_statistic(values) for name, values in of_rows.items()},
        "ece": calibration_statistic(probabilities, actual),
    }
    if abstain_below is not None:
        best = np.rint(probabilities.max(axis=1) * MILLIONTHS)
        answered = (best >= round(abstain_below * MILLIONTHS)).astype(np.float64)
        statistics["answered"] = mean_statistic(answered)
        statistics["exact_answered"] = ratio_statistic(of_rows["exact"] * answered, answered)
    return MultiDecisions(counts, predicted, statistics)


def given_labels(probabilities: Floats, thresholds: Sequence[float]) -> Booleans:
    """Return whether each label is given, [rows, labels], by scores in millionths as a worker rounds them."""
    limits = np.asarray(thresholds, dtype=np.float64) * MILLIONTHS
    return np.rint(probabilities * MILLIONTHS) >= limits


def _row_figures(probabilities: Floats, actual: Booleans, predicted: Booleans) -> dict[str, Floats]:
    """Return the figures that are means over the rows, each [rows], in chunks of rows to bound the memory."""
    chunks = [slice(at, at + ROWS_PER_CHUNK) for at in range(0, len(actual), ROWS_PER_CHUNK)]
    found = [_figures_of(probabilities[rows], actual[rows], predicted[rows]) for rows in chunks]
    return {name: np.concatenate([of_chunk[name] for of_chunk in found]) for name in found[0]}


def _figures_of(probabilities: Floats, actual: Booleans, predicted: Booleans) -> dict[str, Floats]:
    both = predicted.sum(axis=1) + actual.sum(axis=1)
    right = (predicted & actual).sum(axis=1)
    of_answer = np.where(actual, probabilities, 1 - probabilities)
    precision, loss, coverage = _ranking(probabilities, actual.astype(np.int64))
    return {
        "exact": (predicted == actual).all(axis=1).astype(np.float64),
        "samples_f1": np.where(both > 0, 2 * right / np.maximum(both, 1), 1.0),
        "hamming_loss": (predicted != actual).mean(axis=1),
        "ranking_precision": precision,
        "ranking_loss": loss,
        "coverage_error": coverage,
        "log_loss": -np.log(np.clip(of_answer, SMALLEST, 1.0)).mean(axis=1),
        "brier": ((1 - of_answer) ** 2).mean(axis=1),
    }


def _ranking(probabilities: Floats, targets: ZeroOrOne) -> Floats:
    """Return the average precision, the ranking loss and the coverage of each row, [3, rows].

    The figures (Tsoumakas et al. 2010) are defined as in scikit-learn.
    """
    labels = targets.shape[1]
    # The rank of a label counts the labels with at least its probability, so that ties count as errors.
    ranks = rankdata(-probabilities, method="max", axis=1).astype(np.int64)
    order = np.argsort(-probabilities, axis=1, kind="stable")
    found = np.cumsum(np.take_along_axis(targets, order, axis=1), axis=1)
    relevant_above = np.take_along_axis(found, ranks - 1, axis=1)
    relevant = targets.sum(axis=1)
    irrelevant = labels - relevant
    trivial = (relevant == 0) | (irrelevant == 0)
    precision = (targets * relevant_above / ranks).sum(axis=1) / np.maximum(relevant, 1)
    loss = (targets * (ranks - relevant_above)).sum(axis=1) / np.maximum(relevant * irrelevant, 1)
    coverage = (targets * ranks).max(axis=1, initial=0)
    return np.stack([np.where(trivial, 1.0, precision), np.where(trivial, 0.0, loss), coverage])
