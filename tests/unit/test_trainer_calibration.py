"""Temperatures recover a known distortion; thresholds find the best F1 and do not believe few rows."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from trainer.evaluation.bootstrap import intervals
from trainer.evaluation.calibrate import HIGHEST, LOWEST, calibrate, expected_calibration_error
from trainer.evaluation.evaluate import evaluate_multi
from trainer.evaluation.thresholds import best_threshold, tune_thresholds
from trainer.model.inference import probabilities

ROWS = 4000
rng = np.random.default_rng(5)


def drawn_labels(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Truth that is distributed exactly as the softmax of the logits says."""
    chances = probabilities(logits, "single-label")
    return (chances.cumsum(axis=1) < np.random.default_rng(6).random((len(logits), 1))).sum(axis=1)


@pytest.mark.parametrize("distortion", [0.5, 1.0, 3.0])
def test_a_known_distortion_is_recovered(distortion: float) -> None:
    honest = rng.normal(0, 2, (ROWS, 4)).astype(np.float32)
    found = calibrate(honest * np.float32(distortion), drawn_labels(honest), "single-label")
    assert found.temperature == pytest.approx(distortion, rel=0.1)
    if distortion != 1:
        assert found.ece_after < found.ece_before / 2
    assert found.ece_after < 0.03


def test_the_sigmoid_has_a_temperature_too() -> None:
    honest = rng.normal(-1, 2, (ROWS, 5)).astype(np.float32)
    truth = (np.random.default_rng(7).random(honest.shape) < probabilities(honest, "multi-label")).astype(int)
    found = calibrate(honest * np.float32(2.5), truth, "multi-label")
    assert found.temperature == pytest.approx(2.5, rel=0.1)
    assert found.ece_after < found.ece_before / 2


def test_a_part_without_a_fault_does_not_make_it_certain_for_ever() -> None:
    logits = np.eye(3, dtype=np.float32)[[0, 1, 2] * 5]
    assert calibrate(logits, np.array([0, 1, 2] * 5), "single-label").temperature >= LOWEST
    assert calibrate(logits, np.array([1, 2, 0] * 5), "single-label").temperature <= HIGHEST


def test_calibration_error_by_hand() -> None:
    chances = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    truth = np.array([0, 1, 0, 1])
    # Bin of 0.9: half right; bin of 0.6: all right.
    assert expected_calibration_error(chances, truth, "single-label") == pytest.approx(
        (2 * abs(0.9 - 0.5) + 2 * abs(0.6 - 1)) / 4
    )
    assert expected_calibration_error(np.array([[1.0, 0.0]]), np.array([[1, 0]]), "multi-label") == 0


@given(
    st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=40).filter(
        lambda rows: any(truth for _, truth in rows)
    )
)
@settings(deadline=None, max_examples=60)
def test_no_threshold_has_a_better_f1(rows: list[tuple[int, bool]]) -> None:
    chances = np.array([score / 20 for score, _ in rows])
    truth = np.array([int(positive) for _, positive in rows])
    found = best_threshold(chances, truth)
    mine = f1_score(truth, chances >= found, zero_division=0)
    others = [f1_score(truth, chances >= at, zero_division=0) for at in np.linspace(0, 1, 41)]
    assert mine >= max(others) - 1e-12


def test_thresholds_of_rare_labels_are_drawn_to_that_of_all() -> None:
    truth = (rng.random((2000, 2)) < [0.3, 0.002]).astype(int)
    truth[0, 1] = 1
    chances = np.clip(0.15 + 0.3 * truth + rng.normal(0, 0.05, truth.shape), 0.01, 0.99)
    # The rare label's few positives happen to score near certainty.
    chances[truth[:, 1] == 1, 1] = 0.98
    found = tune_thresholds(chances, truth, ["common", "rare"])
    together = best_threshold(chances.ravel(), truth.ravel())
    own = best_threshold(chances[:, 1], truth[:, 1])
    assert together < found["rare"] < own
    assert abs(found["common"] - best_threshold(chances[:, 0], truth[:, 0])) < 0.02


def test_a_label_without_a_row_gets_the_threshold_of_all() -> None:
    truth = np.array([[1, 0], [0, 0], [1, 0]])
    chances = np.array([[0.4, 0.1], [0.2, 0.1], [0.5, 0.1]])
    found = tune_thresholds(chances, truth, ["there", "never"])
    assert found["never"] == pytest.approx(best_threshold(chances.ravel(), truth.ravel()), abs=1e-6)


def test_tuned_thresholds_beat_a_half_where_scores_are_low() -> None:
    truth = (rng.random((600, 3)) < 0.1).astype(int)
    chances = np.clip(0.1 + 0.25 * truth + rng.normal(0, 0.05, truth.shape), 0.001, 0.999)
    labels = ["a", "b", "c"]
    thresholds = tune_thresholds(chances[:300], truth[:300], labels)
    found = evaluate_multi(chances[300:], truth[300:], labels, thresholds)
    assert found["macro_f1"] > 0.8 > found["at_half"]["macro_f1"]
    assert found["intervals"]["macro_f1_gain"][0] > 0.3


def test_intervals_hold_the_figure_and_are_the_same_for_the_same_seed() -> None:
    right = (rng.random(400) < 0.8).astype(float)
    statistics = {"accuracy": lambda weights: weights @ right / weights.sum(axis=1)}
    low, high = intervals(statistics, 400, seed=1)["accuracy"]
    assert low < right.mean() < high
    # The textbook's: 1.96 standard errors on either side.
    assert high - low == pytest.approx(2 * 1.96 * (0.8 * 0.2 / 400) ** 0.5, rel=0.2)
    assert intervals(statistics, 400, seed=1) == intervals(statistics, 400, seed=1)
    assert intervals(statistics, 400, seed=1) != intervals(statistics, 400, seed=2)
