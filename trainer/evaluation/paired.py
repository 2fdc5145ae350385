"""Paired comparison of two groups of models on the same rows, by a bootstrap over rows and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainer.evaluation.statistics import (
    CONFIDENCE,
    RESAMPLES,
    RESAMPLES_PER_CHUNK,
    Floats,
    Statistic,
    draw_weights,
    unit_weights,
)


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """The difference of two groups of models in one metric.

    Attributes:
        first: the metric of each model of the first group.
        second: the metric of each model of the second group, in the order of the seeds of the first.
        low: the low end of the 95% interval of the mean of first minus second.
        high: the high end.
    """

    first: Sequence[float]
    second: Sequence[float]
    low: float
    high: float

    @property
    def difference(self) -> float:
        """The mean of first minus second."""
        return float(np.mean(self.first) - np.mean(self.second))

    @property
    def verdict(self) -> str:
        """`better`, `worse`, or `undecided` if the interval contains 0."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "undecided"


def paired_difference(
    first: Sequence[Statistic], second: Sequence[Statistic], rows: int, seed: int, resamples: int = RESAMPLES
) -> PairedDifference:
    """Compare two groups of models, each trained with the same seeds, on the same rows.

    Each resample draws rows and seeds with replacement, and uses the same draws for both groups, so the
    interval covers the choice of the rows and the randomness of the training.

    Args:
        first: the metric of each model of the first group as a function of the weights of the rows.
        second: the same for the second group, in the order of the seeds of the first.
        rows: the number of rows.
        seed: the seed of the bootstrap.
        resamples: the number of resamples.
    """
    rng = np.random.default_rng(seed)
    chunks: list[Floats] = []
    for start in range(0, resamples, RESAMPLES_PER_CHUNK):
        weights = draw_weights(rng, rows, min(RESAMPLES_PER_CHUNK, resamples - start))
        by_seed = np.stack([one(weights) - other(weights) for one, other in zip(first, second, strict=True)])
        drawn = rng.integers(0, len(first), (len(weights), len(first)))
        chunks.append(np.take_along_axis(by_seed.T, drawn, axis=1).mean(axis=1))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.concatenate(chunks), [tail, 1 - tail])
    values = [[float(statistic(unit_weights(rows))[0]) for statistic in group] for group in (first, second)]
    return PairedDifference(values[0], values[1], float(low), float(high))
