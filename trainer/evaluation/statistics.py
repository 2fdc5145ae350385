"""Statistics of weighted rows, and their 95% confidence intervals by the percentile bootstrap (Efron 1979).

A statistic takes the weights of the rows in each resample. With all weights 1 it is the statistic of the rows
themselves.
"""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

RESAMPLES = 1000
CONFIDENCE = 0.95
RESAMPLES_PER_CHUNK = 100

Floats = npt.NDArray[np.float64]

Weights = npt.NDArray[np.float64]
"""The weight of each row in each resample, float64 [resamples, rows]."""

Statistic = Callable[[Weights], Floats]
"""A function from the weights to a statistic of each resample, float64 [resamples]."""


def intervals(
    statistics: Mapping[str, Statistic], rows: int, seed: int, resamples: int = RESAMPLES
) -> dict[str, list[float]]:
    """Return 95% confidence intervals over the same resamples, so that differences are paired.

    Args:
        statistics: the statistics by name.
        rows: the number of rows.
        seed: the seed of the resamples.
        resamples: the number of resamples, each of `rows` rows drawn with replacement; 0 for no intervals.

    Returns:
        The low and the high end by name.
    """
    if not resamples:
        return {}
    rng = np.random.default_rng(seed)
    values: dict[str, list[Floats]] = {name: [] for name in statistics}
    for start in range(0, resamples, RESAMPLES_PER_CHUNK):
        weights = _draw_weights(rng, rows, min(RESAMPLES_PER_CHUNK, resamples - start))
        for name, statistic in statistics.items():
            values[name].append(statistic(weights))
    tail = (1 - CONFIDENCE) / 2
    ends = {name: np.quantile(np.concatenate(chunks), [tail, 1 - tail]) for name, chunks in values.items()}
    return {name: [float(low), float(high)] for name, (low, high) in ends.items()}


def _draw_weights(rng: np.random.Generator, rows: int, resamples: int) -> Weights:
    draws = rng.integers(0, rows, (resamples, rows))
    return np.stack([np.bincount(draw, minlength=rows) for draw in draws]).astype(np.float64)


def unit_weights(rows: int) -> Weights:
    """Return weights of 1, [1, rows]."""
    return np.ones((1, rows))


def mean_statistic(values: Floats) -> Statistic:
    """Return the statistic that is the weighted mean of values, float64 [rows]."""

    def mean(weights: Weights) -> Floats:
        result: Floats = weights @ values / weights.sum(axis=1)
        return result

    return mean


def pearson(weights: Weights, x: Floats, y: Floats) -> Floats:
    """Return Pearson's correlation, [resamples], of x and y, [rows]; 0 if one of them is constant."""
    total = weights.sum(axis=1)
    # Centring first avoids the loss of digits in differences of large means.
    x, y = x - x.mean(), y - y.mean()
    mean_x, mean_y = weights @ x / total, weights @ y / total
    covariance = weights @ (x * y) / total - mean_x * mean_y
    variances = (weights @ x**2 / total - mean_x**2) * (weights @ y**2 / total - mean_y**2)
    result: Floats = np.divide(
        covariance, np.sqrt(np.maximum(variances, 0)), out=np.zeros_like(covariance), where=variances > 1e-20
    )
    return result


def f1(correct: Floats, predicted: Floats, actual: Floats) -> Floats:
    """Return the F1 of counts of any shape; nan where nothing is predicted and nothing is actual."""
    both = predicted + actual
    result: Floats = np.divide(2 * correct, both, out=np.full(both.shape, np.nan), where=both > 0)
    return result


class LabelCounts:
    """The number of correct, predicted and actual occurrences of each label in each row.

    With one label per row, the predictions and the targets of a row are one-hot; in token classification the
    counts are numbers of spans.
    """

    def __init__(
        self,
        correct: npt.NDArray[np.generic],
        predicted: npt.NDArray[np.generic],
        actual: npt.NDArray[np.generic],
    ) -> None:
        """
        Args:
            correct: the number of correct predictions (true positives), [rows, labels].
            predicted: the number of predictions, the same shape.
            actual: the number of occurrences in the targets, the same shape.
        """
        self.correct = correct.astype(np.float64)
        self.predicted = predicted.astype(np.float64)
        self.actual = actual.astype(np.float64)

    def macro_f1(self, weights: Weights) -> Floats:
        """Return the mean F1 of the labels, [resamples]; labels neither predicted nor actual are left out."""
        return _nan_mean(f1(weights @ self.correct, weights @ self.predicted, weights @ self.actual))

    def micro_f1(self, weights: Weights) -> Floats:
        """Return the F1 of all labels together, [resamples]; 0 if there are none."""
        totals = (weights @ array.sum(axis=1) for array in (self.correct, self.predicted, self.actual))
        return np.nan_to_num(f1(*totals))

    def per_label_metrics(self, labels: list[str]) -> dict[str, dict[str, float]]:
        """Return the precision, recall, f1 and support of each label as a JSON-ready dictionary."""
        correct, predicted, actual = (
            array.sum(axis=0) for array in (self.correct, self.predicted, self.actual)
        )
        scores = np.nan_to_num(f1(correct, predicted, actual))
        return {
            label: {
                "precision": float(correct[index] / predicted[index]) if predicted[index] else 0.0,
                "recall": float(correct[index] / actual[index]) if actual[index] else 0.0,
                "f1": float(scores[index]),
                "support": int(actual[index]),
            }
            for index, label in enumerate(labels)
        }


def single_label_counts(
    predicted: npt.NDArray[np.integer], actual: npt.NDArray[np.integer], labels: int
) -> LabelCounts:
    """Return the counts for one label per row, given label numbers [rows] and the number of labels."""
    predicted_one_hot, actual_one_hot = np.eye(labels)[predicted], np.eye(labels)[actual]
    return LabelCounts(predicted_one_hot * actual_one_hot, predicted_one_hot, actual_one_hot)


def _nan_mean(values: Floats) -> Floats:
    """Return the mean over the last axis, ignoring nan; 0 if all values are nan."""
    known = ~np.isnan(values)
    count = known.sum(axis=-1)
    total = np.where(known, values, 0.0).sum(axis=-1)
    result: Floats = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    return result
