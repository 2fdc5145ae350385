"""Topics of labels: valid names, collisions that name both labels, and templates that are refused."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import UsageError
from stream.topic_template import (
    MAX_TOPIC_CHARS,
    check_template,
    fill_template,
    metric_name,
    name_label_topics,
)

TEMPLATE = "labels.{label}"
TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")

LABELS = st.lists(
    st.text(min_size=1, max_size=4) | st.integers(200, 300).map("x".__mul__), max_size=5, unique=True
)


def names(*labels: str, template: str = TEMPLATE, unlabelled: bool = False) -> tuple[str, ...]:
    others = {"input_topic": "texts", "dead_topic": "texts.dead"}
    return name_label_topics(template, labels, others, unlabelled=unlabelled)


@pytest.mark.parametrize(
    ("label", "topic"),
    [
        ("billing", "labels.billing"),
        ("Billing / Refund", "labels.Billing---Refund"),
        ("C++", "labels.C--"),
        ("über", "labels.-ber"),
        ("{label}", "labels.-label-"),
        (r"\1", "labels.-1"),
        ("a.b_c-d", "labels.a.b_c-d"),
    ],
)
def test_characters_that_a_topic_cannot_contain_become_hyphens(label: str, topic: str) -> None:
    assert names(label) == (topic,)


@pytest.mark.parametrize("template", ["{label}", "a.{label}", "{label}.b", "a_{label}-b"])
def test_templates(template: str) -> None:
    check_template(template)


@pytest.mark.parametrize(
    "template",
    [
        "labels.{label}.{label}",
        "labels.{score}",
        "labels.{}",
        "labels.{label",
        "labels.label}",
        "{{label}}",
        "labels/{label}",
        "labels {label}",
    ],
)
def test_a_template_with_other_braces_or_characters_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="topic"):
        check_template(template)


@given(LABELS, st.booleans())
def test_topics_are_valid_and_distinct_or_the_labels_are_refused(labels: list[str], unlabelled: bool) -> None:
    wanted = [fill_template(TEMPLATE, label) for label in [*labels, *["unlabelled"] * unlabelled]]
    try:
        topics = names(*labels, unlabelled=unlabelled)
    except UsageError as refusal:
        assert refusal.exit_code == 2
        too_long = any(len(topic) > MAX_TOPIC_CHARS for topic in wanted)
        assert too_long or len({*map(metric_name, wanted)}) < len(wanted)
        return
    assert list(topics) == wanted
    assert all(TOPIC.fullmatch(topic) for topic in topics)
    assert len({*map(metric_name, topics)}) == len(topics)


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        (("C+", "C#"), ("'C+'", "'C#'")),
        (("a.b", "x", "a_b"), ("'a.b'", "'a_b'")),
        (("ü", "ä"), ("'ü'", "'ä'")),
    ],
)
def test_labels_whose_topics_collide_are_named(labels: tuple[str, ...], named: tuple[str, str]) -> None:
    with pytest.raises(UsageError) as refusal:
        names(*labels)
    assert all(name in refusal.value.cause for name in named)


def test_a_label_cannot_have_the_topic_of_events_without_a_label() -> None:
    assert names("unlabelled") == ("labels.unlabelled",)
    assert names("a", unlabelled=True) == ("labels.a", "labels.unlabelled")
    with pytest.raises(UsageError, match="events without a label"):
        names("unlabelled", unlabelled=True)


@pytest.mark.parametrize("label", ["texts", "texts.dead", "texts_dead"])
def test_a_label_cannot_have_another_topic_of_the_route(label: str) -> None:
    with pytest.raises(UsageError) as refusal:
        names(label, template="{label}")
    assert repr(label) in refusal.value.cause
    assert ("input_topic" if label == "texts" else "dead_topic") in refusal.value.cause


@pytest.mark.parametrize("label", [".", "..", "x" * 250])
def test_a_name_that_is_no_topic_is_refused(label: str) -> None:
    with pytest.raises(UsageError, match="invalid topic"):
        names(label, template="{label}")
