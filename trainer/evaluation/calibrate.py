"""Probabilities that mean what they say: one temperature, and how far off they are before and after."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from stream.bundle.manifest import Head
from stream.runtime.base import Logits
from trainer.model.inference import probabilities

BINS = 15
LOWEST, HIGHEST = 0.1, 10.0
"""Bounds of the temperature: on a small part that is answered without a fault the best one would be 0."""

Truth = npt.NDArray[np.integer]
"""Label numbers [rows], or for multi-label 0 and 1 [rows, labels]."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A temperature, and the expected calibration error on the rows that it was fitted on."""

    temperature: float
    ece_before: float
    ece_after: float

    def as_metrics(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "temperature": self.temperature,
            "bins": BINS,
            "validation": {"ece_before": self.ece_before, "ece_after": self.ece_after},
        }


def calibrate(logits: Logits, truth: Truth, head: Head) -> Calibration:
    """Fit a temperature (Guo et al. 2017, "On Calibration of Modern Neural Networks") on validation rows.

    It is the one that makes softmax(logits / temperature), or the sigmoid of multi-label, likeliest. The
    order of the labels stays.

    Args:
        logits: float32 [rows, labels].
        truth: of the same rows.
        head: not a regression, which has no probabilities; token classification as single-label over words.
    """
    found = minimize_scalar(
        lambda power: negative_log_likelihood(logits, truth, head, float(np.exp(power))),
        bounds=(np.log(LOWEST), np.log(HIGHEST)),
        method="bounded",
        options={"xatol": 1e-5},
    )
    # Few digits: they are to be the same again where the last bits of logits are not.
    temperature = round(float(np.exp(found.x)), 4)
    return Calibration(
        temperature,
        expected_calibration_error(probabilities(logits, head), truth, head),
        expected_calibration_error(probabilities(logits, head, temperature), truth, head),
    )


def negative_log_likelihood(logits: Logits, truth: Truth, head: Head, temperature: float) -> float:
    """Mean negative log-likelihood of the truth at a temperature, nats a row (multi-label: a decision)."""
    scaled = logits.astype(np.float64) / temperature
    if head == "multi-label":
        return float((np.logaddexp(0, scaled) - scaled * truth).mean())
    highest = scaled.max(axis=1)
    normaliser = highest + np.log(np.exp(scaled - highest[:, None]).sum(axis=1))
    return float((normaliser - scaled[np.arange(len(truth)), truth]).mean())


def expected_calibration_error(
    chances: npt.NDArray[np.float64], truth: Truth, head: Head, bins: int = BINS
) -> float:
    """Expected calibration error (Naeini et al. 2015): the mean gap between confidence and correctness.

    Args:
        chances: probabilities [rows, labels].
        truth: of the same rows.
        head: of one label a row, the best probability and whether that label is right are compared; of
            multi-label, each label's probability and whether it is there.
        bins: of equal width over [0, 1].

    Returns:
        Between 0 and 1: the gaps of the bins' means, weighted with their sizes.
    """
    if head == "multi-label":
        confidence, right = chances.ravel(), truth.ravel().astype(np.float64)
    else:
        confidence, right = chances.max(axis=1), (chances.argmax(axis=1) == truth).astype(np.float64)
    at = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(at, confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / max(1, len(confidence)))
