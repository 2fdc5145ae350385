"""Fit how logits become decisions: the temperature of the probabilities, and the thresholds of the labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from stream.bundle import HeadKind
from stream.runtime import Logits
from trainer.evaluation.statistics import Floats, f1
from trainer.model.inference import probabilities

BINS = 15
"""The number of bins of equal width over [0, 1] in the expected calibration error."""

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.1, 10.0
"""The bounds of the temperature: on a small split without errors the best temperature would be 0."""

PRIOR_POSITIVES = 10.0
"""The number of positive rows at which a label's own threshold and the shared threshold weigh the same."""

THRESHOLD_DIGITS = 6
MIN_THRESHOLD = 1e-6

Targets = npt.NDArray[np.integer]
"""Label numbers [rows], or for multi-label 0 and 1 [rows, labels]."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A temperature, and the expected calibration error on the rows that it was fitted on."""

    temperature: float
    ece_before: float
    ece_after: float

    def as_metrics(self) -> dict[str, Any]:
        """Return the calibration as a JSON-ready dictionary."""
        return {
            "temperature": self.temperature,
            "bins": BINS,
            "validation": {"ece_before": self.ece_before, "ece_after": self.ece_after},
        }


def calibrate(logits: Logits, targets: Targets, head: HeadKind) -> Calibration:
    """Fit a temperature on validation rows (Guo et al. 2017, "On Calibration of Modern Neural Networks").

    The temperature maximises the likelihood of softmax(logits / temperature), or of the sigmoid for
    multi-label. It does not change the order of the labels.

    Args:
        logits: float32 [rows, labels].
        targets: the targets of the same rows.
        head: any head but regression, which has no probabilities; token classification counts as single-label
            over words.
    """
    optimum = minimize_scalar(
        lambda log_t: _negative_log_likelihood(logits, targets, head, float(np.exp(log_t))),
        bounds=(np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE)),
        method="bounded",
        options={"xatol": 1e-5},
    )
    # Rounding makes the temperature reproducible if the last bits of the logits are not.
    temperature = round(float(np.exp(optimum.x)), 4)
    return Calibration(
        temperature,
        expected_calibration_error(probabilities(logits, head), targets, head),
        expected_calibration_error(probabilities(logits, head, temperature), targets, head),
    )


def _negative_log_likelihood(logits: Logits, targets: Targets, head: HeadKind, temperature: float) -> float:
    """Return the mean negative log-likelihood in nats per row; for multi-label, per row and label."""
    scaled = logits.astype(np.float64) / temperature
    if head == "multi-label":
        return float((np.logaddexp(0, scaled) - scaled * targets).mean())
    highest = scaled.max(axis=1)
    log_normaliser = highest + np.log(np.exp(scaled - highest[:, None]).sum(axis=1))
    return float((log_normaliser - scaled[np.arange(len(targets)), targets]).mean())


def expected_calibration_error(probs: Floats, targets: Targets, head: HeadKind) -> float:
    """Return the expected calibration error (Naeini et al. 2015): the mean gap of confidence and accuracy.

    Args:
        probs: the probabilities, [rows, labels].
        targets: the targets of the same rows.
        head: with one label per row, the confidence is the probability of the best label; for multi-label,
            each label's probability is compared with whether the row has the label.

    Returns:
        The mean gap of the bins between 0 and 1, weighted by their sizes.
    """
    if head == "multi-label":
        confidence, correct = probs.reshape(1, -1), targets.reshape(1, -1).astype(np.bool_)
    else:
        confidence, correct = probs.max(axis=1)[None], (probs.argmax(axis=1) == targets)[None]
    return float(np.abs(bin_gaps(confidence, correct)).sum() / max(1, confidence.size))


def bin_gaps(confidence: Floats, correct: npt.NDArray[np.bool_]) -> Floats:
    """Return the sum of confidence minus correctness in each bin and row, float64 [rows, BINS].

    Args:
        confidence: the confidence of each decision, [rows, decisions].
        correct: whether the decision is correct, the same shape.
    """
    rows = len(confidence)
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1) + BINS * np.arange(rows)[:, None]
    differences = (confidence - correct).ravel()
    gaps = np.bincount(bins.ravel(), differences, minlength=rows * BINS).astype(np.float64)
    return gaps.reshape(rows, BINS)


def tune_thresholds(probs: Floats, targets: Targets, labels: Sequence[str]) -> dict[str, float]:
    """Return the threshold of each label that maximises its F1, shrunk towards a shared threshold.

    The best threshold of a label (as in Lipton et al. 2014, "Optimal Thresholding of Classifiers to Maximize
    F1 Measure") depends on its positive rows and is unreliable if they are few. So it is averaged, on the
    logit scale, with the best threshold for all labels together, with weights of n and 10 for a label with n
    positive rows. A label without positive rows gets the shared threshold.

    Args:
        probs: the probabilities, [rows, labels].
        targets: 0 and 1, the same shape.
        labels: the label names.
    """
    shared = best_threshold(probs.ravel(), targets.ravel())
    thresholds = {}
    for index, label in enumerate(labels):
        positives = float(targets[:, index].sum())
        own = best_threshold(probs[:, index], targets[:, index]) if positives else shared
        shrunk = (positives * _clipped_logit(own) + PRIOR_POSITIVES * _clipped_logit(shared)) / (
            positives + PRIOR_POSITIVES
        )
        thresholds[label] = round(_clip(float(expit(shrunk))), THRESHOLD_DIGITS)
    return thresholds


def best_threshold(probs: Floats, targets: Targets) -> float:
    """Return the threshold with the highest F1, which is the midpoint of two neighbouring probabilities.

    Of several best thresholds the one nearest to 0.5 is returned; 0.5 if no row is positive.

    Args:
        probs: the probabilities of one label, [rows].
        targets: 0 and 1, [rows].
    """
    if not targets.any():
        return 0.5
    order = np.argsort(-probs, kind="stable")
    ranked = probs[order]
    # A threshold separates unequal neighbours only; below the last probability all rows get the label.
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    correct = np.cumsum(targets[order])[ends].astype(np.float64)
    scores = f1(correct, (ends + 1).astype(np.float64), np.full(len(ends), float(targets.sum())))
    next_lower = np.append(ranked[1:], 0.0)[ends]
    midpoints = (ranked[ends] + next_lower) / 2
    best = np.flatnonzero(scores >= scores.max() - 1e-12)
    return float(midpoints[best[np.argmin(np.abs(midpoints[best] - 0.5))]])


def _clip(probability: float) -> float:
    return min(max(probability, MIN_THRESHOLD), 1 - MIN_THRESHOLD)


def _clipped_logit(probability: float) -> float:
    return float(logit(_clip(probability)))
