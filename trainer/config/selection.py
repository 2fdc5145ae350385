"""The validation metrics that can select the best evaluation, with their direction."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from stream.bundle import Task
from stream.errors import UsageError

CLASSES: tuple[Task, ...] = ("single-label", "pair")
LOSS = "loss"


@dataclass(frozen=True, slots=True)
class SelectionMetric:
    """A validation metric that can select the best evaluation.

    Attributes:
        tasks: the tasks that have the metric.
        larger: whether a larger value is better.
        ordinal: whether only ordinal labels have the metric; a regression needs no such labels.
    """

    tasks: tuple[Task, ...]
    larger: bool = True
    ordinal: bool = False


SELECTION_METRICS: Mapping[str, SelectionMetric] = {
    "accuracy": SelectionMetric(CLASSES),
    "balanced_accuracy": SelectionMetric(CLASSES),
    "macro_f1": SelectionMetric((*CLASSES, "multi-label", "token")),
    "micro_f1": SelectionMetric((*CLASSES, "multi-label")),
    "weighted_f1": SelectionMetric((*CLASSES, "multi-label", "token")),
    "samples_f1": SelectionMetric(("multi-label",)),
    "mcc": SelectionMetric(CLASSES),
    "exact": SelectionMetric(("multi-label",)),
    "hamming_loss": SelectionMetric(("multi-label",), larger=False),
    "ranking_precision": SelectionMetric(("multi-label",)),
    "ranking_loss": SelectionMetric(("multi-label",), larger=False),
    "coverage_error": SelectionMetric(("multi-label",), larger=False),
    "log_loss": SelectionMetric((*CLASSES, "multi-label"), larger=False),
    "brier": SelectionMetric((*CLASSES, "multi-label"), larger=False),
    "quadratic_kappa": SelectionMetric(CLASSES, ordinal=True),
    "pearson": SelectionMetric(("regression",)),
    "spearman": SelectionMetric(("regression",)),
    "r2": SelectionMetric(("regression",)),
    "mae": SelectionMetric((*CLASSES, "regression"), larger=False, ordinal=True),
    "rmse": SelectionMetric(("regression",), larger=False),
    "entity_f1": SelectionMetric(("token",)),
    "entity_precision": SelectionMetric(("token",)),
    "entity_recall": SelectionMetric(("token",)),
    "word_accuracy": SelectionMetric(("token",)),
    LOSS: SelectionMetric((*CLASSES, "multi-label", "regression", "token"), larger=False),
}
"""The figures of `trainer.evaluation.figures` by which evaluations can be ranked, and the loss.

The calibration error is left out, because a model that knows nothing can have a low one. So is the ROC AUC,
because the number of labels is unknown until the data are read.
"""


def selection_metric(requested: str, task: Task, *, ordinal: bool) -> str:
    """Return the name of a metric in metrics.json; Hugging Face's spellings of it are accepted.

    Args:
        requested: the name, also with the prefix `eval_`; `f1` is the main F1 of the task.
        task: the task of the training.
        ordinal: whether the labels are ordinal.

    Raises:
        UsageError: the task has no such metric.
    """
    name = requested.removeprefix("eval_").removeprefix("overall_")
    if name == "f1":
        name = "entity_f1" if task == "token" else "macro_f1"
    elif name == "matthews_correlation":
        name = "mcc"
    elif task == "token" and name in ("precision", "recall"):
        name = f"entity_{name}"
    elif task == "token" and name == "accuracy":
        name = "word_accuracy"
    known = [
        metric
        for metric, found in SELECTION_METRICS.items()
        if task in found.tasks and (ordinal or not found.ordinal or task == "regression")
    ]
    if name in known:
        return name
    needs_order = name in SELECTION_METRICS and task in SELECTION_METRICS[name].tasks
    close = difflib.get_close_matches(name, known, n=1)
    raise UsageError(
        f"--metric-for-best-model {requested} is not valid",
        cause=f"the metrics of --task {task}{' --ordinal' if ordinal else ''} are: {', '.join(known)}",
        fix="add --ordinal, or use another metric"
        if needs_order
        else f"did you mean --metric-for-best-model {close[0]}?"
        if close
        else "use one of these metrics",
    )
