"""The label names of an exported classifier: read from id2label, or refused with the label."""

from pathlib import Path
from typing import Any

import pytest

from stream.errors import UsageError
from tests.unit.saved_models import classifier, reconfigure, refusal, saved, tagger
from trainer.export.pretrained import load_pretrained
from trainer.model.base_location import resolve_base_model
from trainer.model.label_names import label_names

__all__ = ["classifier", "saved", "tagger"]


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({}, ["LABEL_0", "LABEL_1"]),
        ({"num_labels": 3}, ["LABEL_0", "LABEL_1", "LABEL_2"]),
        ({"id2label": {"0": "a", "1": "b"}, "num_labels": 2}, ["a", "b"]),
        ({"id2label": {"1": "b", "0": "a"}}, ["a", "b"]),
        ({"id2label": {str(at): str(at) for at in range(11)}}, [str(at) for at in range(11)]),
        ({"id2label": {"0": "zwölf", "1": "十 二"}}, ["zwölf", "十 二"]),
        ({"id2label": {"0": "a", "1": "b"}, "label2id": {"LABEL_0": 0, "LABEL_1": 1}}, ["a", "b"]),
        ({"id2label": {"0": "a", "1": "b"}, "label2id": {"a": "0", "b": 1}}, ["a", "b"]),
        ({"id2label": {"0": "a", "1": "b"}, "label2id": None}, ["a", "b"]),
    ],
)
def test_names_are_in_the_order_of_the_logits(config: dict[str, Any], names: list[str]) -> None:
    assert label_names(config, "m") == names


@pytest.mark.parametrize(
    ("config", "cause", "fix"),
    [
        ({"id2label": {"1": "a", "2": "b"}}, "from 1 to 2; 0 is missing", "from 0"),
        ({"id2label": {"0": "a", "2": "b"}}, "1 is missing", "from 0"),
        ({"id2label": {"0": "a", "00": "b"}}, "1 is missing", "from 0"),
        ({"id2label": {"-1": "a", "0": "b"}}, "the key '-1'", "numbers of the logits"),
        ({"id2label": {"0.0": "a"}}, "the key '0.0'", "numbers of the logits"),
        ({"id2label": {"²": "a"}}, "is not a number", "numbers of the logits"),
        ({"id2label": {"ham": 0, "spam": 1}}, "the key 'ham'", "exchange the keys and values"),
        ({"id2label": {}}, "names no label", "numbers of the logits"),
        ({"id2label": ["ham", "spam"]}, "is a list", '{"0": "first label"'),
        ({"id2label": "ham"}, "is a string", '{"0": "first label"'),
        ({"id2label": {"0": "a", "1": None}}, "label 1 in id2label is null", "name label 1"),
        ({"id2label": {"0": "a", "1": ["b"]}}, "label 1 in id2label is a list", "name label 1"),
        ({"id2label": {"0": "a", "1": True}}, "label 1 in id2label is true or false", "name label 1"),
        ({"id2label": {"0": "a", "1": " "}}, "label 1 in id2label has an empty name", "correct id2label"),
        ({"id2label": {"0": "a\nb", "1": "c"}}, "label 0 in id2label has a name with a control", "correct"),
        ({"id2label": {"0": "a", "1": "b\ud83d"}}, "half of a surrogate pair", "correct id2label"),
        ({"id2label": {"0": "a" * 1001, "1": "b"}}, "1,001 characters", "correct id2label"),
        ({"id2label": {"0": "a", "1": "b", "2": "a"}}, "the same name: a", "a name of its own"),
        ({"id2label": {"0": 1, "1": "1"}}, "label 0 in id2label is a number", "in quotes"),
        ({"id2label": {"0": "a", "1": "b"}, "num_labels": 3}, "names 2 labels", "remove num_labels"),
        ({"num_labels": 0}, "num_labels is 0", "number of logits"),
        ({"num_labels": "3"}, "num_labels is '3'", "number of logits"),
        ({"num_labels": True}, "num_labels is True", "number of logits"),
        (
            {"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 1, "b": 0}},
            "the label a is number 0 in id2label and 1 in label2id",
            "correct the wrong one",
        ),
    ],
)
def test_label_maps_that_are_not_clear_are_refused(config: dict[str, Any], cause: str, fix: str) -> None:
    with pytest.raises(UsageError, match="cannot be exported to a bundle") as refused:
        label_names(config, "m")
    assert cause in refused.value.cause
    assert fix in refused.value.fix
    refused.value.cause.encode()


@pytest.mark.parametrize(
    "members",
    [
        {"id2label": {"1": "a", "2": "b"}},
        {"id2label": {"a": 0}},
        {"id2label": []},
        {"id2label": {"0": None}},
        {"num_labels": "3"},
    ],
)
def test_the_export_refuses_them_before_transformers_reads_them(
    classifier: Path, members: dict[str, Any]
) -> None:
    reconfigure(classifier, **members)
    assert "cannot be exported to a bundle" in refusal(classifier).message


@pytest.mark.parametrize("count", [1, 3, 7])
def test_another_number_of_labels_than_logits_is_refused(classifier: Path, count: int) -> None:
    reconfigure(
        classifier,
        id2label={str(at): f"l{at}" for at in range(count)},
        label2id=...,
        problem_type="multi_label_classification",
    )
    error = refusal(classifier)
    assert error.message == "the weights of model do not fit its config.json"
    assert f"id2label names {count} labels" in error.cause


def test_another_number_of_tags_than_logits_is_refused(tagger: Path) -> None:
    reconfigure(tagger, id2label={"0": "O", "1": "B-A"}, label2id=...)
    assert "id2label names 2 labels" in refusal(tagger).cause


def test_names_that_are_numbers_are_accepted_in_quotes(classifier: Path) -> None:
    reconfigure(classifier, id2label={str(at): at + 1 for at in range(6)}, label2id=...)
    error = refusal(classifier)
    assert error.cause == "the name 1 in id2label is a number, not a string"
    assert 'as "1", in id2label' in error.fix
    reconfigure(classifier, id2label={str(at): str(at + 1) for at in range(6)})
    assert load_pretrained(resolve_base_model(str(classifier))).labels == ["1", "2", "3", "4", "5", "6"]
