"""The single-label head: stable order, finite scores, and equal predictions from a cache."""

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stream.bundle import Manifest
from stream.classify import Prediction, softmax
from stream.classify.heads.single_label import SingleLabelHead
from stream.errors import Poison, Reason
from tests.unit.record_path import record_path
from tests.unit.small_bundle import partial_manifest

__all__ = ["record_path"]
pytestmark = pytest.mark.usefixtures("record_path")

NAMES = ["a", "%b", "ç", 'd "quoted"', "100%"]
FINITE = arrays(
    np.float32,
    st.tuples(st.integers(1, 6), st.just(len(NAMES))),
    # A few values are frequent, so that there are ties.
    elements=st.floats(-20, 20, width=32) | st.sampled_from([-3.0, 0.0, 2.0]),
)


def manifest(labels: list[str] = NAMES, temperature: float = 1.0) -> Manifest:
    return partial_manifest(
        name="n", version="1", task="single-label", labels=labels, temperature=temperature
    )


def predicted(head: SingleLabelHead, logits: object) -> list[Prediction]:
    results = head.predict(np.array(logits, dtype=np.float32))
    assert all(isinstance(result, Prediction) for result in results)
    return [result for result in results if isinstance(result, Prediction)]


@given(arrays(np.float32, (3, 5), elements=st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False)))
def test_softmax_is_a_distribution_for_any_finite_logits(logits: np.ndarray) -> None:
    scores = softmax(logits)
    assert np.isfinite(scores).all()
    assert np.allclose(scores.sum(axis=1), 1)


def test_softmax_is_shifted_by_the_maximum_and_not_by_the_largest_magnitude() -> None:
    assert softmax(np.array([[-1000.0, 0.0]], dtype=np.float32)).tolist() == [[0.0, 1.0]]


@given(FINITE, st.integers(1, len(NAMES)), st.sampled_from([1.0, 0.5, 2.5]))
def test_scores_are_the_softmax_in_six_digits_best_first_and_ties_in_the_labels_order(
    logits: np.ndarray, top_k: int, temperature: float
) -> None:
    predictions = predicted(SingleLabelHead(manifest(temperature=temperature), top_k), logits)
    for prediction, exact in zip(predictions, softmax(logits / temperature).tolist(), strict=True):
        fields = prediction.fields()
        rounded = [round(score * 1e6) / 1e6 for score in exact]
        best = sorted(range(len(NAMES)), key=lambda at: (-rounded[at], at))[:top_k]
        assert list(fields) == ["label", "score", "scores"]
        assert list(fields["scores"].items()) == [
            (NAMES[at], pytest.approx(rounded[at], abs=1e-12)) for at in best
        ]
        assert fields["label"] == NAMES[best[0]]
        assert fields["score"] == fields["scores"][fields["label"]]
        assert all(score == round(score, 6) for score in fields["scores"].values())


@given(FINITE, st.integers(1, len(NAMES)))
def test_restored_predictions_are_equal_except_for_cached(logits: np.ndarray, top_k: int) -> None:
    head = SingleLabelHead(manifest(), top_k)
    predictions = predicted(head, logits)
    restored = head.restore([prediction.stored for prediction in predictions])
    assert [prediction.members for prediction in restored] == [
        prediction.members for prediction in predictions
    ]
    assert [prediction.stored for prediction in restored] == [prediction.stored for prediction in predictions]
    assert {prediction.cached for prediction in predictions} == {False}
    assert {prediction.cached for prediction in restored} == {True}


def test_stored_scores_do_not_depend_on_how_many_are_shown() -> None:
    logits = [[0.0, 1.0, 2.0, 3.0, 4.0]]
    (few,) = predicted(SingleLabelHead(manifest(), 1), logits)
    (all_of_them,) = predicted(SingleLabelHead(manifest(), 5), logits)
    (shown,) = SingleLabelHead(manifest(), 5).restore([few.stored])
    assert shown.members == all_of_them.members
    assert len(few.stored) == 4 * len(NAMES)


def test_restoring_nothing_returns_nothing() -> None:
    assert SingleLabelHead(manifest(), 5).restore([]) == []


def test_a_higher_temperature_flattens_the_scores() -> None:
    sharp, flat = (
        predicted(SingleLabelHead(manifest(["a", "b"], temperature), 2), [[2.0, 0.0]])[0].fields()["scores"]
        for temperature in (1.0, 2.0)
    )
    assert sharp == {"a": 0.880797, "b": 0.119203}
    assert flat == {"a": 0.731059, "b": 0.268941}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_only_the_row_with_a_non_finite_logit_is_poison(bad: float, at: int) -> None:
    logits = np.array([[3.0, 0.0], [0.0, 3.0], [3.0, 0.0]], dtype=np.float32)
    expected = SingleLabelHead(manifest(["a", "b"]), 2).predict(logits)
    logits[at, 1] = bad
    results = SingleLabelHead(manifest(["a", "b"]), 2).predict(logits)
    poison = results.pop(at)
    assert isinstance(poison, Poison)
    assert poison.reason is Reason.MODEL
    del expected[at]
    assert results == expected


def test_fields_have_at_most_top_k_labels_best_first() -> None:
    (prediction,) = predicted(SingleLabelHead(manifest(["a", "b", "c"]), 2), np.log([[0.1, 0.7, 0.2]]))
    assert prediction.members == b'"label":"b","score":0.7,"scores":{"b":0.7,"c":0.2}'


def test_among_equal_scores_the_first_label_wins() -> None:
    (prediction,) = predicted(SingleLabelHead(manifest(["a", "b"]), 2), [[1.0, 1.0]])
    assert prediction.fields() == {"label": "a", "score": 0.5, "scores": {"a": 0.5, "b": 0.5}}


def test_every_score_is_written_as_orjson_writes_it() -> None:
    """Every score with six digits, two labels per row."""
    scores = np.arange(1_000_002, dtype="<u4").reshape(-1, 2)
    predictions = SingleLabelHead(manifest(["a", "b"]), 2).restore([row.tobytes() for row in scores])
    expected = orjson.dumps(scores[:, ::-1] / 1e6, option=orjson.OPT_SERIALIZE_NUMPY)[2:-2].split(b"],[")
    for prediction, numbers in zip(predictions, expected, strict=True):
        best, other = numbers.split(b",")
        assert prediction.members == b'"label":"b","score":%b,"scores":{"b":%b,"a":%b}' % (best, best, other)


@given(
    arrays(np.uint32, st.tuples(st.integers(1, 4), st.just(7)), elements=st.integers(0, 3)), st.integers(1, 9)
)
def test_the_order_is_that_of_a_stable_sort(scores: np.ndarray, top_k: int) -> None:
    labels = [*"abcdefg"]
    predictions = SingleLabelHead(manifest(labels), top_k).restore(
        [row.tobytes() for row in scores.astype("<u4")]
    )
    for prediction, row in zip(predictions, scores.tolist(), strict=True):
        best = sorted(range(7), key=lambda at: -row[at])[:top_k]
        assert [*prediction.fields()["scores"]] == [labels[at] for at in best]
        assert prediction.stored == np.array(row, "<u4").tobytes()
