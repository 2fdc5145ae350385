"""Slices: parts of the evaluated rows on which the model is worse than on the other rows."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from stream.bundle import HeadKind
from trainer.evaluation.analysis.answers import predicted_flags
from trainer.evaluation.answers import answer_spans, gold_spans, label_flags, label_numbers
from trainer.evaluation.evaluated_rows import EvaluatedRows
from trainer.evaluation.findings import Slice
from trainer.evaluation.statistics import CONFIDENCE, RESAMPLES

HEADLINES: Mapping[HeadKind, str] = {
    "single-label": "accuracy",
    "multi-label": "micro_f1",
    "regression": "mae",
    "token": "entity_f1",
}
"""The metric of the slices, by its name in metrics.json."""

MAX_CELLS = 200
CHUNK_DRAWS = 1 << 20
SIGNIFICANCE = 0.05

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RowRatio:
    """A metric as a ratio of sums over rows: the accuracy, the micro F1 or the mean error of any rows.

    Attributes:
        numerators: the summand of the numerator of each row, float64 [rows].
        denominators: the summand of the denominator, the same shape.
    """

    numerators: Floats
    denominators: Floats

    def of(self, rows: Indices) -> float:
        """Return the metric of some rows; nan if it is undefined."""
        total = self.denominators[rows].sum()
        return float(self.numerators[rows].sum() / total) if total else float("nan")

    def error(self, rows: Indices) -> float:
        """Return the standard error of the metric by linearisation (delta method)."""
        total = self.denominators[rows].sum()
        residuals = self.numerators[rows] - self.of(rows) * self.denominators[rows]
        return float(np.sqrt((residuals**2).sum()) / total)

    def interval(self, rows: Indices, rng: np.random.Generator) -> tuple[float, float]:
        """Return the 95% interval of the metric by the percentile bootstrap."""
        numerators, denominators = self.numerators[rows], self.denominators[rows]
        cells, counts = np.unique(np.stack([numerators, denominators], axis=1), axis=0, return_counts=True)
        if len(cells) <= MAX_CELLS:
            # Rows with equal summands are exchangeable: it is enough to draw how often each cell occurs.
            drawn = rng.multinomial(len(rows), counts / len(rows), RESAMPLES)
            sums = [drawn @ cells]
        else:
            sums = []
            step = max(1, CHUNK_DRAWS // len(rows))
            for start in range(0, RESAMPLES, step):
                draws = rng.integers(0, len(rows), (min(step, RESAMPLES - start), len(rows)))
                sums.append(np.stack([numerators[draws].sum(1), denominators[draws].sum(1)], axis=1))
        top, bottom = np.concatenate(sums).T
        tail = (1 - CONFIDENCE) / 2
        low, high = np.quantile(top[bottom > 0] / bottom[bottom > 0], [tail, 1 - tail])
        return float(low), float(high)


def row_ratio(rows: EvaluatedRows, usable: Sequence[int]) -> RowRatio:
    """Return the headline metric of the task on the rows that have an answer.

    A row on which a single-label model abstains counts with its most probable label, as in metrics.json.
    """
    examples = [rows.examples[index] for index in usable]
    predictions = [rows.predictions[index] for index in usable]
    ones = np.ones(len(usable))
    if rows.head == "regression":
        errors = [
            abs(float(prediction["value"]) - float(example.target))  # type: ignore[arg-type]
            for prediction, example in zip(predictions, examples, strict=True)
        ]
        return RowRatio(np.array(errors), ones)
    if rows.head == "multi-label":
        actual, given = label_flags(examples, rows.labels), predicted_flags(predictions, rows.labels)
        return _f1_ratio((actual & given).sum(1), given.sum(1), actual.sum(1))
    if rows.head == "token":
        return _span_ratio(rows, usable)
    assert rows.probabilities is not None
    best = rows.probabilities[list(usable)].argmax(axis=1)
    return RowRatio((best == label_numbers(examples, rows.labels)).astype(np.float64), ones)


def _f1_ratio(correct: npt.NDArray[Any], predicted: npt.NDArray[Any], actual: npt.NDArray[Any]) -> RowRatio:
    return RowRatio(2.0 * correct, (predicted + actual).astype(np.float64))


def _span_ratio(rows: EvaluatedRows, usable: Sequence[int]) -> RowRatio:
    counts = []
    for index in usable:
        actual = {span[:3] for span in gold_spans(rows.examples[index], rows.spans)}
        given = {span[:3] for span in answer_spans(rows.predictions[index])}
        counts.append((len(actual & given), len(given), len(actual)))
    return _f1_ratio(*np.array(counts).reshape(-1, 3).T)


def find_slices(
    properties: Mapping[str, Sequence[str]], ratio: RowRatio, head: HeadKind, min_rows: int, seed: int
) -> tuple[list[Slice], list[str]]:
    """Return the slices of all properties, the worst first, and notes on them.

    The worst slice is the one that differs most from the other rows even at the end of the 95% interval of
    the difference that is closer to zero, so that a small slice does not come first by chance.

    Args:
        properties: the value of each row by the name of the property.
        ratio: the metric of the rows.
        head: the head of the model.
        min_rows: the smallest number of rows of a slice, and of the rows outside it.
        seed: the seed of the bootstrap.
    """
    rng = np.random.default_rng(seed)
    found: list[tuple[float, float, Slice]] = []
    small = 0
    everything = np.arange(len(ratio.numerators))
    for column, values in properties.items():
        for value, rows in _rows_by_value(values).items():
            others = np.setdiff1d(everything, rows, assume_unique=True)
            if min(len(rows), len(others)) < min_rows:
                small += len(rows) < min_rows
                continue
            difference = ratio.of(rows) - ratio.of(others)
            if np.isnan(difference):
                continue
            error = float(np.hypot(ratio.error(rows), ratio.error(others)))
            worse = difference if head == "regression" else -difference
            low, high = ratio.interval(rows, rng)
            found.append(
                (
                    worse - float(norm.ppf((1 + CONFIDENCE) / 2)) * error,
                    float(norm.sf(worse / error)) if error else float(worse <= 0),
                    Slice(column, value, len(rows), ratio.of(rows), low, high, difference),
                )
            )
    found.sort(key=lambda scored: -scored[0])
    notes = [_testing_note([(p, of_slice) for _, p, of_slice in found])] if found else []
    if small:
        notes.append(f"{small} values occur in fewer than {min_rows} rows and are no slices.")
    return [of_slice for _, _, of_slice in found], notes


def _rows_by_value(values: Sequence[str]) -> dict[str, Indices]:
    rows = defaultdict(list)
    for row, value in enumerate(values):
        rows[value].append(row)
    return {value: np.array(of_value) for value, of_value in rows.items()}


def _testing_note(tests: Sequence[tuple[float, Slice]]) -> str:
    """Return a sentence on multiple testing, with the slices that pass Holm's correction (Holm 1979)."""
    passed = []
    for rank, (p, of_slice) in enumerate(sorted(tests, key=lambda test: test[0])):
        if p > SIGNIFICANCE / (len(tests) - rank):
            break
        passed.append(f"{of_slice.column}: {of_slice.value}")
    chance = (
        f"{len(tests)} slices were compared with the other rows, and by chance alone about "
        f"{max(1, round(len(tests) * SIGNIFICANCE))} would look worse."
    )
    if not passed:
        return f"{chance} After a correction for this (Holm), no slice is worse than the other rows."
    names = "; ".join(passed[:5]) + (f"; {len(passed) - 5} more" if len(passed) > 5 else "")
    return f"{chance} After a correction for this (Holm), {len(passed)} are worse: {names}."
