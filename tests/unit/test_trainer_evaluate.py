"""The metrics of each task agree with scikit-learn, SciPy and counts by hand."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import cohen_kappa_score, f1_score

from stream.classify import Span
from trainer.evaluation.metrics import (
    evaluate_multi,
    evaluate_regression,
    evaluate_single,
    evaluate_spans,
)
from trainer.model.inference import probabilities

rng = np.random.default_rng(3)


def test_single_label_metrics_by_hand() -> None:
    logits = np.eye(3, dtype=np.float32)[[0, 0, 1, 1]]
    probs = probabilities(logits, "single-label")
    metrics = evaluate_single(probs, np.array([0, 1, 1, 1]), ["a", "b", "never"])
    assert metrics["accuracy"] == 0.75
    assert metrics["confusion"] == [[1, 0, 0], [1, 2, 0], [0, 0, 0]]
    assert metrics["per_label"]["b"] == {
        "precision": 1.0,
        "recall": pytest.approx(2 / 3),
        "f1": pytest.approx(0.8),
        "support": 3,
    }
    assert metrics["macro_f1"] == pytest.approx((2 / 3 + 0.8) / 2)
    low, high = metrics["intervals"]["accuracy"]
    assert 0 <= low < 0.75 < high <= 1


def test_macro_f1_equals_that_of_scikit_learn() -> None:
    targets = rng.integers(0, 5, 300)
    probs = rng.dirichlet(np.ones(5), 300)
    metrics = evaluate_single(probs, targets, list("abcde"))
    assert metrics["macro_f1"] == pytest.approx(f1_score(targets, probs.argmax(1), average="macro"))


def test_ordinal_labels_are_scored_by_their_values() -> None:
    probs = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    targets = np.array([1, 2, 0])
    metrics = evaluate_single(probs, targets, ["1", "2", "5"], values=[1, 2, 5])
    assert metrics["mae"] == pytest.approx(0.5 / 3)
    assert metrics["quadratic_kappa"] == pytest.approx(
        cohen_kappa_score(targets, probs.argmax(1), weights="quadratic")
    )
    assert "mae" not in evaluate_single(probs, targets, ["1", "2", "5"])


def test_an_abstain_threshold_adds_the_answered_share_and_its_accuracy() -> None:
    probs = np.array([[0.9, 0.1], [0.55, 0.45], [0.2, 0.8], [0.55, 0.45]])
    metrics = evaluate_single(probs, np.array([0, 1, 1, 1]), ["a", "b"], abstain_below=0.6)
    assert (metrics["answered"], metrics["accuracy_answered"], metrics["accuracy"]) == (0.5, 1.0, 0.5)
    assert (
        evaluate_single(probs, np.array([0, 1, 1, 1]), ["a", "b"], abstain_below=1.0)["accuracy_answered"]
        is None
    )


def test_multi_label_metrics_at_tuned_and_default_thresholds() -> None:
    targets = (rng.random((200, 3)) < 0.4).astype(int)
    probs = rng.random((200, 3))
    thresholds = {"a": 0.2, "b": 0.5, "c": 0.8}
    metrics = evaluate_multi(probs, targets, list("abc"), thresholds)
    tuned = probs >= np.array([0.2, 0.5, 0.8])
    for average in ("macro", "micro"):
        assert metrics[f"{average}_f1"] == pytest.approx(f1_score(targets, tuned, average=average))
        assert metrics["at_half"][f"{average}_f1"] == pytest.approx(
            f1_score(targets, probs >= 0.5, average=average)
        )
    assert metrics["exact"] == pytest.approx((tuned == targets).all(axis=1).mean())


def test_regression_metrics_equal_those_of_scipy() -> None:
    targets = rng.normal(1e6, 3, 100)
    predicted = targets + rng.normal(0, 1, 100)
    metrics = evaluate_regression(predicted, targets)
    assert metrics["pearson"] == pytest.approx(pearsonr(predicted, targets).statistic, abs=1e-6)
    assert metrics["spearman"] == pytest.approx(spearmanr(predicted, targets).statistic)
    assert metrics["rmse"] == pytest.approx(((predicted - targets) ** 2).mean() ** 0.5)
    low, high = metrics["intervals"]["pearson"]
    assert low < metrics["pearson"] < high
    assert evaluate_regression(np.full(5, 2.0), np.arange(5.0))["pearson"] == 0


def test_a_span_is_correct_only_if_type_start_and_end_are() -> None:
    targets = [[Span("per", 0, 4, 1.0), Span("loc", 10, 14, 1.0)], []]
    predicted = [[Span("per", 0, 4, 0.6), Span("loc", 10, 15, 0.9)], [Span("per", 2, 3, 0.5)]]
    metrics = evaluate_spans(predicted, targets)
    assert (metrics["entity_precision"], metrics["entity_recall"]) == (pytest.approx(1 / 3), 0.5)
    assert metrics["entity_f1"] == pytest.approx(0.4)
    assert metrics["per_label"]["loc"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    assert metrics["macro_f1"] == pytest.approx((2 / 3 + 0) / 2)
    assert evaluate_spans([[]], [[]])["entity_f1"] == 0
