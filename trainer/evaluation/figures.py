"""The figures of each task: their names in metrics.json, and which of them should be small."""

from collections.abc import Sequence

from stream.bundle import HeadKind
from trainer.metric_titles import TITLES

LOWER_IS_BETTER = frozenset(
    {
        "hamming_loss",
        "ranking_loss",
        "coverage_error",
        "mae",
        "rmse",
        "log_loss",
        "brier",
        "ece",
    }
)
NEITHER_IS_BETTER = frozenset({"answered"})

LABEL_FIGURES = ("precision", "recall", "f1")
"""The figures of each label, or of each type of a span."""

SELECTION_METRIC: dict[HeadKind, str] = {
    "single-label": "macro_f1",
    "multi-label": "macro_f1",
    "regression": "pearson",
    "token": "entity_f1",
}
"""The figure that selects a checkpoint, by the head."""

_PROBABILITIES = ("log_loss", "brier", "ece")
_OF_HEAD: dict[HeadKind, tuple[str, ...]] = {
    "single-label": (
        *("accuracy", "balanced_accuracy", "macro_f1", "micro_f1", "weighted_f1", "mcc", *_PROBABILITIES),
    ),
    "multi-label": (
        *("exact", "macro_f1", "micro_f1", "weighted_f1", "samples_f1", "hamming_loss"),
        *("ranking_precision", "ranking_loss", "coverage_error", *_PROBABILITIES),
    ),
    "regression": ("pearson", "spearman", "r2", "mae", "rmse"),
    "token": (
        *("entity_precision", "entity_recall", "entity_f1", "macro_f1", "weighted_f1", "word_accuracy"),
    ),
}


def figure_names(head: HeadKind, labels: int, *, ordinal: bool = False, abstains: bool = False) -> list[str]:
    """Return the names of the figures of a model, in the order in which they are shown.

    Args:
        head: the head of the model.
        labels: the number of labels.
        ordinal: whether the labels are numbers whose order matters.
        abstains: whether the bundle gives no label below a probability.
    """
    names = set(_OF_HEAD[head])
    if head == "single-label" and labels == 2:
        names.add("roc_auc")
    if ordinal:
        names |= {"mae", "quadratic_kappa"}
    if abstains and head in ("single-label", "multi-label"):
        names |= {"answered", "accuracy_answered" if head == "single-label" else "exact_answered"}
    return in_order(names)


def in_order(names: Sequence[str] | set[str]) -> list[str]:
    """Return names of figures in the order in which they are shown."""
    return [name for name in TITLES if name in names]
