"""The metrics of each task with their confidence intervals."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr
from sklearn.metrics import accuracy_score, cohen_kappa_score, confusion_matrix

from stream.bundle import HeadKind
from stream.classify import Span
from trainer.evaluation.statistics import (
    RESAMPLES,
    Floats,
    LabelCounts,
    Statistic,
    intervals,
    mean_statistic,
    pearson,
    single_label_counts,
    unit_weights,
)

SELECTION_METRIC: dict[HeadKind, str] = {
    "single-label": "macro_f1",
    "multi-label": "macro_f1",
    "regression": "pearson",
    "token": "entity_f1",
}
"""The metric that selects the checkpoint."""

DEFAULT_THRESHOLD = 0.5


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
        A JSON-ready dictionary: rows, accuracy, macro_f1 (mean over the labels that occur in the targets or
        the predictions), intervals of both (95%), per_label (precision, recall, f1, support), confusion
        (counts, actual label by predicted label). Ordinal labels add mae (of the expected value), with its
        interval, and quadratic_kappa (Cohen 1968, over the ranks of the labels). An abstain threshold adds
        answered (the share of rows with a label) and accuracy_answered.
    """
    predicted = probabilities.argmax(axis=1)
    counts = single_label_counts(predicted, targets, len(labels))
    correct = (predicted == targets).astype(np.float64)
    statistics = {"accuracy": mean_statistic(correct), "macro_f1": counts.macro_f1}
    metrics: dict[str, Any] = {
        "rows": len(targets),
        "accuracy": float(accuracy_score(targets, predicted)),
        "macro_f1": float(counts.macro_f1(unit_weights(len(targets)))[0]),
    }
    if values is not None:
        numbers = np.asarray(values, dtype=np.float64)
        errors = np.abs(probabilities @ numbers - numbers[targets])
        statistics["mae"] = mean_statistic(errors)
        metrics["mae"] = float(errors.mean())
        kappa = cohen_kappa_score(targets, predicted, weights="quadratic", labels=np.arange(len(labels)))
        # Kappa is undefined if all targets and predictions are the same label.
        metrics["quadratic_kappa"] = float(np.nan_to_num(kappa, nan=1.0 if correct.all() else 0.0))
    if abstain_below is not None:
        answered = probabilities.max(axis=1) >= abstain_below
        metrics["answered"] = float(answered.mean())
        metrics["accuracy_answered"] = float(correct[answered].mean()) if answered.any() else None
    return {
        **metrics,
        "intervals": intervals(statistics, len(targets), seed, resamples),
        "per_label": counts.per_label_metrics(list(labels)),
        "confusion": confusion_matrix(targets, predicted, labels=np.arange(len(labels))).tolist(),
    }


def evaluate_multi(
    probabilities: Floats,
    targets: npt.NDArray[np.integer],
    labels: Sequence[str],
    thresholds: dict[str, float],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Compute the metrics of any number of labels per row.

    Args:
        probabilities: the predicted probabilities, [rows, labels].
        targets: 0 and 1, the same shape.
        labels: the label names.
        thresholds: the lowest probability at which each label is given.
        seed: the seed of the bootstrap.
        resamples: the number of bootstrap resamples; 0 for no intervals.

    Returns:
        A JSON-ready dictionary: rows, macro_f1, micro_f1, exact (the share of rows whose labels are all
        correct), intervals (95%), per_label, and at_half: macro_f1 and micro_f1 with thresholds of 0.5.
        `intervals` also holds macro_f1_gain, the macro-F1 of the tuned thresholds minus that at 0.5, over the
        same resamples.
    """
    tuned = _threshold_counts(probabilities, targets, np.array([thresholds[label] for label in labels]))
    default = _threshold_counts(probabilities, targets, np.full(len(labels), DEFAULT_THRESHOLD))
    weights = unit_weights(len(targets))
    statistics = {
        "macro_f1": tuned.macro_f1,
        "micro_f1": tuned.micro_f1,
        "macro_f1_gain": lambda weights: tuned.macro_f1(weights) - default.macro_f1(weights),
    }
    return {
        "rows": len(targets),
        "macro_f1": float(tuned.macro_f1(weights)[0]),
        "micro_f1": float(tuned.micro_f1(weights)[0]),
        "exact": float((tuned.predicted == tuned.actual).all(axis=1).mean()),
        "at_half": {
            "macro_f1": float(default.macro_f1(weights)[0]),
            "micro_f1": float(default.micro_f1(weights)[0]),
        },
        "intervals": intervals(statistics, len(targets), seed, resamples),
        "per_label": tuned.per_label_metrics(list(labels)),
    }


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
        A JSON-ready dictionary: rows, pearson, spearman, mae, rmse, and intervals (95%) of all but spearman.
        The correlation with a constant is 0.
    """
    errors = predicted - targets
    statistics: dict[str, Statistic] = {
        "pearson": lambda weights: pearson(weights, predicted, targets),
        "mae": mean_statistic(np.abs(errors)),
        "rmse": lambda weights: np.sqrt(mean_statistic(errors**2)(weights)),
    }
    varies = len({*predicted.tolist()}) > 1 and len({*targets.tolist()}) > 1
    weights = unit_weights(len(targets))
    return {
        "rows": len(targets),
        **{name: float(statistic(weights)[0]) for name, statistic in statistics.items()},
        "spearman": float(spearmanr(predicted, targets).statistic) if varies else 0.0,
        "intervals": intervals(statistics, len(targets), seed, resamples),
    }


def evaluate_spans(
    predicted: Sequence[Sequence[Span]],
    actual: Sequence[Sequence[Span]],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Compute strict span metrics: a correct span has the type, start and end of an actual span.

    Args:
        predicted: the predicted spans of each row, in characters of its text.
        actual: the actual spans of each row.
        seed: the seed of the bootstrap over rows.
        resamples: the number of bootstrap resamples; 0 for no intervals.

    Returns:
        A JSON-ready dictionary: rows, entity_precision, entity_recall, entity_f1 (over all spans), macro_f1
        (mean over the types), intervals (95%) of both F1, per_label (by type).
    """
    types = sorted({span.type for row in [*predicted, *actual] for span in row})
    column = {span_type: index for index, span_type in enumerate(types)}
    correct_predicted_actual = np.zeros((3, len(actual), len(types)))
    for row, (row_predicted, row_actual) in enumerate(zip(predicted, actual, strict=True)):
        without_scores = [{span[:3] for span in spans} for spans in (row_predicted, row_actual)]
        correct = without_scores[0] & without_scores[1]
        for index, spans in enumerate((correct, *without_scores)):
            for span_type, _, _ in spans:
                correct_predicted_actual[index, row, column[span_type]] += 1
    counts = LabelCounts(*correct_predicted_actual)
    total_correct, total_predicted, total_actual = (float(array.sum()) for array in correct_predicted_actual)
    statistics = {"entity_f1": counts.micro_f1, "macro_f1": counts.macro_f1}
    weights = unit_weights(len(actual))
    return {
        "rows": len(actual),
        "entity_precision": total_correct / total_predicted if total_predicted else 0.0,
        "entity_recall": total_correct / total_actual if total_actual else 0.0,
        **{name: float(statistic(weights)[0]) for name, statistic in statistics.items()},
        "intervals": intervals(statistics, len(actual), seed, resamples),
        "per_label": counts.per_label_metrics(types),
    }


def _threshold_counts(
    probabilities: Floats, targets: npt.NDArray[np.integer], thresholds: Floats
) -> LabelCounts:
    predicted = probabilities >= thresholds
    return LabelCounts(predicted * targets, predicted, targets)
