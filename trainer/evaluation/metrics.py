"""The metrics of each task with their confidence intervals, as JSON-ready dictionaries."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix

from stream.classify import Span
from trainer.evaluation.figures import in_order
from trainer.evaluation.label_counts import LabelCounts
from trainer.evaluation.multi_label import decide_multi
from trainer.evaluation.regression import regression_statistics
from trainer.evaluation.single_label import decide_single
from trainer.evaluation.spans import WordHits, decide_spans
from trainer.evaluation.statistics import RESAMPLES, Floats, Statistic, intervals, values_of

DEFAULT_THRESHOLD = 0.5
MAX_MATRIX_LABELS = 100
"""The most labels of a confusion matrix; its size is their square."""


def evaluate_single(
    probabilities: Floats,
    targets: npt.NDArray[np.integer],
    labels: Sequence[str],
    *,
    values: Sequence[float] | None = None,
    abstain_below: float | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Compute the metrics of one label per row.

    Args:
        probabilities: the predicted probabilities, [rows, labels].
        targets: the label numbers, [rows].
        labels: the label names.
        values: the numeric values of ordinal labels.
        abstain_below: the probability of the best label below which no label is given.
        seed: the seed of the bootstrap.
        resamples: the number of bootstrap resamples; 0 for no intervals.

    Returns:
        A JSON-ready dictionary: rows, the figures of `trainer.evaluation.figures` (macro_f1 is the mean over
        the labels that occur in the targets or the predictions), intervals of all of them (95%), per_label
        (precision, recall, f1, support), per_label_intervals, confusion_cells (actual label number, predicted
        label number, rows; only cells with rows), and for at most 100 labels confusion (counts, actual label
        by predicted label). Ordinal labels add mae (of the expected value) and quadratic_kappa
        (Cohen 1968, over the ranks of the labels). An abstain threshold adds answered (the share of rows with
        a label) and accuracy_answered, which is None where no row has a label.
    """
    decisions = decide_single(probabilities, targets, len(labels), values, abstain_below)
    matrix = {}
    if len(labels) <= MAX_MATRIX_LABELS:
        counts = confusion_matrix(targets, decisions.predicted, labels=np.arange(len(labels)))
        matrix["confusion"] = counts.tolist()
    return {
        **_with_intervals(decisions.statistics, len(targets), seed, resamples, decisions.counts, labels),
        **matrix,
        "confusion_cells": _confusion_cells(decisions.predicted, targets),
    }


def evaluate_multi(
    probabilities: Floats,
    targets: npt.NDArray[np.integer],
    labels: Sequence[str],
    thresholds: Mapping[str, float],
    *,
    abstain_below: float | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Compute the metrics of any number of labels per row.

    Args:
        probabilities: the predicted probabilities, [rows, labels].
        targets: 0 and 1, the same shape.
        labels: the label names.
        thresholds: the lowest probability at which each label is given.
        abstain_below: the probability of the best label below which no label is given.
        seed: the seed of the bootstrap.
        resamples: the number of bootstrap resamples; 0 for no intervals.

    Returns:
        A JSON-ready dictionary: rows, the figures of `trainer.evaluation.figures` (exact is the share of rows
        whose labels are all correct), intervals of all of them (95%), per_label, per_label_intervals, and
        at_half: macro_f1 and micro_f1 with thresholds of 0.5, with their intervals. `intervals` also holds
        macro_f1_gain, the macro-F1 of the tuned thresholds minus that at 0.5, over the same resamples.
    """
    tuned = decide_multi(probabilities, targets, [thresholds[label] for label in labels], abstain_below)
    actual, given = targets == 1, probabilities >= DEFAULT_THRESHOLD
    default = LabelCounts(given & actual, given, actual)
    at_half = {"macro_f1": default.macro_f1, "micro_f1": default.micro_f1}
    extra: dict[str, Statistic] = {
        "macro_f1_gain": lambda weights: tuned.counts.macro_f1(weights) - default.macro_f1(weights),
        **{f"at_half.{name}": statistic for name, statistic in at_half.items()},
    }
    metrics = _with_intervals(
        tuned.statistics, len(targets), seed, resamples, tuned.counts, labels, extra=extra
    )
    ends = metrics["intervals"]
    of_half = {name: ends.pop(f"at_half.{name}") for name in at_half} if ends else {}
    return {**metrics, "at_half": {**values_of(at_half, len(targets)), "intervals": of_half}}


def evaluate_regression(
    predicted: Floats, targets: Floats, *, seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """Compute the metrics of a regression.

    Args:
        predicted: the predicted numbers in the units of the data, [rows].
        targets: the actual numbers in the same units, [rows].
        seed: the seed of the bootstrap.
        resamples: the number of bootstrap resamples; 0 for no intervals.

    Returns:
        A JSON-ready dictionary: rows, pearson, spearman, r2, mae, rmse, and intervals (95%) of all of them.
        The correlation with a constant is 0.
    """
    return _with_intervals(regression_statistics(predicted, targets), len(targets), seed, resamples)


def evaluate_spans(
    predicted: Sequence[Sequence[Span]],
    actual: Sequence[Sequence[Span]],
    *,
    words: WordHits | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Compute strict span metrics: a correct span has the type, start and end of an actual span.

    Args:
        predicted: the predicted spans of each row, in characters of its text.
        actual: the actual spans of each row.
        words: the number of words with the right tag and of all words, of each row.
        seed: the seed of the bootstrap over rows.
        resamples: the number of bootstrap resamples; 0 for no intervals.

    Returns:
        A JSON-ready dictionary: rows, entity_precision, entity_recall, entity_f1 (over all spans), macro_f1
        and weighted_f1 (means over the types), word_accuracy if the words are given, intervals (95%) of all
        of them, per_label and per_label_intervals (by type).
    """
    found = decide_spans(predicted, actual, words)
    return _with_intervals(found.statistics, len(actual), seed, resamples, found.counts, found.types)


def _with_intervals(
    statistics: Mapping[str, Statistic],
    rows: int,
    seed: int,
    resamples: int,
    counts: LabelCounts | None = None,
    labels: Sequence[str] = (),
    extra: Mapping[str, Statistic] | None = None,
) -> dict[str, Any]:
    """Return rows, figures, intervals and the figures of each label; `extra` has intervals only."""
    of_labels = counts.label_statistics if counts is not None else {}
    names = {name: f"per_label.{name}" for name in of_labels}
    everything = {**statistics, **(extra or {}), **{names[name]: of_labels[name] for name in of_labels}}
    ends = intervals(everything, rows, seed, resamples)
    label_ends = {name: ends.pop(key) for name, key in names.items() if key in ends}
    figures = values_of(statistics, rows)
    metrics: dict[str, Any] = {"rows": rows, **{name: figures[name] for name in in_order(set(figures))}}
    metrics["intervals"] = ends
    if counts is not None:
        metrics["per_label"] = counts.per_label_metrics(labels)
        metrics["per_label_intervals"] = {
            label: {name: of_all[at] for name, of_all in label_ends.items()}
            for at, label in enumerate(labels if label_ends else ())
        }
    return metrics


def _confusion_cells(
    predicted: npt.NDArray[np.integer], targets: npt.NDArray[np.integer]
) -> list[tuple[int, int, int]]:
    """Return actual label, predicted label and rows of each cell of the confusion matrix that has rows."""
    cells, rows = np.unique(np.stack([targets, predicted], axis=1), axis=0, return_counts=True)
    return [(*cell, count) for cell, count in zip(cells.tolist(), rows.tolist(), strict=True)]
