"""Statistics of weighted rows, and their 95% confidence intervals by the percentile bootstrap (Efron 1979).

A statistic takes the weights of the rows in each resample. With all weights 1 it is the statistic of the rows
themselves.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

RESAMPLES = 1000
CONFIDENCE = 0.95
RESAMPLES_PER_CHUNK = 100
CHUNK_CELLS = 20_000_000
"""The most weights in memory at a time: 160 MB."""

Floats = npt.NDArray[np.float64]

Weights = npt.NDArray[np.float64]
"""The weight of each row in each resample, float64 [resamples, rows]."""

Statistic = Callable[[Weights], Floats]
"""A function from the weights to a statistic of each resample, float64 [resamples].

A statistic of every label has the shape [resamples, labels]. NaN means that a resample does not define it.
"""


def intervals(
    statistics: Mapping[str, Statistic], rows: int, seed: int, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """Return 95% confidence intervals over the same resamples, so that differences are paired.

    Resamples that do not define a statistic do not count.

    Args:
        statistics: the statistics by name.
        rows: the number of rows.
        seed: the seed of the resamples.
        resamples: the number of resamples, each of `rows` rows drawn with replacement; 0 for no intervals.

    Returns:
        The low and the high end by name; for a statistic of every label a list of these pairs. The ends are
        None if no resample defines the statistic.
    """
    if not resamples or not rows:
        return {}
    values: dict[str, list[Floats]] = {name: [] for name in statistics}
    for weights in _resample(rows, seed, resamples):
        for name, statistic in statistics.items():
            values[name].append(statistic(weights))
    return {name: _ends(np.concatenate(chunks)) for name, chunks in values.items()}


def values_of(statistics: Mapping[str, Statistic], rows: int) -> dict[str, float | None]:
    """Return the statistics of the rows themselves, None where the rows do not define one."""
    weights = unit_weights(rows)
    found = {name: float(statistic(weights)[0]) for name, statistic in statistics.items()}
    return {name: None if np.isnan(value) else value for name, value in found.items()}


def _resample(rows: int, seed: int, resamples: int) -> Iterator[Weights]:
    """Yield the weights of all resamples in chunks."""
    rng = np.random.default_rng(seed)
    size = max(1, min(RESAMPLES_PER_CHUNK, CHUNK_CELLS // rows))
    for start in range(0, resamples, size):
        yield draw_weights(rng, rows, min(size, resamples - start))


def draw_weights(rng: np.random.Generator, rows: int, resamples: int) -> Weights:
    """Return the weights of resamples of the rows with replacement, [resamples, rows]."""
    draws = rng.integers(0, rows, (resamples, rows))
    return np.stack([np.bincount(draw, minlength=rows) for draw in draws]).astype(np.float64)


def _ends(values: Floats) -> list[Any]:
    """Return the ends of the interval of values [resamples], or those of each column of [resamples, labels].

    Undefined values are sorted behind the others, so that all columns are read at once.
    """
    tail = (1 - CONFIDENCE) / 2
    ordered = np.sort(values, axis=0)
    defined = (~np.isnan(ordered)).sum(axis=0)
    ends = np.stack([_quantile(ordered, defined, share) for share in (tail, 1 - tail)], axis=-1)
    listed = ends.astype(object)
    listed[np.isnan(ends)] = None
    result: list[Any] = listed.tolist()
    return result


def _quantile(ordered: Floats, defined: npt.NDArray[np.integer], share: float) -> Floats:
    """Return the linearly interpolated quantile of the first `defined` values of each column."""
    last = np.maximum(defined - 1, 0)
    position = last * share
    below = np.floor(position).astype(np.int64)
    first, second = (
        np.take_along_axis(ordered, at[None], axis=0)[0] for at in (below, np.minimum(below + 1, last))
    )
    result: Floats = first + (second - first) * (position - below)
    return result


def unit_weights(rows: int) -> Weights:
    """Return weights of 1, [1, rows]."""
    return np.ones((1, rows))


def mean_statistic(values: Floats) -> Statistic:
    """Return the statistic that is the weighted mean of values, float64 [rows]."""

    def mean(weights: Weights) -> Floats:
        result: Floats = weights @ values / weights.sum(axis=1)
        return result

    return mean


def ratio_statistic(numerators: Floats, denominators: Floats) -> Statistic:
    """Return the statistic that is the ratio of two weighted sums, of values [rows]; NaN for 0 / 0."""

    def ratio(weights: Weights) -> Floats:
        return divide(weights @ numerators, weights @ denominators)

    return ratio


def divide(numerators: Floats, denominators: Floats, *, undefined: float = np.nan) -> Floats:
    """Return the quotients of arrays of one shape, and `undefined` where the denominator is 0."""
    result: Floats = np.divide(
        numerators, denominators, out=np.full(denominators.shape, undefined), where=denominators != 0
    )
    return result


def f1(correct: Floats, predicted: Floats, actual: Floats) -> Floats:
    """Return the F1 of counts of any shape; nan where nothing is predicted and nothing is actual."""
    return divide(2 * correct, predicted + actual)


def nan_mean(values: Floats) -> Floats:
    """Return the mean over the last axis, ignoring nan; 0 if all values are nan."""
    known = ~np.isnan(values)
    return divide(
        np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1).astype(np.float64), undefined=0.0
    )
