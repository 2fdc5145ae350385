"""The comparison of two bundles on the same rows: paired differences, McNemar's test and flipped rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, chi2

from stream.bundle import Manifest
from stream.errors import UsageError
from trainer.data.labels import quoted
from trainer.evaluation.answers import answer_labels
from trainer.evaluation.evaluated_rows import EvaluatedRows
from trainer.evaluation.figures import LOWER_IS_BETTER, NEITHER_IS_BETTER, in_order
from trainer.evaluation.row_metrics import ScoredRows
from trainer.evaluation.statistics import RESAMPLES, Statistic, Weights, intervals, values_of

EXACT_BELOW = 25
"""Rows that only one of the models has right below which McNemar's test is the exact binomial test."""


@dataclass(frozen=True, slots=True)
class Flip:
    """A row whose answer differs between two bundles.

    Attributes:
        index: the index of the row in the compared rows.
        change: fixed if only the evaluated bundle is right, broken if only the other one is, changed if
            neither is right.
    """

    index: int
    change: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """The comparison of the evaluated bundle with another one.

    Attributes:
        other: NAME@VERSION of the other bundle.
        own: the compared rows, with the answers of the evaluated bundle.
        rows: the same rows with the answers of the other bundle.
        metrics: the comparison as metrics.json holds it.
        flips: the rows whose answers differ; empty for a regression.
    """

    other: str
    own: EvaluatedRows
    rows: EvaluatedRows
    metrics: dict[str, Any]
    flips: Sequence[Flip]


def check_comparable(own: Manifest, other: Manifest, name: str) -> None:
    """Check that another bundle answers the same question.

    Args:
        own: the manifest of the evaluated bundle.
        other: the manifest of the other bundle.
        name: NAME@VERSION of the other bundle.

    Raises:
        UsageError: it has another task, or other labels.
    """
    if own.head != other.head:
        raise UsageError(
            f"{name} cannot be compared",
            cause=f"its task is {other.head}, that of the evaluated bundle {own.head}",
            fix="name a bundle of the same task in --compare",
        )
    if own.head in ("single-label", "multi-label"):
        different = sorted(set(own.labels) ^ set(other.labels))
        if different:
            raise UsageError(
                f"{name} cannot be compared",
                cause=f"labels that only one of the two bundles has: {quoted(different)}",
                fix="name a bundle with the same labels in --compare, or evaluate both and compare their "
                "metrics.json",
            )


def compare_rows(
    own: ScoredRows, other: ScoredRows, name: str, seed: int = 0, resamples: int = RESAMPLES
) -> Comparison:
    """Compare the answers of two bundles for the same rows.

    Args:
        own: the rows of the evaluated bundle.
        other: the same rows with the answers of the other bundle.
        name: NAME@VERSION of the other bundle.
        seed: the seed of the bootstrap.
        resamples: the number of resamples, which are the same for both bundles.
    """
    ours, theirs = own.statistics(), other.statistics()
    names = in_order(set(ours) & set(theirs))
    count = len(own.rows.examples)
    paired = {figure: _difference(ours[figure], theirs[figure]) for figure in names}
    ends = intervals(paired, count, seed, resamples)
    values, own_values, other_values = (values_of(found, count) for found in (paired, ours, theirs))
    differences = {
        figure: {
            "value": own_values[figure],
            "other": other_values[figure],
            "difference": values[figure],
            "interval": ends.get(figure),
            "better": _verdict(figure, ends.get(figure)),
        }
        for figure in names
    }
    flips = _flips(own, other)
    metrics: dict[str, Any] = {"bundle": name, "rows": count, "differences": differences}
    right = own.correct(), other.correct()
    if right[0] is not None and right[1] is not None:
        metrics["mcnemar"] = mcnemar(right[0], right[1])
        metrics["flips"] = {
            change: sum(flip.change == change for flip in flips) for change in ("fixed", "broken", "changed")
        }
    return Comparison(name, own.rows, other.rows, metrics, flips)


def mcnemar(own: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Return McNemar's test of two models on the same rows (McNemar 1947).

    Args:
        own: whether the first model is right, [rows].
        other: whether the second model is right, [rows].

    Returns:
        The numbers of rows that only one of the models has right, the p-value, and the test: the exact
        binomial test for fewer than 25 such rows, else chi-squared with continuity correction.
    """
    only_own, only_other = int((own & ~other).sum()), int((other & ~own).sum())
    both = only_own + only_other
    if both < EXACT_BELOW:
        test, p_value = "exact", float(binomtest(only_own, both).pvalue) if both else 1.0
    else:
        test = "chi-squared"
        p_value = float(chi2.sf((abs(only_own - only_other) - 1) ** 2 / both, 1))
    return {"only_this": only_own, "only_other": only_other, "p_value": p_value, "test": test}


def _difference(first: Statistic, second: Statistic) -> Statistic:
    def difference(weights: Weights) -> npt.NDArray[np.float64]:
        return first(weights) - second(weights)

    return difference


def _verdict(figure: str, ends: Any) -> str | None:
    """Return which bundle is better: this, other, or unclear if the interval contains 0."""
    if figure in NEITHER_IS_BETTER or ends is None or ends[0] is None:
        return None
    if ends[0] <= 0 <= ends[1]:
        return "unclear"
    return "this" if (ends[0] > 0) != (figure in LOWER_IS_BETTER) else "other"


def _flips(own: ScoredRows, other: ScoredRows) -> list[Flip]:
    own_right, other_right = own.correct(), other.correct()
    if own_right is None or other_right is None:
        return []
    flips = []
    pairs = zip(own.rows.predictions, other.rows.predictions, strict=True)
    for index, (ours, theirs) in enumerate(pairs):
        if _answer(ours) == _answer(theirs):
            continue
        change = "changed"
        if own_right[index] != other_right[index]:
            change = "fixed" if own_right[index] else "broken"
        flips.append(Flip(index, change))
    return flips


def _answer(members: Mapping[str, Any]) -> Any:
    if "spans" in members:
        return {(span["type"], span["start"], span["end"]) for span in members["spans"]}
    return set(answer_labels(members))
