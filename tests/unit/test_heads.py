"""The predictions of each head, with abstaining and non-finite logits."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stream.bundle import Manifest, NumericColumn, SpanRules, TargetScale
from stream.classify import (
    MetadataEncoder,
    Prediction,
    check_servable,
    make_head,
    probabilities,
    sigmoid,
    split_pieces,
)
from stream.classify.heads.single_label import SingleLabelHead
from stream.classify.windows import MergedTokens
from stream.errors import BundleError, Poison, Reason
from tests.unit.small_bundle import partial_manifest


def manifest(task: Any = "single-label", labels: tuple[str, ...] = ("a", "b", "c"), **more: Any) -> Manifest:
    return partial_manifest(
        name="n", version="1", task=task, labels=list(labels), inputs=["input_ids"], **more
    )


def predicted(of: Manifest, logits: object, top_k: int | None = None) -> dict[str, Any]:
    (prediction,) = make_head(of, top_k).predict(np.array([logits], dtype=np.float32), ())
    assert isinstance(prediction, Prediction)
    return prediction.fields()


def test_a_single_label_bundle_without_options_gets_the_single_label_head() -> None:
    assert type(make_head(manifest())) is SingleLabelHead
    assert type(make_head(manifest("pair"))) is SingleLabelHead
    assert type(make_head(manifest(abstain_below=0.5))) is not SingleLabelHead


def test_below_the_abstain_threshold_there_are_scores_and_no_label() -> None:
    abstaining = manifest(abstain_below=0.6)
    assert predicted(abstaining, np.log([0.5, 0.3, 0.2])) == {
        "label": None,
        "abstained": True,
        "scores": {"a": 0.5, "b": 0.3, "c": 0.2},
    }
    assert predicted(abstaining, np.log([0.7, 0.2, 0.1])) == {
        "label": "a",
        "score": 0.7,
        "scores": {"a": 0.7, "b": 0.2, "c": 0.1},
    }
    assert predicted(abstaining, np.log([0.6, 0.3, 0.1]))["label"] == "a", "at the threshold"


def test_above_the_threshold_the_abstaining_head_predicts_as_the_single_label_head() -> None:
    logits = [0.3, 2.0, -1.0]
    assert predicted(manifest(abstain_below=0.01), logits, 2) == predicted(manifest(), logits, 2)


def test_ordinal_labels_add_the_expected_value() -> None:
    ordinal = manifest(values=[1.0, 3.0, 5.0])
    assert predicted(ordinal, np.log([0.5, 0.25, 0.25])) == {
        "label": "a",
        "score": 0.5,
        "scores": {"a": 0.5, "b": 0.25, "c": 0.25},
        "value": 2.5,
    }
    assert predicted(manifest(values=[1, 2, 3], abstain_below=0.9), [0, 0, 0])["value"] == pytest.approx(2)


@given(arrays(np.float32, 3, elements=st.floats(-50, 50, width=32)))
def test_the_expected_value_is_within_the_range_of_the_values(logits: np.ndarray) -> None:
    assert -2 <= predicted(manifest(values=[-2.0, 0.0, 7.0]), logits)["value"] <= 7


def test_labels_over_their_thresholds_are_predicted_best_first() -> None:
    multi = manifest("multi-label", thresholds={"a": 0.2, "b": 0.9, "c": 0.5})
    logit = lambda p: float(np.log(p / (1 - p)))  # noqa: E731
    assert predicted(multi, [logit(0.3), logit(0.8), logit(0.6)]) == {
        "labels": ["c", "a"],
        "scores": {"b": 0.8, "c": 0.6, "a": 0.3},
    }
    assert predicted(multi, [logit(0.3), logit(0.8), logit(0.6)], 1) == {
        "labels": ["c", "a"],
        "scores": {"b": 0.8, "c": 0.6, "a": 0.3},
    }
    assert predicted(multi, [-9, -9, -9], 1) == {"labels": [], "scores": {"a": pytest.approx(0.000123)}}


def test_the_default_threshold_is_one_half() -> None:
    assert predicted(manifest("multi-label"), [0.0, -0.01, 4.0])["labels"] == ["c", "a"]


def test_a_multi_label_head_abstains_from_all_labels() -> None:
    multi = manifest("multi-label", abstain_below=0.7)
    fields = predicted(multi, [0.5, -1, -2])
    assert (fields["labels"], fields["abstained"]) == ([], True)
    assert "abstained" not in predicted(multi, [2.0, -1, -2])


@given(arrays(np.float32, 4, elements=st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False)))
def test_the_sigmoid_is_finite_and_symmetric(logits: np.ndarray) -> None:
    with np.errstate(all="raise", under="ignore"):
        scores = sigmoid(logits)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert np.allclose(scores + sigmoid(-logits), 1)
    assert np.allclose(scores[np.abs(logits) < 30], 1 / (1 + np.exp(-logits[np.abs(logits) < 30])))


def test_temperature_divides_the_logits_of_every_head() -> None:
    logits = [3.0, 1.0, -2.0]
    flat = [value / 2 for value in logits]
    for task in ("single-label", "multi-label"):
        assert predicted(manifest(task, temperature=2.0), logits) == predicted(manifest(task), flat)


def test_a_regression_predicts_on_the_scale_of_its_target() -> None:
    stars = manifest("regression", ("stars",), target=TargetScale(mean=3.0, std=2.0))
    assert predicted(stars, [0.25]) == {"value": 3.5}
    assert predicted(manifest("regression", ("x",)), [-0.0000001]) == {"value": 0.0}


@pytest.mark.parametrize(
    "of",
    [
        manifest(abstain_below=0.5),
        manifest("multi-label"),
        manifest("regression", ("x",)),
        manifest("token", ("O", "B-A", "I-A")),
    ],
)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_only_rows_with_non_finite_logits_are_poison(of: Manifest, bad: float) -> None:
    shape = (3, 2, 3) if of.task == "token" else (3, len(of.labels))
    logits = np.ones(shape, dtype=np.float32)
    logits[1, -1] = bad
    tokens = MergedTokens("ab", [1, 2], [0, 0], [(0, 1), (1, 2)], [0, 0], [0, 0])
    results = make_head(of).predict(logits, [tokens] * 3)
    assert [isinstance(result, Poison) for result in results] == [False, True, False]
    assert isinstance(results[1], Poison)
    assert results[1].reason is Reason.MODEL


def spans_of(text: str, spans: str, *words: tuple[str, int, int], **rules: Any) -> list[tuple[str, str]]:
    """Return the spans of a text whose tokens have these tags, as (type, text)."""
    of = manifest("token", ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"), spans=SpanRules(**rules))
    count = len(words) + 2
    logits = np.zeros((1, count, 5), dtype=np.float32)
    for at, (tag, _, _) in enumerate(words, 1):
        logits[0, at, of.labels.index(tag)] = 5
    logits[0, 0, 1] = logits[0, -1, 1] = 9
    offsets = [(0, 0), *((start, end) for _, start, end in words), (0, 0)]
    ids = [*range(count)]
    word_ids = [None, *(int(c) for c in spans), None]
    tokens = MergedTokens(text, ids, [0] * count, offsets, word_ids, [1, *[0] * len(words), 1])
    (prediction,) = make_head(of).predict(logits, [tokens])
    assert isinstance(prediction, Prediction)
    return [(span["type"], span["text"]) for span in prediction.fields()["spans"]]


def test_a_word_has_the_tag_of_its_first_sub_word() -> None:
    words = (("B-PER", 0, 2), ("O", 2, 4), ("I-PER", 5, 9))
    assert spans_of("Anna Karl", "001", *words) == [("PER", "Anna Karl")]
    assert spans_of("Anna Karl", "001", *words, subwords="all") == [("PER", "An"), ("PER", "Karl")]


def test_an_inside_tag_without_a_beginning_begins_a_span() -> None:
    assert spans_of("a b c", "012", ("I-PER", 0, 1), ("I-LOC", 2, 3), ("I-LOC", 4, 5)) == [
        ("PER", "a"),
        ("LOC", "b c"),
    ]


def test_a_beginning_tag_begins_a_new_span_of_the_same_type() -> None:
    assert spans_of("a b", "01", ("B-PER", 0, 1), ("B-PER", 2, 3)) == [("PER", "a"), ("PER", "b")]


def test_punctuation_ends_a_word_even_where_the_tokenizer_does_not() -> None:
    assert split_pieces("Rome, x", [(0, 4), (4, 5), (5, 7)], [0, 0, 1], [0, 0, 0], "first") == [
        (0, 0, 4),
        (1, 4, 5),
        (2, 6, 7),
    ]
    assert len(split_pieces("हिन्दी", [(0, 2), (2, 6)], [0, 0], [0, 0], "first")) == 1, "marks belong to words"


def test_the_bytes_of_a_character_are_one_piece() -> None:
    assert split_pieces("😀a", [(0, 1), (0, 1), (1, 2)], [0, 0, 0], [0, 0, 0], "all") == [
        (0, 0, 1),
        (2, 1, 2),
    ]


def test_spans_below_the_threshold_are_omitted() -> None:
    of = manifest("token", ("O", "B-A"), abstain_below=0.9)
    tokens = MergedTokens("a b", [1, 2], [0, 0], [(0, 1), (2, 3)], [0, 1], [0, 0])
    (prediction,) = make_head(of).predict(np.array([[[0, 1], [0, 9]]], dtype=np.float32), [tokens])
    assert isinstance(prediction, Prediction)
    assert [span["text"] for span in prediction.fields()["spans"]] == ["b"]


def test_probabilities_use_the_activation_of_the_task() -> None:
    logits = np.array([2.0, 0.0], dtype=np.float32)
    labels = ("a", "b")
    single = probabilities(manifest(labels=labels, temperature=2.0), logits)
    multi = probabilities(manifest("multi-label", labels, temperature=2.0), logits)
    assert single is not None
    assert multi is not None
    assert single.tolist() == pytest.approx([0.731059, 0.268941], abs=1e-6)
    assert multi.tolist() == pytest.approx([0.731059, 0.5], abs=1e-6)
    assert probabilities(manifest("regression", ("x",)), logits) is None


def test_a_graph_with_an_unknown_input_is_refused() -> None:
    with pytest.raises(BundleError, match="cannot be served") as raised:
        check_servable(manifest().model_copy(update={"inputs": ["input_ids", "pixel_values"]}))
    assert "pixel_values" in raised.value.cause
    with pytest.raises(BundleError, match="cannot be served"):
        check_servable(manifest().model_copy(update={"inputs": ["input_ids", "metadata"]}))


def test_an_extreme_number_is_clipped() -> None:
    encoder = MetadataEncoder([NumericColumn(name="n", mean=0.0, std=1e-3)])
    encoded = encoder.encode([{"n": 1e300}, {"n": -1e300}, {"n": 0.002}])
    assert encoded.tolist() == [[1e4, 0.0], [-1e4, 0.0], [2.0, 0.0]]
