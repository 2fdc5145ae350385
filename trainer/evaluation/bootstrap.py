"""How far a figure would move on other rows of the same kind: the percentile bootstrap (Efron 1979)."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

RESAMPLES = 1000
CONFIDENCE = 0.95
AT_ONCE = 100

Weights = npt.NDArray[np.float64]
"""How often each row stands in each resample, [resamples, rows]."""

Statistic = Callable[[Weights], npt.NDArray[np.float64]]
"""A figure of every resample, [resamples]."""


def intervals(
    statistics: Mapping[str, Statistic], rows: int, seed: int, resamples: int = RESAMPLES
) -> dict[str, list[float]]:
    """95% intervals of figures over the same resamples, so that differences of them are paired.

    Args:
        statistics: by name; each takes the rows' weights and gives a figure a resample.
        rows: how many rows there are.
        seed: same seed, same intervals.
        resamples: how often rows are drawn, as many as there are, with replacement; 0 for no intervals.

    Returns:
        Low and high end by name.
    """
    if not resamples:
        return {}
    rng = np.random.default_rng(seed)
    found: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in statistics}
    for start in range(0, resamples, AT_ONCE):
        weights = _drawn(rng, rows, min(AT_ONCE, resamples - start))
        for name, statistic in statistics.items():
            found[name].append(statistic(weights))
    tail = (1 - CONFIDENCE) / 2
    ends = {name: np.quantile(np.concatenate(parts), [tail, 1 - tail]) for name, parts in found.items()}
    return {name: [float(low), float(high)] for name, (low, high) in ends.items()}


def _drawn(rng: np.random.Generator, rows: int, resamples: int) -> Weights:
    drawn = rng.integers(0, rows, (resamples, rows))
    return np.stack([np.bincount(one, minlength=rows) for one in drawn]).astype(np.float64)
