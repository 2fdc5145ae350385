"""F1 and correlation of rows with weights: with weights of 1 the figure itself, with others a resample's."""

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


def f1(right: Numbers, guessed: Numbers, true: Numbers) -> Numbers:
    """F1 of counts of any shape; nan where nothing was guessed and nothing is true."""
    both = guessed + true
    result: Numbers = np.divide(2 * right, both, out=np.full(both.shape, np.nan), where=both > 0)
    return result


def mean_of_known(values: Numbers) -> Numbers:
    """Mean over the last axis without nan; 0 where there is nothing else."""
    known = ~np.isnan(values)
    count = known.sum(axis=-1)
    total = np.where(known, values, 0.0).sum(axis=-1)
    result: Numbers = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    return result


class Decisions:
    """Yes-or-no decisions of rows, and what was right: one column for each label.

    For a single label a row's decision is one-hot; for token classification a cell counts spans.
    """

    def __init__(
        self, right: npt.NDArray[np.generic], guessed: npt.NDArray[np.generic], true: npt.NDArray[np.generic]
    ) -> None:
        """
        Args:
            right: [rows, labels], how many guesses were right.
            guessed: the same shape, how many there were.
            true: the same shape, how many there should have been.
        """
        self.right = right.astype(np.float64)
        self.guessed = guessed.astype(np.float64)
        self.true = true.astype(np.float64)

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.right)

    def whole(self) -> Numbers:
        """The weights of the rows as they are, [1, rows]."""
        return np.ones((1, self.rows))

    def per_label(self, weights: Numbers) -> Numbers:
        """F1 of each label, [resamples, labels], for weights [resamples, rows]."""
        return f1(weights @ self.right, weights @ self.guessed, weights @ self.true)

    def macro_f1(self, weights: Numbers) -> Numbers:
        """Mean of the labels' F1, [resamples]; a label that is neither true nor guessed is left out."""
        return mean_of_known(self.per_label(weights))

    def micro_f1(self, weights: Numbers) -> Numbers:
        """F1 of all decisions together, [resamples]; 0 where there are none."""
        totals = (weights @ part.sum(axis=1) for part in (self.right, self.guessed, self.true))
        return np.nan_to_num(f1(*totals))

    def table(self, labels: list[str]) -> dict[str, dict[str, float]]:
        """Precision, recall, f1 and support of each label, JSON-ready."""
        right, guessed, true = (part.sum(axis=0) for part in (self.right, self.guessed, self.true))
        scores = np.nan_to_num(f1(right, guessed, true))
        return {
            label: {
                "precision": float(right[at] / guessed[at]) if guessed[at] else 0.0,
                "recall": float(right[at] / true[at]) if true[at] else 0.0,
                "f1": float(scores[at]),
                "support": int(true[at]),
            }
            for at, label in enumerate(labels)
        }


def one_hot(numbers: npt.NDArray[np.integer], labels: int) -> npt.NDArray[np.float64]:
    """Label numbers [rows] as [rows, labels] of 0 and 1."""
    result: npt.NDArray[np.float64] = np.eye(labels)[numbers]
    return result


def single_decisions(
    guessed: npt.NDArray[np.integer], truth: npt.NDArray[np.integer], labels: int
) -> Decisions:
    """Decisions of one label a row."""
    chosen, true = one_hot(guessed, labels), one_hot(truth, labels)
    return Decisions(chosen * true, chosen, true)


def pearson(weights: Numbers, x: Numbers, y: Numbers) -> Numbers:
    """Pearson's correlation, [resamples], of x and y [rows]; 0 where one of them does not vary."""
    total = weights.sum(axis=1)
    # Shifted first: the differences of large means would lose digits.
    x, y = x - x.mean(), y - y.mean()
    mean_x, mean_y = weights @ x / total, weights @ y / total
    covariance = weights @ (x * y) / total - mean_x * mean_y
    spread = (weights @ x**2 / total - mean_x**2) * (weights @ y**2 / total - mean_y**2)
    result: Numbers = np.divide(
        covariance, np.sqrt(np.maximum(spread, 0)), out=np.zeros_like(covariance), where=spread > 1e-20
    )
    return result
