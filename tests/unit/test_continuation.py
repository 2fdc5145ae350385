"""Continuing from a bundle: when the head is kept, and what a new head leaves of the model."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig

from stream.bundle import CategoricalColumn, MetadataColumn, NumericColumn, TargetScale
from stream.classify import FIRST_CATEGORY, UNSEEN_CATEGORY, MetadataEncoder
from stream.errors import UsageError
from tests.real.tiny_bundle import LABELS, save_tiny_base
from trainer.config import ModelLocation
from trainer.continuation import Continuation
from trainer.export.bundle_source import InferenceConfig
from trainer.export.saved_settings import inference_of, settings_of
from trainer.learning_task import LearningTask
from trainer.model import configuration_labelstream as configuration
from trainer.model.base_location import resolve_base_model
from trainer.model.base_model import load_classifier, load_tokenizer
from trainer.model.new_head import with_new_head

AGE = NumericColumn(name="age", mean=40, std=10)
CHANNEL = CategoricalColumn(name="channel", values=["mail", "web", "3"])
COLUMNS: list[MetadataColumn] = [AGE, CHANNEL]
INFERENCE = InferenceConfig("single-label", ["b", "a"], 16, metadata=COLUMNS)


class Linear:
    """A model of transformers, as far as the decision reads it."""


def task_of(**changes: Any) -> LearningTask:
    return LearningTask(replace(INFERENCE, **{"labels": ["a", "b"], **changes}), seed=1)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({}, ""),
        ({"task": "pair"}, ""),
        ({"metadata": [AGE.model_copy(update={"mean": 1.0}), CHANNEL]}, ""),
        ({"labels": ["a", "c"]}, "the labels differ: new c; missing b"),
        ({"labels": ["a", "b", *"cdefg"]}, "new c, d, e and 2 more"),
        ({"task": "multi-label"}, "it classifies single-label, this training multi-label"),
        ({"metadata": None}, "the metadata columns differ"),
        ({"metadata": [CHANNEL, AGE]}, "the metadata columns differ"),
    ],
)
def test_the_head_is_kept_for_the_same_labels_and_columns(changes: dict[str, Any], cause: str) -> None:
    found = Continuation(Linear(), INFERENCE).new_head_cause(task_of(**changes), "linear")
    assert cause in found
    assert bool(found) == bool(cause)


def test_an_mlp_replaces_a_linear_head_only_if_it_is_requested() -> None:
    continuation = Continuation(Linear(), INFERENCE)
    assert continuation.new_head_cause(task_of(), "mlp") == "its head is linear"


def test_a_kept_head_keeps_label_order_encoders_and_scale() -> None:
    continuation = Continuation(Linear(), INFERENCE)
    task = task_of(values=[1.0, 2.0], metadata=[AGE.model_copy(update={"mean": 1.0}), CHANNEL])
    adapted = continuation.adapt(task).inference
    assert adapted.labels == ["b", "a"]
    assert adapted.values == [2.0, 1.0]
    assert adapted.metadata == COLUMNS
    scale = TargetScale(mean=5, std=2)
    number = InferenceConfig("regression", ["score"], 16, target=scale)
    fitted = LearningTask(replace(number, target=TargetScale(mean=1, std=1)), seed=1)
    assert Continuation(Linear(), number).adapt(fitted).inference.target == scale


@pytest.mark.parametrize("trained_head", ["linear", "mlp"])
@pytest.mark.parametrize(
    ("head", "wanted"), [("single-label", "linear"), ("token", "linear"), ("multi-label", "mlp")]
)
def test_a_new_head_keeps_the_encoder_and_no_weight_of_the_old_head(
    tmp_path: Path, trained_head: Any, head: Any, wanted: Any
) -> None:
    save_tiny_base(tmp_path)
    base = resolve_base_model(str(tmp_path))
    _, tokenizer = load_tokenizer(base)
    model = load_classifier(base, tokenizer, LABELS, classifier=trained_head)
    encoder = {name: value.clone() for name, value in encoder_state(model).items()}
    old = model.classifier if trained_head == "linear" else model.classifier[-1]
    # The new labels are as many as the old ones, so a shape does not tell the heads apart.
    fresh = with_new_head(model, list("uvwxyz"), head=head, classifier=wanted)
    assert fresh.config.id2label == dict(enumerate("uvwxyz"))
    found = encoder_state(fresh)
    for name in found.keys() & encoder.keys():
        torch.testing.assert_close(found[name], encoder[name])
    assert found.keys() >= {name for name in encoder if "pooler" not in name}
    new = fresh.classifier if wanted == "linear" else fresh.classifier[-1]
    assert new.weight.shape == old.weight.shape
    assert not torch.allclose(new.weight, old.weight)


def encoder_state(model: Any) -> dict[str, Any]:
    encoder = getattr(model, "encoder", None) or model.base_model
    state: dict[str, Any] = encoder.state_dict()
    return state


def test_the_code_in_a_bundle_encodes_metadata_as_the_worker_does() -> None:
    values: list[Any] = [
        None,
        "",
        "mail",
        "fax",
        3,
        3.0,
        "3",
        True,
        False,
        7.5,
        "7.5",
        "-1e9",
        1e300,
        float("nan"),
        float("inf"),
    ]
    values += ["-inf", [1], {}, b"x", 10**5000, -0.0, "web ", "Web"]
    rows: list[Any] = [None, {}, {"other": 1}, *({"age": value, "channel": value} for value in values)]
    dumped = [column.model_dump() for column in COLUMNS]
    found = configuration.encode_metadata(dumped, rows).numpy()
    np.testing.assert_array_equal(found, MetadataEncoder(COLUMNS).encode(rows))
    ours = (configuration.FIRST_CATEGORY, configuration.UNSEEN_CATEGORY)
    assert ours == (FIRST_CATEGORY, UNSEEN_CATEGORY)


SETTINGS = {"task": "single-label", "labels": ["a", "b"], "max_length": 16}
LOCATION = ModelLocation("folder", "saved", local=True)


def saved(names: list[str], **settings: Any) -> Any:
    """Return the configuration of a classifier that labelstream saved."""
    id2label = dict(enumerate(names))
    return BertConfig(id2label=id2label, labelstream={**SETTINGS, **settings})


def test_settings_are_read_from_a_saved_configuration() -> None:
    inference = replace(INFERENCE, text_pair=True, temperature=2.5)
    found = inference_of(saved(["b", "a"], **settings_of(inference)), LOCATION)
    assert found == inference
    assert inference_of(BertConfig(num_labels=2), LOCATION) is None


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (saved(["a", "b"], task="poetry"), "labelstream.task"),
        (saved(["a", "b"], windows={"stride": -1}), "labelstream.windows.stride"),
        (saved(["b", "a"]), "the labels of 'labelstream' differ"),
        (configuration.LabelstreamConfig(num_labels=2), "labelstream.task: Field required"),
    ],
)
def test_settings_that_do_not_fit_the_model_are_refused(config: Any, words: str) -> None:
    with pytest.raises(UsageError, match="of saved") as refused:
        inference_of(config, LOCATION)
    assert words in refused.value.cause
    assert refused.value.fix
