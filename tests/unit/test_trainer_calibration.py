"""Temperatures recover a known distortion; thresholds maximise F1 and are shrunk if rows are few."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from trainer.evaluation.calibration import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    best_threshold,
    calibrate,
    expected_calibration_error,
    tune_thresholds,
)
from trainer.evaluation.metrics import evaluate_multi
from trainer.evaluation.statistics import intervals
from trainer.model.inference import probabilities

ROWS = 4000
rng = np.random.default_rng(5)


def draw_labels(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Draw labels from the softmax of the logits."""
    probs = probabilities(logits, "single-label")
    return (probs.cumsum(axis=1) < np.random.default_rng(6).random((len(logits), 1))).sum(axis=1)


@pytest.mark.parametrize("distortion", [0.5, 1.0, 3.0])
def test_a_known_temperature_is_recovered(distortion: float) -> None:
    calibrated = rng.normal(0, 2, (ROWS, 4)).astype(np.float32)
    calibration = calibrate(calibrated * np.float32(distortion), draw_labels(calibrated), "single-label")
    assert calibration.temperature == pytest.approx(distortion, rel=0.1)
    if distortion != 1:
        assert calibration.ece_after < calibration.ece_before / 2
    assert calibration.ece_after < 0.03


def test_a_known_temperature_of_the_sigmoid_is_recovered() -> None:
    calibrated = rng.normal(-1, 2, (ROWS, 5)).astype(np.float32)
    targets = (
        np.random.default_rng(7).random(calibrated.shape) < probabilities(calibrated, "multi-label")
    ).astype(int)
    calibration = calibrate(calibrated * np.float32(2.5), targets, "multi-label")
    assert calibration.temperature == pytest.approx(2.5, rel=0.1)
    assert calibration.ece_after < calibration.ece_before / 2


def test_the_temperature_is_bounded_on_rows_without_errors_or_without_hits() -> None:
    logits = np.eye(3, dtype=np.float32)[[0, 1, 2] * 5]
    assert calibrate(logits, np.array([0, 1, 2] * 5), "single-label").temperature >= MIN_TEMPERATURE
    assert calibrate(logits, np.array([1, 2, 0] * 5), "single-label").temperature <= MAX_TEMPERATURE


def test_calibration_error_by_hand() -> None:
    probs = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    targets = np.array([0, 1, 0, 1])
    # In the bin of 0.9 half of the rows are correct, in the bin of 0.6 all.
    assert expected_calibration_error(probs, targets, "single-label") == pytest.approx(
        (2 * abs(0.9 - 0.5) + 2 * abs(0.6 - 1)) / 4
    )
    assert expected_calibration_error(np.array([[1.0, 0.0]]), np.array([[1, 0]]), "multi-label") == 0


@given(
    st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=40).filter(
        lambda rows: any(positive for _, positive in rows)
    )
)
@settings(deadline=None, max_examples=60)
def test_no_threshold_has_a_better_f1(rows: list[tuple[int, bool]]) -> None:
    probs = np.array([score / 20 for score, _ in rows])
    targets = np.array([int(positive) for _, positive in rows])
    threshold = best_threshold(probs, targets)
    best = f1_score(targets, probs >= threshold, zero_division=0)
    others = [f1_score(targets, probs >= other, zero_division=0) for other in np.linspace(0, 1, 41)]
    assert best >= max(others) - 1e-12


def test_thresholds_of_rare_labels_are_shrunk_towards_the_shared_threshold() -> None:
    targets = (rng.random((2000, 2)) < [0.3, 0.002]).astype(int)
    targets[0, 1] = 1
    probs = np.clip(0.15 + 0.3 * targets + rng.normal(0, 0.05, targets.shape), 0.01, 0.99)
    # The few positive rows of the rare label happen to have probabilities near 1.
    probs[targets[:, 1] == 1, 1] = 0.98
    thresholds = tune_thresholds(probs, targets, ["common", "rare"])
    shared = best_threshold(probs.ravel(), targets.ravel())
    own = best_threshold(probs[:, 1], targets[:, 1])
    assert shared < thresholds["rare"] < own
    assert abs(thresholds["common"] - best_threshold(probs[:, 0], targets[:, 0])) < 0.02


def test_a_label_without_rows_gets_the_shared_threshold() -> None:
    targets = np.array([[1, 0], [0, 0], [1, 0]])
    probs = np.array([[0.4, 0.1], [0.2, 0.1], [0.5, 0.1]])
    thresholds = tune_thresholds(probs, targets, ["there", "never"])
    assert thresholds["never"] == pytest.approx(best_threshold(probs.ravel(), targets.ravel()), abs=1e-6)


def test_tuned_thresholds_beat_the_default_if_probabilities_are_low() -> None:
    targets = (rng.random((600, 3)) < 0.1).astype(int)
    probs = np.clip(0.1 + 0.25 * targets + rng.normal(0, 0.05, targets.shape), 0.001, 0.999)
    labels = ["a", "b", "c"]
    thresholds = tune_thresholds(probs[:300], targets[:300], labels)
    metrics = evaluate_multi(probs[300:], targets[300:], labels, thresholds)
    assert metrics["macro_f1"] > 0.8 > metrics["at_half"]["macro_f1"]
    assert metrics["intervals"]["macro_f1_gain"][0] > 0.3


def test_intervals_contain_the_statistic_and_are_reproducible_by_the_seed() -> None:
    correct = (rng.random(400) < 0.8).astype(float)
    statistics = {"accuracy": lambda weights: weights @ correct / weights.sum(axis=1)}
    low, high = intervals(statistics, 400, seed=1)["accuracy"]
    assert low < correct.mean() < high
    # The normal approximation: 1.96 standard errors on either side.
    assert high - low == pytest.approx(2 * 1.96 * (0.8 * 0.2 / 400) ** 0.5, rel=0.2)
    assert intervals(statistics, 400, seed=1) == intervals(statistics, 400, seed=1)
    assert intervals(statistics, 400, seed=1) != intervals(statistics, 400, seed=2)
