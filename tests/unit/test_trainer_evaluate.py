"""Each task's figures against scikit-learn, SciPy and counting by hand."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import cohen_kappa_score, f1_score

from stream.classify.heads.spans import Span
from trainer.evaluation.evaluate import (
    evaluate,
    evaluate_multi,
    evaluate_regression,
    evaluate_single,
    evaluate_spans,
)

rng = np.random.default_rng(3)


def test_scores_on_held_out_rows() -> None:
    logits = np.eye(3, dtype=np.float32)[[0, 0, 1, 1]]
    found = evaluate(logits, [0, 1, 1, 1], ["a", "b", "never"])
    assert found["accuracy"] == 0.75
    assert found["confusion"] == [[1, 0, 0], [1, 2, 0], [0, 0, 0]]
    assert found["per_label"]["b"] == {
        "precision": 1.0,
        "recall": pytest.approx(2 / 3),
        "f1": pytest.approx(0.8),
        "support": 3,
    }
    assert found["macro_f1"] == pytest.approx((2 / 3 + 0.8) / 2)
    low, high = found["intervals"]["accuracy"]
    assert 0 <= low < 0.75 < high <= 1


def test_macro_f1_is_scikit_learns() -> None:
    truth = rng.integers(0, 5, 300)
    chances = rng.dirichlet(np.ones(5), 300)
    found = evaluate_single(chances, truth, list("abcde"))
    assert found["macro_f1"] == pytest.approx(f1_score(truth, chances.argmax(1), average="macro"))


def test_ordinal_labels_are_scored_by_their_numbers() -> None:
    chances = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    truth = np.array([1, 2, 0])
    found = evaluate_single(chances, truth, ["1", "2", "5"], values=[1, 2, 5])
    assert found["mae"] == pytest.approx(0.5 / 3)
    assert found["quadratic_kappa"] == pytest.approx(
        cohen_kappa_score(truth, chances.argmax(1), weights="quadratic")
    )
    assert "mae" not in evaluate_single(chances, truth, ["1", "2", "5"])


def test_abstaining_tells_how_many_are_answered_and_how_well() -> None:
    chances = np.array([[0.9, 0.1], [0.55, 0.45], [0.2, 0.8], [0.55, 0.45]])
    found = evaluate_single(chances, np.array([0, 1, 1, 1]), ["a", "b"], abstain_below=0.6)
    assert (found["answered"], found["accuracy_answered"], found["accuracy"]) == (0.5, 1.0, 0.5)
    assert (
        evaluate_single(chances, np.array([0, 1, 1, 1]), ["a", "b"], abstain_below=1.0)["accuracy_answered"]
        is None
    )


def test_several_labels_at_their_thresholds_and_at_a_half() -> None:
    truth = (rng.random((200, 3)) < 0.4).astype(int)
    chances = rng.random((200, 3))
    thresholds = {"a": 0.2, "b": 0.5, "c": 0.8}
    found = evaluate_multi(chances, truth, list("abc"), thresholds)
    tuned = chances >= np.array([0.2, 0.5, 0.8])
    for average in ("macro", "micro"):
        assert found[f"{average}_f1"] == pytest.approx(f1_score(truth, tuned, average=average))
        assert found["at_half"][f"{average}_f1"] == pytest.approx(
            f1_score(truth, chances >= 0.5, average=average)
        )
    assert found["exact"] == pytest.approx((tuned == truth).all(axis=1).mean())


def test_numbers() -> None:
    truth = rng.normal(1e6, 3, 100)
    said = truth + rng.normal(0, 1, 100)
    found = evaluate_regression(said, truth)
    assert found["pearson"] == pytest.approx(pearsonr(said, truth).statistic, abs=1e-6)
    assert found["spearman"] == pytest.approx(spearmanr(said, truth).statistic)
    assert found["rmse"] == pytest.approx(((said - truth) ** 2).mean() ** 0.5)
    low, high = found["intervals"]["pearson"]
    assert low < found["pearson"] < high
    assert evaluate_regression(np.full(5, 2.0), np.arange(5.0))["pearson"] == 0


def test_spans_count_only_when_type_and_both_ends_are_right() -> None:
    truth = [[Span("per", 0, 4, 1.0), Span("loc", 10, 14, 1.0)], []]
    found = [[Span("per", 0, 4, 0.6), Span("loc", 10, 15, 0.9)], [Span("per", 2, 3, 0.5)]]
    scored = evaluate_spans(found, truth)
    assert (scored["entity_precision"], scored["entity_recall"]) == (pytest.approx(1 / 3), 0.5)
    assert scored["entity_f1"] == pytest.approx(0.4)
    assert scored["per_label"]["loc"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    assert scored["macro_f1"] == pytest.approx((2 / 3 + 0) / 2)
    assert evaluate_spans([[]], [[]])["entity_f1"] == 0
