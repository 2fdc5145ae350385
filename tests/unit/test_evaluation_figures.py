"""Every figure of an evaluation equals scikit-learn's, and its interval that of resampled rows."""

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import spearmanr
from sklearn import metrics as reference

from stream.classify import Span
from trainer.evaluation.calibration import expected_calibration_error
from trainer.evaluation.figures import LOWER_IS_BETTER, figure_names
from trainer.evaluation.metrics import (
    evaluate_multi,
    evaluate_regression,
    evaluate_single,
    evaluate_spans,
)
from trainer.metric_titles import TITLES

rng = np.random.default_rng(11)
LABELS = list("abcde")
TARGETS = rng.integers(0, 5, 250)
PROBS = rng.dirichlet(np.ones(5), 250)
PROBS[::3] = PROBS[::3] / 4 + 0.75 * np.eye(5)[TARGETS[::3]]
BEST = PROBS.argmax(axis=1)

SINGLE: dict[str, Callable[[npt.NDArray[Any], npt.NDArray[Any]], float]] = {
    "accuracy": lambda t, p: reference.accuracy_score(t, p.argmax(1)),
    "balanced_accuracy": lambda t, p: reference.balanced_accuracy_score(t, p.argmax(1)),
    "macro_f1": lambda t, p: reference.f1_score(t, p.argmax(1), average="macro"),
    "micro_f1": lambda t, p: reference.f1_score(t, p.argmax(1), average="micro"),
    "weighted_f1": lambda t, p: reference.f1_score(t, p.argmax(1), average="weighted"),
    "mcc": lambda t, p: reference.matthews_corrcoef(t, p.argmax(1)),
    "log_loss": lambda t, p: reference.log_loss(t, p, labels=range(p.shape[1])),
    "brier": lambda t, p: reference.brier_score_loss(t, p, labels=range(p.shape[1])),
    "ece": lambda t, p: expected_calibration_error(p, t, "single-label"),
    "quadratic_kappa": lambda t, p: reference.cohen_kappa_score(t, p.argmax(1), weights="quadratic"),
    "mae": lambda t, p: reference.mean_absolute_error(t + 1, p @ np.arange(1, 1 + p.shape[1])),
}

MULTI_TARGETS = (rng.random((120, 6)) < 0.3).astype(np.int64)
MULTI_TARGETS[:3] = [[0] * 6, [1] * 6, [0] * 6]
MULTI_PROBS = np.round(np.clip(MULTI_TARGETS * 0.3 + rng.random((120, 6)) * 0.7, 0.01, 0.99), 1)
MULTI_PROBS[2] = 0.1
THRESHOLD = 0.45


def _given(p: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return (p >= THRESHOLD).astype(int)


MULTI: dict[str, Callable[[npt.NDArray[Any], npt.NDArray[Any]], float]] = {
    "exact": lambda t, p: reference.accuracy_score(t, _given(p)),
    "macro_f1": lambda t, p: reference.f1_score(t, _given(p), average="macro"),
    "micro_f1": lambda t, p: reference.f1_score(t, _given(p), average="micro"),
    "weighted_f1": lambda t, p: reference.f1_score(t, _given(p), average="weighted"),
    "samples_f1": lambda t, p: reference.f1_score(t, _given(p), average="samples", zero_division=1.0),
    "hamming_loss": lambda t, p: reference.hamming_loss(t, _given(p)),
    "ranking_precision": lambda t, p: reference.label_ranking_average_precision_score(t, p),
    "ranking_loss": lambda t, p: reference.label_ranking_loss(t, p),
    "coverage_error": lambda t, p: reference.coverage_error(t, p),
    "log_loss": lambda t, p: reference.log_loss(t.ravel(), p.ravel()),
    "brier": lambda t, p: reference.brier_score_loss(t.ravel(), p.ravel()),
    "ece": lambda t, p: expected_calibration_error(p, t, "multi-label"),
}

NUMBERS = np.round(rng.normal(3, 2, 150), 1)
PREDICTED = np.round(NUMBERS + rng.normal(0, 1, 150), 1)
REGRESSION: dict[str, Callable[[npt.NDArray[Any], npt.NDArray[Any]], float]] = {
    "pearson": lambda t, p: float(np.corrcoef(t, p)[0, 1]),
    "spearman": lambda t, p: spearmanr(p, t).statistic,
    "mae": reference.mean_absolute_error,
    "rmse": reference.root_mean_squared_error,
    "r2": reference.r2_score,
}


def single(targets: npt.NDArray[Any], probs: npt.NDArray[Any], **options: Any) -> dict[str, Any]:
    labels = [str(at) for at in range(probs.shape[1])]
    return evaluate_single(probs, targets, labels, values=[at + 1.0 for at in range(len(labels))], **options)


def multi(targets: npt.NDArray[Any], probs: npt.NDArray[Any], **options: Any) -> dict[str, Any]:
    labels = [str(at) for at in range(probs.shape[1])]
    return evaluate_multi(probs, targets, labels, dict.fromkeys(labels, THRESHOLD), **options)


def regression(targets: npt.NDArray[Any], predicted: npt.NDArray[Any], **options: Any) -> dict[str, Any]:
    return evaluate_regression(predicted, targets, **options)


CASES = [
    *(pytest.param(single, SINGLE, name, TARGETS, PROBS, id=f"single-label {name}") for name in SINGLE),
    *(
        pytest.param(multi, MULTI, name, MULTI_TARGETS, MULTI_PROBS, id=f"multi-label {name}")
        for name in MULTI
    ),
    *(
        pytest.param(regression, REGRESSION, name, NUMBERS, PREDICTED, id=f"regression {name}")
        for name in REGRESSION
    ),
]


@pytest.mark.parametrize(("evaluate", "expected", "name", "targets", "output"), CASES)
def test_a_figure_and_its_interval_are_those_of_scikit_learn(
    evaluate: Any, expected: Any, name: str, targets: npt.NDArray[Any], output: npt.NDArray[Any]
) -> None:
    """The interval is computed a second time by the reference, on copies of the resampled rows."""
    found = evaluate(targets, output, seed=5, resamples=25)
    assert found[name] == pytest.approx(expected[name](targets, output), abs=1e-9)
    draws = np.random.default_rng(5).integers(0, len(targets), (25, len(targets)))
    resampled = [expected[name](targets[draw], output[draw]) for draw in draws]
    assert found["intervals"][name] == pytest.approx(np.quantile(resampled, [0.025, 0.975]), abs=1e-9)


def test_two_labels_have_a_roc_auc_and_half_the_brier_score() -> None:
    targets = rng.integers(0, 2, 200)
    scores = np.round(np.clip(0.3 * targets + rng.random(200) * 0.7, 0, 1), 1)
    found = evaluate_single(np.stack([1 - scores, scores], axis=1), targets, ["no", "yes"], resamples=20)
    assert found["roc_auc"] == pytest.approx(reference.roc_auc_score(targets, scores))
    assert found["brier"] == pytest.approx(reference.brier_score_loss(targets, scores))
    low, high = found["intervals"]["roc_auc"]
    assert low < found["roc_auc"] < high


def test_each_label_has_the_figures_and_intervals_of_its_own_rows() -> None:
    found = evaluate_single(PROBS, TARGETS, LABELS, seed=5, resamples=25)
    draws = np.random.default_rng(5).integers(0, 250, (25, 250))
    scores = {
        "precision": reference.precision_score,
        "recall": reference.recall_score,
        "f1": reference.f1_score,
    }
    for at, label in enumerate(LABELS):
        assert found["per_label"][label]["support"] == np.count_nonzero(at == TARGETS)
        for name, score in scores.items():
            assert found["per_label"][label][name] == pytest.approx(score(at == TARGETS, at == BEST))
            resampled = [score(TARGETS[draw] == at, BEST[draw] == at) for draw in draws]
            ends = np.quantile(resampled, [0.025, 0.975])
            assert found["per_label_intervals"][label][name] == pytest.approx(ends)


def test_every_figure_of_the_task_is_computed_and_has_a_title() -> None:
    spans = [[Span("x", 0, 1, 1.0)]]
    words = np.array([[1, 1]])
    found = {
        "single-label": evaluate_single(PROBS, TARGETS, LABELS, values=[1, 2, 3, 4, 5], abstain_below=0.4),
        "multi-label": multi(MULTI_TARGETS, MULTI_PROBS, abstain_below=0.4),
        "regression": regression(NUMBERS, PREDICTED),
        "token": evaluate_spans(spans, spans, words=words),
    }
    for head, metrics in found.items():
        ordinal = head == "single-label"
        names = figure_names(head, 5, ordinal=ordinal, abstains=True)  # type: ignore[arg-type]
        assert [name for name in metrics if name in TITLES] == names
        assert set(names) <= set(metrics["intervals"])
    assert set(TITLES) >= LOWER_IS_BETTER


def test_a_label_without_rows_has_zeros_and_no_interval() -> None:
    found = evaluate_single(np.eye(3)[[0, 0, 1]], np.array([0, 1, 1]), ["a", "b", "never"])
    assert found["per_label"]["never"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    assert found["per_label_intervals"]["never"]["f1"] == [None, None]
    low, high = found["per_label_intervals"]["a"]["f1"]
    assert 0 <= low <= high <= 1


def test_one_row_has_figures() -> None:
    assert evaluate_single(np.array([[0.9, 0.1]]), np.array([0]), ["a", "b"])["accuracy"] == 1.0
    one = evaluate_single(np.array([[0.9, 0.1]]), np.array([0]), ["a", "b"])
    assert one["roc_auc"] is None
    assert one["intervals"]["roc_auc"] == [None, None]
    assert regression(np.array([2.0]), np.array([3.0]))["r2"] == 0.0
    assert multi(np.array([[1, 0]]), np.array([[0.9, 0.1]]))["exact"] == 1.0
    assert evaluate_spans([[]], [[]])["entity_f1"] == 0.0


def test_span_figures_are_those_of_seqeval() -> None:
    """The example of seqeval's documentation: the types MISC and PER, the figures of its report."""
    actual = [[Span("MISC", 3, 6, 1.0)], [Span("PER", 0, 2, 1.0)]]
    predicted = [[Span("MISC", 2, 6, 1.0)], [Span("PER", 0, 2, 1.0)]]
    found = evaluate_spans(predicted, actual)
    figures = ("entity_precision", "entity_recall", "entity_f1", "macro_f1", "weighted_f1")
    assert [found[name] for name in figures] == [0.5] * 5
    assert found["per_label"]["MISC"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    assert found["per_label"]["PER"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1}


def test_1500_labels_and_10000_rows_stay_in_seconds_and_in_bounded_memory() -> None:
    rows, labels = 10_000, 1500
    targets = rng.integers(0, labels, rows)
    probs = np.full((rows, labels), 0.5 / labels)
    probs[np.arange(rows), np.where(rng.random(rows) < 0.7, targets, rng.integers(0, labels, rows))] += 0.5
    tracemalloc.start()
    started = time.process_time()
    found = evaluate_single(probs, targets, [f"label {at}" for at in range(labels)])
    seconds, memory = time.process_time() - started, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found["per_label_intervals"]) == labels
    assert seconds < 60, "a loop over the labels or the resamples takes minutes"
    assert memory < 600e6, "a dense array of rows and labels for each count takes gigabytes"
