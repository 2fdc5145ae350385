"""The metrics of a cross-validation: the mean over the folds, with an interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t

from trainer.metric_titles import SHOWN_METRICS

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class FoldMetrics:
    """The metrics of each fold.

    Attributes:
        folds: the metrics of the folds, in their order.
        file: the file of the out-of-fold predictions.
    """

    folds: Sequence[Mapping[str, Any]]
    file: str

    def as_metrics(self) -> dict[str, Any]:
        """Return the section of metrics.json: the mean, the interval and the folds of each metric."""
        names = [name for name in SHOWN_METRICS if all(fold.get(name) is not None for fold in self.folds)]
        values = {name: [float(fold[name]) for fold in self.folds] for name in names}
        return {
            "folds": len(self.folds),
            "rows": sum(fold["rows"] for fold in self.folds),
            "out_of_fold": self.file,
            **{name: float(np.mean(found)) for name, found in values.items()},
            "intervals": {name: interval(found) for name, found in values.items()},
            "by_fold": values,
        }


def interval(values: Sequence[float]) -> list[float]:
    """Return the 95% interval of the mean over folds, by the corrected t-test of Nadeau and Bengio (2003).

    The models of two folds share most of their training rows, so their metrics are not independent; the
    correction adds the ratio of test to training rows to the variance of the mean.
    """
    folds = len(values)
    deviation = float(np.std(values, ddof=1))
    half = float(t.ppf((1 + CONFIDENCE) / 2, folds - 1)) * deviation * (1 / folds + 1 / (folds - 1)) ** 0.5
    mean = float(np.mean(values))
    return [mean - half, mean + half]
