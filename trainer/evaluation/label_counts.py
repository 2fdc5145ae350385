"""The counts of each label in weighted rows, and the figures that follow from them.

Only the labels that a row has are stored, so that 1,500 labels and 10,000 rows need as little memory as two
labels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from trainer.evaluation.statistics import Floats, Statistic, Weights, divide, f1, nan_mean

Totals = tuple[Floats, Floats, Floats]
"""The correct, predicted and actual occurrences of each label, each [resamples, labels]."""


class LabelCounts:
    """The number of correct, predicted and actual occurrences of each label in each row.

    With one label per row, the predictions and the targets of a row are one-hot; in token classification the
    counts are numbers of spans.
    """

    def __init__(self, correct: Any, predicted: Any, actual: Any) -> None:
        """
        Args:
            correct: the number of correct predictions (true positives), [rows, labels], dense or sparse.
            predicted: the number of predictions, the same shape.
            actual: the number of occurrences in the targets, the same shape.
        """
        counts = (correct, predicted, actual)
        self._columns = tuple(csr_array(array, dtype=np.float64).T.tocsr() for array in counts)
        self._last: tuple[Weights, Totals] | None = None

    def totals(self, weights: Weights) -> Totals:
        """Return the weighted counts; the counts of the last weights are kept for further figures."""
        if self._last is None or self._last[0] is not weights:
            correct, predicted, actual = ((columns @ weights.T).T for columns in self._columns)
            self._last = weights, (correct, predicted, actual)
        return self._last[1]

    def precision(self, weights: Weights) -> Floats:
        """Return the precision of each label, [resamples, labels]; nan where it is not predicted."""
        correct, predicted, _ = self.totals(weights)
        return divide(correct, predicted)

    def recall(self, weights: Weights) -> Floats:
        """Return the recall of each label, [resamples, labels]; nan where it has no row."""
        correct, _, actual = self.totals(weights)
        return divide(correct, actual)

    def label_f1(self, weights: Weights) -> Floats:
        """Return the F1 of each label, [resamples, labels]; nan where it is neither predicted nor actual."""
        return f1(*self.totals(weights))

    def macro_f1(self, weights: Weights) -> Floats:
        """Return the mean F1 of the labels, [resamples]; labels neither predicted nor actual are left out."""
        return nan_mean(self.label_f1(weights))

    def micro_f1(self, weights: Weights) -> Floats:
        """Return the F1 of all labels together, [resamples]; 0 if there are none."""
        return np.nan_to_num(f1(*(total.sum(axis=1) for total in self.totals(weights))))

    def micro_precision(self, weights: Weights) -> Floats:
        """Return the precision of all labels together, [resamples]; 0 if nothing is predicted."""
        correct, predicted, _ = self.totals(weights)
        return divide(correct.sum(axis=1), predicted.sum(axis=1), undefined=0.0)

    def micro_recall(self, weights: Weights) -> Floats:
        """Return the recall of all labels together, [resamples]; 0 if nothing is actual."""
        correct, _, actual = self.totals(weights)
        return divide(correct.sum(axis=1), actual.sum(axis=1), undefined=0.0)

    def weighted_f1(self, weights: Weights) -> Floats:
        """Return the mean F1 of the labels weighted by their actual occurrences, [resamples]."""
        actual = self.totals(weights)[2]
        scores = np.nan_to_num(self.label_f1(weights))
        return divide((scores * actual).sum(axis=1), actual.sum(axis=1), undefined=0.0)

    def balanced_accuracy(self, weights: Weights) -> Floats:
        """Return the mean recall of the labels that have rows, [resamples]."""
        return nan_mean(self.recall(weights))

    def matthews(self, weights: Weights) -> Floats:
        """Return the Matthews correlation (Gorodkin 2004), [resamples]; 0 if all rows are of one label."""
        correct, predicted, actual = self.totals(weights)
        rows = actual.sum(axis=1)
        covariance = correct.sum(axis=1) * rows - (predicted * actual).sum(axis=1)
        spread = (rows**2 - (predicted**2).sum(axis=1)) * (rows**2 - (actual**2).sum(axis=1))
        return divide(covariance, np.sqrt(np.maximum(spread, 0.0)), undefined=0.0)

    @property
    def label_statistics(self) -> dict[str, Statistic]:
        """The statistics of every label, each [resamples, labels], by their names in metrics.json."""
        return {"precision": self.precision, "recall": self.recall, "f1": self.label_f1}

    def per_label_metrics(self, labels: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return precision, recall and f1, 0 where undefined, and support of each label, JSON-ready."""
        weights = np.ones((1, self._columns[0].shape[1]))
        support = self.totals(weights)[2][0].tolist()
        figures = {
            name: np.nan_to_num(get(weights)[0]).tolist() for name, get in self.label_statistics.items()
        }
        return {
            label: {**{name: values[at] for name, values in figures.items()}, "support": int(support[at])}
            for at, label in enumerate(labels)
        }


def one_hot(numbers: npt.NDArray[np.integer], labels: int) -> Any:
    """Return label numbers [rows] as a sparse array of 0 and 1, [rows, labels]."""
    rows = len(numbers)
    return csr_array((np.ones(rows), (np.arange(rows), numbers)), shape=(rows, labels))


def single_label_counts(
    predicted: npt.NDArray[np.integer], actual: npt.NDArray[np.integer], labels: int
) -> LabelCounts:
    """Return the counts for one label per row, given label numbers [rows] and the number of labels."""
    correct = np.flatnonzero(predicted == actual)
    right = csr_array((np.ones(len(correct)), (correct, actual[correct])), shape=(len(actual), labels))
    return LabelCounts(right, one_hot(predicted, labels), one_hot(actual, labels))
