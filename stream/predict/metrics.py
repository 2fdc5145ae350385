"""Figures of predictions against known labels or numbers, counted exactly.

The definitions are those of `labelstream evaluate`: macro-F1 is the mean over the labels that occur in the
column or the predictions, and a correlation with a constant is 0.
"""

from collections import Counter
from collections.abc import Collection

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class LabelFigures:
    """Accuracy and macro-F1 of rows with one label each."""

    def __init__(self) -> None:
        self._counts = _F1Counts()
        self._correct = self._answered = self._answered_correct = 0
        self.rows = 0

    def add(self, gold: str, predicted: str, *, answered: bool = True) -> None:
        """Count a row.

        Args:
            gold: the label of the column.
            predicted: the label with the highest score.
            answered: whether the bundle gave this label; if not, it abstained.
        """
        self.rows += 1
        self._correct += gold == predicted
        self._answered += answered
        self._answered_correct += answered and gold == predicted
        self._counts.add({gold}, {predicted})

    def figures(self) -> dict[str, float]:
        """Return the figures by name; with rows without an answer, also the share of the answered ones."""
        found = {"accuracy": self._correct / self.rows, "macro-F1": self._counts.macro()}
        if self._answered < self.rows:
            found["answered"] = self._answered / self.rows
            if self._answered:
                found["accuracy of the answered"] = self._answered_correct / self._answered
        return found


class LabelSetFigures:
    """F1 of rows with any number of labels."""

    def __init__(self) -> None:
        self._counts = _F1Counts()
        self._equal = 0
        self.rows = 0

    def add(self, gold: Collection[str], predicted: Collection[str]) -> None:
        """Count a row."""
        self.rows += 1
        self._equal += set(gold) == set(predicted)
        self._counts.add(gold, predicted)

    def figures(self) -> dict[str, float]:
        """Return the figures by name."""
        return {
            "exact match": self._equal / self.rows,
            "macro-F1": self._counts.macro(),
            "micro-F1": self._counts.micro(),
        }


class NumberFigures:
    """Errors and correlations of predicted numbers."""

    def __init__(self) -> None:
        self._pairs: list[tuple[float, float]] = []

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self._pairs)

    def add(self, gold: float, predicted: float) -> None:
        """Add a row."""
        self._pairs.append((gold, predicted))

    def mean_error(self) -> float:
        """Return the mean absolute error."""
        gold, predicted = np.array(self._pairs, dtype=np.float64).T
        return float(np.abs(predicted - gold).mean())

    def figures(self) -> dict[str, float]:
        """Return the figures by name."""
        gold, predicted = np.array(self._pairs, dtype=np.float64).T
        return {
            "MAE": self.mean_error(),
            "RMSE": float(np.sqrt(((predicted - gold) ** 2).mean())),
            "Pearson": _correlation(gold, predicted),
            "Spearman": _correlation(_ranks(gold), _ranks(predicted)),
        }


class _F1Counts:
    def __init__(self) -> None:
        self._correct: Counter[str] = Counter()
        self._both: Counter[str] = Counter()

    def add(self, gold: Collection[str], predicted: Collection[str]) -> None:
        self._both.update(gold)
        self._both.update(predicted)
        self._correct.update(set(gold) & set(predicted))

    def macro(self) -> float:
        scores = [2 * self._correct[label] / count for label, count in self._both.items()]
        return sum(scores) / len(scores) if scores else 0.0

    def micro(self) -> float:
        return 2 * self._correct.total() / self._both.total() if self._both else 0.0


def format_figures(figures: dict[str, float]) -> str:
    """Return figures on one line."""
    return ", ".join(f"{name} {value:.4f}" for name, value in figures.items())


def _correlation(one: Floats, other: Floats) -> float:
    one, other = one - one.mean(), other - other.mean()
    size = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / size if size > 0 else 0.0


def _ranks(values: Floats) -> Floats:
    """Return the ranks of values; equal values share the mean of their ranks."""
    _, positions, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Floats = (last - (counts - 1) / 2)[positions]
    return ranks
