"""The names of the evaluation figures, and their text on one line."""

from collections.abc import Mapping
from typing import Any

FIGURES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "entity_f1": "entity F1",
    "word_accuracy": "word accuracy",
    "pearson": "Pearson",
    "spearman": "Spearman",
    "mae": "MAE",
    "rmse": "RMSE",
    "quadratic_kappa": "quadratic kappa",
    "answered": "answered",
    "accuracy_answered": "accuracy of the answered",
}
"""The figures that output and model card show, by their names in metrics.json, and their titles."""


def format_figures(scores: Mapping[str, Any]) -> str:
    """Return the figures of one split on one line, with their 95% intervals."""
    parts = []
    for name, title in FIGURES.items():
        if scores.get(name) is None:
            continue
        ends = scores.get("intervals", {}).get(name)
        interval = f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else ""
        parts.append(f"{title} {scores[name]:.3f}{interval}")
    if at_half := scores.get("at_half"):
        parts.append(f"macro-F1 with thresholds of 0.5 {at_half['macro_f1']:.3f}")
    return ", ".join(parts)
