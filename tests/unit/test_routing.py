"""The topic of each prediction, and the topics of routes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stream.bundle import Manifest
from stream.classify import Prediction, make_head
from stream.classify.decisions import NO_LABEL, make_decide
from stream.errors import BundleError, UsageError
from stream.pipeline.topic_chooser import TopicChooser
from stream.resolved_routes import label_topics, resolve_routes
from stream.routes import Route
from stream.settings import load_settings
from tests.unit.test_stored_predictions import HEADS as UNNAMED

HEADS = {name: head.model_copy(update={"name": name, "version": "1"}) for name, head in UNNAMED.items()}
SINGLE, MULTI = HEADS["single"], HEADS["multi"]
LOGITS = arrays(np.float32, (5, 3), elements=st.floats(-4, 4, width=16))


def route(output_topic: str = "labels.{label}", **options: Any) -> Route:
    return Route(name="r", input_topic="texts", output_topic=output_topic, bundle="b", **options)


def predict(manifest: Manifest, logits: object) -> list[Prediction]:
    found = make_head(manifest).predict(np.array(logits, dtype=np.float32), ())
    return [prediction for prediction in found if isinstance(prediction, Prediction)]


def logits_of(*rows: Sequence[float]) -> Any:
    """Return logits whose softmax has these probabilities."""
    return np.log(np.array(rows))


def odds_of(*rows: Sequence[float]) -> Any:
    """Return logits whose sigmoid has these probabilities."""
    scores = np.array(rows)
    return np.log(scores / (1 - scores))


def choose(manifest: Manifest, logits: Any, of: Route) -> list[str | None]:
    resolved = of.with_label_topics(label_topics(of, manifest))
    found = TopicChooser(resolved, manifest).choose(predict(manifest, logits))
    assert {topic for topic in found if topic} <= set(resolved.output_topics)
    return found


@pytest.mark.parametrize("name", ["single", "multi", "abstaining", "ordinal"])
@given(LOGITS)
def test_decisions_agree_with_the_members_of_the_label_event(name: str, logits: np.ndarray) -> None:
    manifest = HEADS[name]
    predictions = predict(manifest, logits)
    labels, scores = make_decide(manifest)(predictions)
    for prediction, label, score in zip(predictions, labels.tolist(), scores.tolist(), strict=True):
        fields = prediction.fields()
        predicted = fields["labels"] if name == "multi" else [fields["label"]]
        if not predicted or predicted[0] is None:
            assert label == NO_LABEL
        else:
            assert manifest.labels[label] == predicted[0]
            assert score == round(fields["scores"][predicted[0]] * 1_000_000)


def test_the_topic_of_an_event_is_that_of_its_label() -> None:
    logits = logits_of([0.1, 0.7, 0.2], [0.5, 0.3, 0.2])
    assert choose(SINGLE, logits, route()) == ["labels.b", "labels.a"]
    assert choose(HEADS["ordinal"], logits, route()) == ["labels.b", "labels.a"]


def test_an_event_with_several_labels_goes_to_the_topic_of_the_best_predicted_one() -> None:
    thresholds = {"a": 0.9, "b": 0.5, "c": 0.3}
    manifest = MULTI.model_copy(update={"thresholds": thresholds})
    logits = odds_of([0.8, 0.6, 0.4], [0.8, 0.1, 0.4], [0.8, 0.1, 0.1])
    assert choose(manifest, logits, route()) == ["labels.b", "labels.c", "labels.unlabelled"]


def test_a_score_below_the_limit_is_reviewed_and_one_at_the_limit_is_not() -> None:
    reviewed = route(review_topic="review", review_below=0.58)
    logits = logits_of([0.58, 0.22, 0.2], [0.579999, 0.220001, 0.2], [0.9, 0.05, 0.05])
    assert choose(SINGLE, logits, reviewed) == ["labels.a", "review", "labels.a"]
    many = odds_of([0.58, 0.55, 0.1], [0.57, 0.1, 0.1], [0.1, 0.1, 0.1])
    assert choose(MULTI, many, reviewed) == ["labels.a", "review", "review"]


def test_without_a_limit_only_events_without_a_label_are_reviewed() -> None:
    logits = logits_of([0.5, 0.3, 0.2], [0.4, 0.3, 0.3])
    assert choose(HEADS["abstaining"], logits, route("labels", review_topic="review")) == ["labels", "review"]


@pytest.mark.parametrize(
    ("output_topic", "options", "topic"),
    [
        ("labels", {"unlabelled": "drop"}, None),
        ("labels.{label}", {"unlabelled": "drop"}, None),
        ("labels.{label}", {}, "labels.unlabelled"),
        ("labels", {"review_topic": "review"}, "review"),
    ],
)
@pytest.mark.parametrize(
    ("name", "logits"), [("abstaining", logits_of([0.4, 0.3, 0.3])), ("multi", odds_of([0.4, 0.3, 0.3]))]
)
def test_an_event_without_a_label(
    output_topic: str, options: dict[str, str], topic: str | None, name: str, logits: Any
) -> None:
    assert choose(HEADS[name], logits, route(output_topic, **options)) == [topic]


def test_spans_are_reviewed_by_their_lowest_score() -> None:
    stored = (b'[["PER",0,4,900000],["LOC",5,9,600000]]', b'[["PER",0,4,700000]]', b"[]")
    predictions = [Prediction(b"", spans) for spans in stored]
    tokens = HEADS["tokens"]
    for options, expected in (
        ({"review_topic": "review", "review_below": 0.65}, ["review", "labels", "review"]),
        ({"unlabelled": "drop"}, ["labels", "labels", None]),
    ):
        chooser = TopicChooser(route("labels", **options), tokens)
        assert chooser.choose(predictions) == expected


def test_a_batch_without_predictions_has_no_topics() -> None:
    for name in ("single", "multi", "tokens"):
        assert TopicChooser(route("labels", unlabelled="drop"), HEADS[name]).choose([]) == []


@pytest.mark.parametrize(
    ("name", "output_topic", "options"),
    [
        ("regression", "labels.{label}", {}),
        ("regression", "labels", {"review_topic": "review"}),
        ("regression", "labels", {"unlabelled": "drop"}),
        ("tokens", "labels.{label}", {}),
    ],
)
def test_a_bundle_without_labels_to_choose_by_is_refused(
    name: str, output_topic: str, options: dict[str, str]
) -> None:
    with pytest.raises(UsageError) as refusal:
        label_topics(route(output_topic, **options), HEADS[name])
    assert refusal.value.fix
    assert refusal.value.exit_code == 2


@pytest.mark.parametrize("name", ["single", "abstaining", "multi"])
@pytest.mark.parametrize(
    "options", [{}, {"unlabelled": "drop"}, {"review_topic": "review"}], ids=["keep", "drop", "review"]
)
def test_only_a_route_that_publishes_events_without_a_label_has_a_topic_for_them(
    name: str, options: dict[str, str]
) -> None:
    topics = label_topics(route(**options), HEADS[name])
    assert topics[:3] == ("labels.a", "labels.b", "labels.c")
    assert topics[3:] == (("labels.unlabelled",) if name != "single" and not options else ())


def test_a_missing_bundle_is_an_error_only_with_a_template(tmp_path: Path) -> None:
    settings = {"bundle": "none", "bundle_store": tmp_path}
    assert resolve_routes(load_settings(settings)).effective_routes[0].output_topics == ("labels",)
    with pytest.raises(BundleError, match="was not found"):
        resolve_routes(load_settings({**settings, "output_topic": "labels.{label}"}))


def test_a_label_topic_that_another_route_reads_is_a_loop() -> None:
    def described(name: str, output_topic: str) -> dict[str, str]:
        return {"name": name, "input_topic": f"in.{name}", "output_topic": output_topic, "bundle": "b"}

    settings = load_settings({"routes": (described("a", "in.{label}"), described("b", "out"))})
    assert settings.with_label_topics({"a": ("in.x",)}).effective_routes[0].label_topics == ("in.x",)
    with pytest.raises(
        UsageError, match=r"'in\.b' is the output_topic of route a and the input_topic of route b"
    ):
        settings.with_label_topics({"a": ("in.b",)})


def test_the_topics_of_settings_survive_a_copy() -> None:
    settings = load_settings({"output_topic": "labels.{label}", "review_topic": "review"})
    copy = settings.with_label_topics({"default": ("labels.a", "labels.b")}).model_copy(
        update={"broker": "other:1"}
    )
    assert copy.effective_routes[0].written_topics == ("labels.a", "labels.b", "review", "texts.dead")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"output_topic": "labels.{name}"}, "needs {label} once"),
        (
            {"output_topic": "l.{label}", "review_topic": "l.{label}"},
            "output_topic and review_topic are the same",
        ),
        ({"review_topic": "texts"}, "input_topic and review_topic are the same topic, 'texts'"),
        ({"review_topic": "texts.dead"}, "review_topic and dead_topic are the same"),
        ({"review_topic": "review.{label}"}, "only output_topic can be a template"),
        ({"review_below": "0.5"}, "review_below needs a review_topic"),
        ({"review_topic": "review", "review_below": "1.5"}, "review_below"),
        ({"review_topic": "review", "unlabelled": "drop"}, "unlabelled = drop has no effect"),
        ({"unlabelled": "hide"}, "unlabelled"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(flags: dict[str, str], expected: str) -> None:
    with pytest.raises(UsageError) as refusal:
        load_settings(flags)
    assert expected in refusal.value.message


def test_a_route_may_have_no_review_topic_although_the_others_have_one(tmp_path: Path) -> None:
    file = tmp_path / "labelstream.toml"
    file.write_text(
        'review_topic = "review"\nreview_below = 0.6\n'
        '[[routes]]\nname = "a"\ninput_topic = "a"\noutput_topic = "a.{label}"\nbundle = "b"\n'
        '[[routes]]\nname = "b"\ninput_topic = "b"\noutput_topic = "b.labels"\nbundle = "b"\n'
        'review_topic = ""\n'
    )
    first, second = load_settings(config=file).effective_routes
    assert (first.review_topic, first.review_below) == ("review", 0.6)
    assert (second.review_topic, second.review_below) == ("", None)
