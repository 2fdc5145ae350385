"""How far decisions lie from where they would change."""

import numpy as np
import numpy.typing as npt

from stream.bundle import Manifest
from stream.classify.heads.labels import label_thresholds
from stream.runtime.base import Logits

LEAST_SPREAD = 0.25


def decision_margins(logits: Logits, manifest: Manifest) -> npt.NDArray[np.float64]:
    """How far each decision lies from its border: none changes while logits move by less than half of it.

    Args:
        logits: float32 [rows or tokens, labels].
        manifest: says what a decision is.

    Returns:
        float64 [rows or tokens]: best logit minus second best; for a regression infinite. For several labels
        float64 [rows, labels]: twice the distance to the label's threshold.
    """
    wide = logits.astype(np.float64)
    if manifest.head == "multi-label":
        least = np.clip(np.array(label_thresholds(manifest), dtype=np.float64), 1e-12, 1 - 1e-12)
        return np.asarray(2 * np.abs(wide - manifest.temperature * np.log(least / (1 - least))))
    if manifest.head == "regression" or logits.shape[1] < 2:
        return np.full(len(logits), np.inf)
    best = np.partition(wide, -2, axis=1)
    return np.asarray(best[:, -1] - best[:, -2])


def logit_spread(logits: Logits, manifest: Manifest) -> float:
    """The unit of a tolerance that is relative to the model: a standard deviation of its logits.

    Half of it for a regression, where the logit is the answer; at least 0.25, so that a model without
    opinions has a gate too.
    """
    spread = max(LEAST_SPREAD, float(logits.std()))
    return spread / 2 if manifest.head == "regression" else spread
