"""The statistics of a regression."""

import numpy as np

from trainer.evaluation.statistics import Floats, Statistic, Weights, divide, mean_statistic

CONSTANT = 1e-20
"""The product of two variances below which one of the columns counts as constant."""


def regression_statistics(predicted: Floats, targets: Floats) -> dict[str, Statistic]:
    """Return the statistics of a regression by name.

    Args:
        predicted: the predicted numbers in the units of the data, [rows].
        targets: the actual numbers in the same units, [rows].
    """
    errors = predicted - targets
    squared = mean_statistic(errors**2)
    ranks = (_Ranks(predicted), _Ranks(targets))
    return {
        "pearson": lambda weights: pearson(weights, predicted, targets),
        "mae": mean_statistic(np.abs(errors)),
        "rmse": lambda weights: np.sqrt(squared(weights)),
        "spearman": lambda weights: pearson(weights, *(of_column.ranks(weights) for of_column in ranks)),
        "r2": lambda weights: _explained(weights, squared(weights), targets),
    }


def pearson(weights: Weights, x: Floats, y: Floats) -> Floats:
    """Return Pearson's correlation, [resamples], of x and y; 0 if one of them is constant.

    Args:
        weights: the weights of the rows, [resamples, rows].
        x: the values, [rows], or of each resample, [resamples, rows].
        y: the values, of the same shape.
    """
    total = weights.sum(axis=1)
    # Centring first avoids the loss of digits in differences of large means.
    x, y = x - x.mean(), y - y.mean()
    mean_x, mean_y = _mean(weights, x, total), _mean(weights, y, total)
    covariance = _mean(weights, x * y, total) - mean_x * mean_y
    variances = (_mean(weights, x**2, total) - mean_x**2) * (_mean(weights, y**2, total) - mean_y**2)
    result: Floats = np.divide(
        covariance,
        np.sqrt(np.maximum(variances, 0)),
        out=np.zeros_like(covariance),
        where=variances > CONSTANT,
    )
    return result


def _mean(weights: Weights, values: Floats, total: Floats) -> Floats:
    sums: Floats = weights @ values if values.ndim == 1 else np.einsum("rn,rn->r", weights, values)
    return sums / total


def _explained(weights: Weights, squared_error: Floats, targets: Floats) -> Floats:
    """Return R² as in scikit-learn: where all targets are equal, 1 without an error, and 0 otherwise."""
    centred = targets - targets.mean()
    total = weights.sum(axis=1)
    variance = _mean(weights, centred**2, total) - _mean(weights, centred, total) ** 2
    varies = variance > 1e-12 * max(1.0, float((centred**2).mean()))
    constant = np.where(squared_error > 0, 0.0, 1.0)
    return np.where(varies, 1 - divide(squared_error, np.where(varies, variance, 0.0)), constant)


class _Ranks:
    """The ranks of a column of numbers in each resample; equal numbers share the mean of their ranks."""

    def __init__(self, values: Floats) -> None:
        self._order = np.argsort(values, kind="stable")
        self._sizes = np.unique(values, return_counts=True)[1]
        self._starts = np.cumsum(self._sizes) - self._sizes

    def ranks(self, weights: Weights) -> Floats:
        """Return the rank of each row in each resample, [resamples, rows]."""
        sums = np.add.reduceat(weights[:, self._order], self._starts, axis=1)
        means = np.cumsum(sums, axis=1) - (sums - 1) / 2
        ranks = np.empty_like(weights)
        ranks[:, self._order] = np.repeat(means, self._sizes, axis=1)
        return ranks
