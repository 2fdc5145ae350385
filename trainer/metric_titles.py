"""The titles of the evaluation metrics, and their text on one line."""

from collections.abc import Mapping
from typing import Any

TITLES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "exact": "exact match",
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "weighted_f1": "weighted F1",
    "samples_f1": "sample F1",
    "entity_precision": "entity precision",
    "entity_recall": "entity recall",
    "entity_f1": "entity F1",
    "word_accuracy": "word accuracy",
    "mcc": "Matthews correlation",
    "roc_auc": "ROC AUC",
    "hamming_loss": "Hamming loss",
    "ranking_precision": "label ranking average precision",
    "ranking_loss": "label ranking loss",
    "coverage_error": "coverage error",
    "pearson": "Pearson",
    "spearman": "Spearman",
    "r2": "R²",
    "quadratic_kappa": "quadratic kappa",
    "mae": "MAE",
    "rmse": "RMSE",
    "log_loss": "log loss",
    "brier": "Brier score",
    "ece": "calibration error",
    "answered": "answered",
    "accuracy_answered": "accuracy of the answered",
    "exact_answered": "exact match of the answered",
}
"""The title of each metric by its name in metrics.json, in the order in which reports show them."""

SHOWN_METRICS = (
    *("accuracy", "macro_f1", "micro_f1", "entity_f1", "word_accuracy", "pearson", "spearman"),
    *("mae", "rmse", "quadratic_kappa", "answered", "accuracy_answered"),
)
"""The metrics that output and model card show, by their names in metrics.json."""


def title_of(name: str) -> str:
    """Return the title of a metric; a name without a title is its own, without underscores."""
    return TITLES.get(name, name.replace("_", " "))


def shown_metrics(metrics: Mapping[str, Any]) -> list[str]:
    """Return the names of the metrics of one split that output and model card show.

    With one label per row, micro-F1 is the accuracy and is left out.
    """
    hidden = "micro_f1" if metrics.get("accuracy") is not None else None
    return [name for name in SHOWN_METRICS if metrics.get(name) is not None and name != hidden]


def format_metrics(metrics: Mapping[str, Any]) -> str:
    """Return the metrics of one split on one line, with their 95% intervals."""
    parts = []
    for name in shown_metrics(metrics):
        ends = metrics.get("intervals", {}).get(name)
        interval = f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else ""
        parts.append(f"{TITLES[name]} {metrics[name]:.3f}{interval}")
    if at_half := metrics.get("at_half"):
        parts.append(f"macro-F1 with thresholds of 0.5 {at_half['macro_f1']:.3f}")
    return ", ".join(parts)
