"""What each head says of logits, and when it says nothing."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stream.bundle import Manifest, SpanRules
from stream.bundle.manifest import NumericColumn, TargetScale
from stream.classify.heads import check_servable, make_head, probabilities
from stream.classify.heads.labels import sigmoid
from stream.classify.heads.single_label import SingleLabelHead
from stream.classify.heads.spans import pieces
from stream.classify.inputs import Prediction
from stream.classify.metadata import MetadataEncoder
from stream.classify.windows import MergedTokens
from stream.errors import BundleError, Poison, Reason


def manifest(task: Any = "single-label", labels: tuple[str, ...] = ("a", "b", "c"), **more: Any) -> Manifest:
    return Manifest.model_construct(
        name="n", version="1", task=task, labels=list(labels), inputs=["input_ids"], **more
    )


def said(of: Manifest, logits: object, top_k: int | None = None) -> dict[str, Any]:
    (found,) = make_head(of, top_k).predictions(np.array([logits], dtype=np.float32), ())
    assert isinstance(found, Prediction)
    return found.fields()


def test_a_plain_bundle_gets_the_plain_head() -> None:
    assert type(make_head(manifest())) is SingleLabelHead
    assert type(make_head(manifest("pair"))) is SingleLabelHead
    assert type(make_head(manifest(abstain_below=0.5))) is not SingleLabelHead


def test_below_the_threshold_there_is_no_label_but_the_scores() -> None:
    cautious = manifest(abstain_below=0.6)
    assert said(cautious, np.log([0.5, 0.3, 0.2])) == {
        "label": None,
        "abstained": True,
        "scores": {"a": 0.5, "b": 0.3, "c": 0.2},
    }
    assert said(cautious, np.log([0.7, 0.2, 0.1])) == {
        "label": "a",
        "score": 0.7,
        "scores": {"a": 0.7, "b": 0.2, "c": 0.1},
    }
    assert said(cautious, np.log([0.6, 0.3, 0.1]))["label"] == "a", "from the threshold on"


def test_above_it_the_cautious_head_says_what_the_plain_one_says() -> None:
    logits = [0.3, 2.0, -1.0]
    assert said(manifest(abstain_below=0.01), logits, 2) == said(manifest(), logits, 2)


def test_ordinal_labels_add_the_expected_value() -> None:
    ordinal = manifest(values=[1.0, 3.0, 5.0])
    assert said(ordinal, np.log([0.5, 0.25, 0.25])) == {
        "label": "a",
        "score": 0.5,
        "scores": {"a": 0.5, "b": 0.25, "c": 0.25},
        "value": 2.5,
    }
    assert said(manifest(values=[1, 2, 3], abstain_below=0.9), [0, 0, 0])["value"] == pytest.approx(2)


@given(arrays(np.float32, 3, elements=st.floats(-50, 50, width=32)))
def test_the_expected_value_stays_among_the_values(logits: np.ndarray) -> None:
    assert -2 <= said(manifest(values=[-2.0, 0.0, 7.0]), logits)["value"] <= 7


def test_of_several_labels_those_over_their_thresholds_are_given_best_first() -> None:
    many = manifest("multi-label", thresholds={"a": 0.2, "b": 0.9, "c": 0.5})
    logit = lambda p: float(np.log(p / (1 - p)))  # noqa: E731
    assert said(many, [logit(0.3), logit(0.8), logit(0.6)]) == {
        "labels": ["c", "a"],
        "scores": {"b": 0.8, "c": 0.6, "a": 0.3},
    }
    assert said(many, [logit(0.3), logit(0.8), logit(0.6)], 1) == {
        "labels": ["c", "a"],
        "scores": {"b": 0.8, "c": 0.6, "a": 0.3},
    }
    assert said(many, [-9, -9, -9], 1) == {"labels": [], "scores": {"a": pytest.approx(0.000123)}}


def test_without_thresholds_half_is_enough() -> None:
    assert said(manifest("multi-label"), [0.0, -0.01, 4.0])["labels"] == ["c", "a"]


def test_several_labels_abstain_together() -> None:
    many = manifest("multi-label", abstain_below=0.7)
    found = said(many, [0.5, -1, -2])
    assert (found["labels"], found["abstained"]) == ([], True)
    assert "abstained" not in said(many, [2.0, -1, -2])


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
        assert said(manifest(task, temperature=2.0), logits) == said(manifest(task), flat)


def test_a_regression_is_on_the_scale_of_its_target() -> None:
    stars = manifest("regression", ("stars",), target=TargetScale(mean=3.0, std=2.0))
    assert said(stars, [0.25]) == {"value": 3.5}
    assert said(manifest("regression", ("x",)), [-0.0000001]) == {"value": 0.0}


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
def test_logits_that_are_not_finite_are_poison_alone(of: Manifest, bad: float) -> None:
    shape = (3, 2, 3) if of.task == "token" else (3, len(of.labels))
    logits = np.ones(shape, dtype=np.float32)
    logits[1, -1] = bad
    tokens = MergedTokens("ab", [1, 2], [0, 0], [(0, 1), (1, 2)], [0, 0], [0, 0])
    found = make_head(of).predictions(logits, [tokens] * 3)
    assert [isinstance(result, Poison) for result in found] == [False, True, False]
    assert isinstance(found[1], Poison)
    assert found[1].reason is Reason.MODEL


def tags(text: str, spans: str, *words: tuple[str, int, int], **rules: Any) -> list[tuple[str, str]]:
    """The spans of a text whose tokens have these tags, as (type, text)."""
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
    (found,) = make_head(of).predictions(logits, [tokens])
    assert isinstance(found, Prediction)
    return [(span["type"], span["text"]) for span in found.fields()["spans"]]


def test_a_word_has_the_tag_of_its_first_sub_word() -> None:
    words = (("B-PER", 0, 2), ("O", 2, 4), ("I-PER", 5, 9))
    assert tags("Anna Karl", "001", *words) == [("PER", "Anna Karl")]
    assert tags("Anna Karl", "001", *words, subwords="all") == [("PER", "An"), ("PER", "Karl")]


def test_an_inside_without_a_beginning_begins() -> None:
    assert tags("a b c", "012", ("I-PER", 0, 1), ("I-LOC", 2, 3), ("I-LOC", 4, 5)) == [
        ("PER", "a"),
        ("LOC", "b c"),
    ]


def test_a_beginning_after_the_same_type_begins_again() -> None:
    assert tags("a b", "01", ("B-PER", 0, 1), ("B-PER", 2, 3)) == [("PER", "a"), ("PER", "b")]


def test_punctuation_ends_a_word_even_where_the_tokenizer_does_not() -> None:
    assert pieces("Rome, x", [(0, 4), (4, 5), (5, 7)], [0, 0, 1], [0, 0, 0], "first") == [
        (0, 0, 4),
        (1, 4, 5),
        (2, 6, 7),
    ]
    assert len(pieces("हिन्दी", [(0, 2), (2, 6)], [0, 0], [0, 0], "first")) == 1, "marks belong to words"


def test_the_bytes_of_a_character_are_one_piece() -> None:
    assert pieces("😀a", [(0, 1), (0, 1), (1, 2)], [0, 0, 0], [0, 0, 0], "all") == [(0, 0, 1), (2, 1, 2)]


def test_spans_below_the_threshold_are_left_out() -> None:
    of = manifest("token", ("O", "B-A"), abstain_below=0.9)
    tokens = MergedTokens("a b", [1, 2], [0, 0], [(0, 1), (2, 3)], [0, 1], [0, 0])
    (found,) = make_head(of).predictions(np.array([[[0, 1], [0, 9]]], dtype=np.float32), [tokens])
    assert isinstance(found, Prediction)
    assert [span["text"] for span in found.fields()["spans"]] == ["b"]


def test_probabilities_are_the_activation_of_the_task() -> None:
    logits = np.array([2.0, 0.0], dtype=np.float32)
    labels = ("a", "b")
    single = probabilities(manifest(labels=labels, temperature=2.0), logits)
    many = probabilities(manifest("multi-label", labels, temperature=2.0), logits)
    assert single is not None
    assert many is not None
    assert single.tolist() == pytest.approx([0.731059, 0.268941], abs=1e-6)
    assert many.tolist() == pytest.approx([0.731059, 0.5], abs=1e-6)
    assert probabilities(manifest("regression", ("x",)), logits) is None


def test_a_graph_that_reads_what_nobody_gives_is_refused() -> None:
    with pytest.raises(BundleError, match="cannot be served") as told:
        check_servable(manifest().model_copy(update={"inputs": ["input_ids", "pixel_values"]}))
    assert "pixel_values" in told.value.cause
    with pytest.raises(BundleError, match="cannot be served"):
        check_servable(manifest().model_copy(update={"inputs": ["input_ids", "metadata"]}))


def test_a_number_far_off_stays_a_number_the_graph_can_read() -> None:
    encoder = MetadataEncoder([NumericColumn(name="n", mean=0.0, std=1e-3)])
    found = encoder.encode([{"n": 1e300}, {"n": -1e300}, {"n": 0.002}])
    assert found.tolist() == [[1e4, 0.0], [-1e4, 0.0], [2.0, 0.0]]
