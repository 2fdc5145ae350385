"""Logits to scores: stable, finite, and in the labels' order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stream.classify.inputs import Prediction
from stream.classify.postprocess import label_fields, predictions, softmax
from stream.errors import Poison, Reason


@given(arrays(np.float32, (3, 5), elements=st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False)))
def test_softmax_is_a_distribution_for_any_finite_logits(logits: np.ndarray) -> None:
    scores = softmax(logits)
    assert np.isfinite(scores).all()
    assert np.allclose(scores.sum(axis=1), 1)


def test_softmax_is_shifted_by_the_maximum_not_by_the_largest_magnitude() -> None:
    assert softmax(np.array([[-1000.0, 0.0]], dtype=np.float32)).tolist() == [[0.0, 1.0]]


def test_temperature_flattens() -> None:
    logits = np.array([[2.0, 0.0]], dtype=np.float32)
    sharp, flat = predictions(logits)[0], predictions(logits, temperature=2.0)[0]
    assert isinstance(sharp, Prediction)
    assert isinstance(flat, Prediction)
    assert sharp.scores == (0.880797, 0.119203)
    assert flat.scores == (0.731059, 0.268941)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_with_a_logit_that_is_not_finite_is_poison_alone(bad: float) -> None:
    first, second = predictions(np.array([[bad, 0.0], [3.0, 0.0]], dtype=np.float32))
    assert isinstance(first, Poison)
    assert first.reason is Reason.MODEL
    assert isinstance(second, Prediction)


def test_fields_name_the_best_labels_first_and_no_more_than_top_k() -> None:
    fields = label_fields(Prediction((0.1, 0.7, 0.2)), ["a", "b", "c"], top_k=2)
    assert fields == {"label": "b", "score": 0.7, "scores": {"b": 0.7, "c": 0.2}}
    assert list(fields["scores"]) == ["b", "c"]  # type: ignore[call-overload]


def test_of_equal_scores_the_first_label_wins() -> None:
    assert label_fields(Prediction((0.5, 0.5)), ["a", "b"], top_k=2)["label"] == "a"
