"""How good a classifier is on rows that it never saw: by the task's own figures, each with its interval."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr
from sklearn.metrics import accuracy_score, cohen_kappa_score, confusion_matrix

from stream.bundle.manifest import Head
from stream.classify.heads.spans import Span
from stream.runtime.base import Logits
from trainer.evaluation.bootstrap import RESAMPLES, Weights, intervals
from trainer.evaluation.scores import Decisions, pearson, single_decisions
from trainer.model.inference import probabilities

HEADLINE: dict[Head, str] = {
    "single-label": "macro_f1",
    "multi-label": "macro_f1",
    "regression": "pearson",
    "token": "entity_f1",
}
"""The figure that chooses the checkpoint."""

HALF = 0.5

Chances = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.float64]


def evaluate(logits: Logits, truth: Sequence[int], labels: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """Score the logits of one label a row, float32 [rows, labels], against the true label numbers."""
    return evaluate_single(probabilities(logits, "single-label"), np.asarray(truth), labels, seed=seed)


def evaluate_single(
    chances: Chances,
    truth: npt.NDArray[np.integer],
    labels: Sequence[str],
    *,
    values: Sequence[float] | None = None,
    abstain_below: float | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Score one label a row.

    Args:
        chances: probabilities [rows, labels].
        truth: label numbers [rows].
        labels: their names.
        values: of ordinal labels, what each stands for.
        abstain_below: a best probability under it gives no label.
        seed: of the bootstrap.
        resamples: of the bootstrap; 0 leaves the intervals out.

    Returns:
        JSON-ready: rows, accuracy, macro_f1 (mean over the labels that occur in truth or answers), intervals
        of both (95%), per_label (precision, recall, f1, support), confusion (counts, true label by guessed
        label). Ordinal labels add mae (of the expected value), with its interval, and quadratic_kappa (Cohen
        1968, over the labels' ranks). An abstain threshold adds answered (share of rows) and
        accuracy_answered.
    """
    guessed = chances.argmax(axis=1)
    decisions = single_decisions(guessed, truth, len(labels))
    right = (guessed == truth).astype(np.float64)
    statistics = {"accuracy": _mean_of(right), "macro_f1": decisions.macro_f1}
    found: dict[str, Any] = {
        "rows": len(truth),
        "accuracy": float(accuracy_score(truth, guessed)),
        "macro_f1": float(decisions.macro_f1(decisions.whole())[0]),
    }
    if values is not None:
        numbers = np.asarray(values, dtype=np.float64)
        off = np.abs(chances @ numbers - numbers[truth])
        statistics["mae"] = _mean_of(off)
        found["mae"] = float(off.mean())
        kappa = cohen_kappa_score(truth, guessed, weights="quadratic", labels=np.arange(len(labels)))
        # Undefined where truth and answers are one and the same label throughout.
        found["quadratic_kappa"] = float(np.nan_to_num(kappa, nan=1.0 if right.all() else 0.0))
    if abstain_below is not None:
        answered = chances.max(axis=1) >= abstain_below
        found["answered"] = float(answered.mean())
        found["accuracy_answered"] = float(right[answered].mean()) if answered.any() else None
    return {
        **found,
        "intervals": intervals(statistics, len(truth), seed, resamples),
        "per_label": decisions.table(list(labels)),
        "confusion": confusion_matrix(truth, guessed, labels=np.arange(len(labels))).tolist(),
    }


def evaluate_multi(
    chances: Chances,
    truth: npt.NDArray[np.integer],
    labels: Sequence[str],
    thresholds: dict[str, float],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Score any number of labels a row.

    Args:
        chances: probabilities [rows, labels].
        truth: 0 and 1, the same shape.
        labels: their names.
        thresholds: the probability from which on each is given.
        seed: of the bootstrap.
        resamples: of the bootstrap; 0 leaves the intervals out.

    Returns:
        JSON-ready: rows, macro_f1, micro_f1, exact (share of rows whose labels are all right), intervals
        (95%), per_label, and at_half: macro_f1 and micro_f1 with thresholds of 0.5. `intervals` holds
        macro_f1_gain too: of the tuned thresholds' macro-F1 less that at 0.5, over the same resamples.
    """
    tuned = _decided(chances, truth, np.array([thresholds[label] for label in labels]))
    half = _decided(chances, truth, np.full(len(labels), HALF))
    whole = tuned.whole()
    statistics = {
        "macro_f1": tuned.macro_f1,
        "micro_f1": tuned.micro_f1,
        "macro_f1_gain": lambda weights: tuned.macro_f1(weights) - half.macro_f1(weights),
    }
    return {
        "rows": len(truth),
        "macro_f1": float(tuned.macro_f1(whole)[0]),
        "micro_f1": float(tuned.micro_f1(whole)[0]),
        "exact": float((tuned.guessed == tuned.true).all(axis=1).mean()),
        "at_half": {
            "macro_f1": float(half.macro_f1(whole)[0]),
            "micro_f1": float(half.micro_f1(whole)[0]),
        },
        "intervals": intervals(statistics, len(truth), seed, resamples),
        "per_label": tuned.table(list(labels)),
    }


def evaluate_regression(
    found: Numbers, truth: Numbers, *, seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """Score numbers, both [rows] and in the data's units.

    Args:
        found: what the model says.
        truth: what is true.
        seed: of the bootstrap.
        resamples: of the bootstrap; 0 leaves the intervals out.

    Returns:
        JSON-ready: rows, pearson, spearman, mae, rmse, and intervals (95%) of all but spearman. A correlation
        with what does not vary is 0.
    """
    off = found - truth
    whole = np.ones((1, len(truth)))
    statistics = {
        "pearson": lambda weights: pearson(weights, found, truth),
        "mae": _mean_of(np.abs(off)),
        "rmse": lambda weights: np.sqrt(_mean_of(off**2)(weights)),
    }
    varies = len({*found.tolist()}) > 1 and len({*truth.tolist()}) > 1
    return {
        "rows": len(truth),
        **{name: float(statistic(whole)[0]) for name, statistic in statistics.items()},
        "spearman": float(spearmanr(found, truth).statistic) if varies else 0.0,
        "intervals": intervals(statistics, len(truth), seed, resamples),
    }


def evaluate_spans(
    found: Sequence[Sequence[Span]],
    truth: Sequence[Sequence[Span]],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Score spans strictly: right is what has the type, the start and the end of a true one.

    Args:
        found: the spans of each row, by characters of its text.
        truth: those that should be there.
        seed: of the bootstrap over rows.
        resamples: of it; 0 leaves the intervals out.

    Returns:
        JSON-ready: rows, entity_precision, entity_recall, entity_f1 (over all spans), macro_f1 (mean over the
        types), intervals (95%) of both F1, per_label (by type).
    """
    types = sorted({span.type for row in [*found, *truth] for span in row})
    place = {kind: at for at, kind in enumerate(types)}
    counts = np.zeros((3, len(truth), len(types)))
    for row, (guessed, true) in enumerate(zip(found, truth, strict=True)):
        bare = [{span[:3] for span in spans} for spans in (guessed, true)]
        for at, spans in enumerate((bare[0] & bare[1], *bare)):
            for kind, _, _ in spans:
                counts[at, row, place[kind]] += 1
    decisions = Decisions(*counts)
    right, guesses, trues = (float(part.sum()) for part in counts)
    statistics = {"entity_f1": decisions.micro_f1, "macro_f1": decisions.macro_f1}
    whole = decisions.whole()
    return {
        "rows": len(truth),
        "entity_precision": right / guesses if guesses else 0.0,
        "entity_recall": right / trues if trues else 0.0,
        **{name: float(statistic(whole)[0]) for name, statistic in statistics.items()},
        "intervals": intervals(statistics, len(truth), seed, resamples),
        "per_label": decisions.table(types),
    }


def _decided(chances: Chances, truth: npt.NDArray[np.integer], thresholds: Numbers) -> Decisions:
    guessed = chances >= thresholds
    return Decisions(guessed * truth, guessed, truth)


def _mean_of(values: Numbers) -> Any:
    def mean(weights: Weights) -> Numbers:
        result: Numbers = weights @ values / weights.sum(axis=1)
        return result

    return mean
