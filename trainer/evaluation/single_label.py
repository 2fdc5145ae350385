"""The statistics of one label per row, ordinal labels and abstaining bundles included."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.evaluation.calibration import bin_gaps
from trainer.evaluation.label_counts import LabelCounts, one_hot, single_label_counts
from trainer.evaluation.statistics import (
    Floats,
    Statistic,
    Weights,
    divide,
    mean_statistic,
    ratio_statistic,
)

SMALLEST = float(np.finfo(np.float64).eps)
"""The probability that a probability of 0 counts as in the log loss, as in scikit-learn."""

MILLIONTHS = 1_000_000
"""The scores of a label event are multiples of a millionth."""

ROWS_PER_CHUNK = 1000
"""The number of rows whose decisions are binned at a time."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """The decisions for rows with one label each.

    Attributes:
        counts: the counts of the labels.
        predicted: the label number that is predicted, int64 [rows].
        statistics: the statistics by name.
    """

    counts: LabelCounts
    predicted: npt.NDArray[np.integer]
    statistics: dict[str, Statistic]


def decide_single(
    probabilities: Floats,
    targets: npt.NDArray[np.integer],
    labels: int,
    values: Sequence[float] | None = None,
    abstain_below: float | None = None,
) -> Decisions:
    """Return the decisions and the statistics of one label per row.

    The Brier score is that of scikit-learn: for two labels the squared error of one of them, for more labels
    the sum over the labels.

    Args:
        probabilities: the predicted probabilities, [rows, labels].
        targets: the label numbers, [rows].
        labels: the number of labels.
        values: the numbers of ordinal labels.
        abstain_below: the probability of the best label below which no label is given.
    """
    # A worker decides by scores that are rounded to millionths, so that equal ones have the first label.
    predicted = np.rint(probabilities * MILLIONTHS).argmax(axis=1)
    best = probabilities[np.arange(len(targets)), predicted]
    right = predicted == targets
    correct = right.astype(np.float64)
    counts = single_label_counts(predicted, targets, labels)
    statistics: dict[str, Statistic] = {
        "accuracy": mean_statistic(correct),
        "balanced_accuracy": counts.balanced_accuracy,
        "macro_f1": counts.macro_f1,
        "micro_f1": counts.micro_f1,
        "weighted_f1": counts.weighted_f1,
        "mcc": counts.matthews,
        **probability_statistics(probabilities, targets),
        "ece": calibration_statistic(best[:, None], right[:, None]),
    }
    if labels == 2:
        statistics["roc_auc"] = auc_statistic(probabilities[:, 1], targets == 1)
    if values is not None:
        statistics |= _ordinal_statistics(probabilities, predicted, targets, values)
    if abstain_below is not None:
        answered = (np.rint(best * MILLIONTHS) >= round(abstain_below * MILLIONTHS)).astype(np.float64)
        statistics["answered"] = mean_statistic(answered)
        statistics["accuracy_answered"] = ratio_statistic(correct * answered, answered)
    return Decisions(counts, predicted, statistics)


def probability_statistics(probabilities: Floats, targets: npt.NDArray[np.integer]) -> dict[str, Statistic]:
    """Return log loss and Brier score, given probabilities [rows, labels] and label numbers [rows]."""
    of_target = probabilities[np.arange(len(targets)), targets]
    # The sum of (p - y)² over the labels, without an array of targets.
    squared = (probabilities**2).sum(axis=1) - 2 * of_target + 1
    return {
        "log_loss": mean_statistic(-np.log(np.clip(of_target, SMALLEST, 1.0))),
        "brier": mean_statistic(squared / 2 if probabilities.shape[1] == 2 else squared),
    }


def calibration_statistic(confidence: Floats, correct: npt.NDArray[np.bool_]) -> Statistic:
    """Return the expected calibration error of decisions, given their confidences, both [rows, decisions]."""
    rows, decisions = confidence.shape
    gaps = np.concatenate(
        [
            bin_gaps(confidence[at : at + ROWS_PER_CHUNK], correct[at : at + ROWS_PER_CHUNK])
            for at in range(0, rows, ROWS_PER_CHUNK)
        ]
    )

    def error(weights: Weights) -> Floats:
        return divide(np.abs(weights @ gaps).sum(axis=1), weights.sum(axis=1) * decisions, undefined=0.0)

    return error


def auc_statistic(scores: Floats, positive: npt.NDArray[np.bool_]) -> Statistic:
    """Return the area under the ROC curve: the share of pairs that the scores order correctly, a tie as half.

    The area is NaN where all rows, or none of them, are positive.
    """
    unique, at = np.unique(scores, return_inverse=True)
    groups = one_hot(at, len(unique))
    of_positive, of_negative = (
        groups.multiply(which.astype(np.float64)[:, None]).T.tocsr() for which in (positive, ~positive)
    )

    def area(weights: Weights) -> Floats:
        right, wrong = (of_positive @ weights.T).T, (of_negative @ weights.T).T
        below = np.cumsum(wrong, axis=1) - wrong / 2
        return divide((right * below).sum(axis=1), right.sum(axis=1) * wrong.sum(axis=1))

    return area


def _ordinal_statistics(
    probabilities: Floats,
    predicted: npt.NDArray[np.integer],
    targets: npt.NDArray[np.integer],
    values: Sequence[float],
) -> dict[str, Statistic]:
    numbers = np.asarray(values, dtype=np.float64)
    errors = np.abs(probabilities @ numbers - numbers[targets])
    return {"mae": mean_statistic(errors), "quadratic_kappa": _kappa_statistic(predicted, targets)}


def _kappa_statistic(predicted: npt.NDArray[np.integer], targets: npt.NDArray[np.integer]) -> Statistic:
    """Return the quadratic kappa over the ranks of the labels (Cohen 1968).

    Kappa is undefined where all targets and predictions are one label; it is 1 there.
    """
    p, t = predicted.astype(np.float64), targets.astype(np.float64)
    means = [mean_statistic(of_row) for of_row in ((p - t) ** 2, p, t, p**2, t**2)]

    def kappa(weights: Weights) -> Floats:
        observed, mean_p, mean_t, square_p, square_t = (mean(weights) for mean in means)
        expected = square_p + square_t - 2 * mean_p * mean_t
        # Rounding leaves a tiny number instead of 0.
        return 1 - divide(observed, np.where(expected > 1e-12, expected, 0.0), undefined=0.0)

    return kappa
