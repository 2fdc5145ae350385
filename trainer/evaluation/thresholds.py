"""From which probability on a label is given: tuned for F1 on validation rows, label by label."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from trainer.evaluation.scores import f1

PRIOR_POSITIVES = 10.0
"""A label's own best threshold counts as its positive rows do against so many of all labels together."""

DIGITS = 6
EDGE = 1e-6

Chances = npt.NDArray[np.float64]


def tune_thresholds(
    chances: Chances, truth: npt.NDArray[np.integer], labels: Sequence[str]
) -> dict[str, float]:
    """A threshold for each label that makes its F1 on these rows high, without believing few rows too much.

    A label's best threshold (as in Lipton et al. 2014, "Optimal Thresholding of Classifiers to Maximize F1
    Measure") rests on its positive rows. With few of them it is chance; so it is drawn, on the logit scale,
    to the one that is best for all labels together, by weights of n and 10 for a label of n positive rows.
    A label without any gets that of all together.

    Args:
        chances: probabilities [rows, labels].
        truth: 0 and 1, the same shape.
        labels: their names.
    """
    together = best_threshold(chances.ravel(), truth.ravel())
    found = {}
    for at, label in enumerate(labels):
        positives = float(truth[:, at].sum())
        own = best_threshold(chances[:, at], truth[:, at]) if positives else together
        drawn = (positives * _logit(own) + PRIOR_POSITIVES * _logit(together)) / (positives + PRIOR_POSITIVES)
        found[label] = round(min(max(float(expit(drawn)), EDGE), 1 - EDGE), DIGITS)
    return found


def best_threshold(chances: Chances, truth: npt.NDArray[np.integer]) -> float:
    """The threshold with the highest F1: the middle between two neighbouring probabilities.

    Of equal ones that which is nearest to 0.5; 0.5 where no row is positive.

    Args:
        chances: [rows].
        truth: 0 and 1, [rows].
    """
    if not truth.any():
        return 0.5
    order = np.argsort(-chances, kind="stable")
    ranked = chances[order]
    # Only between unequal neighbours can a threshold lie; after the last one all rows are given the label.
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    right = np.cumsum(truth[order])[ends].astype(np.float64)
    scores = f1(right, (ends + 1).astype(np.float64), np.full(len(ends), float(truth.sum())))
    below = np.append(ranked[1:], 0.0)[ends]
    middles = (ranked[ends] + below) / 2
    best = np.flatnonzero(scores >= scores.max() - 1e-12)
    return float(middles[best[np.argmin(np.abs(middles[best] - 0.5))]])


def _logit(chance: float) -> float:
    return float(logit(min(max(chance, EDGE), 1 - EDGE)))
