"""Frozen layers, layer-wise learning-rate decay and low-rank adapters."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AlbertConfig, AlbertForSequenceClassification

from stream.errors import UsageError
from tests.real.tiny_bundle import LABELS, TEXTS, save_tiny_base
from trainer.config import Lora, ModelLocation
from trainer.model.base_model import load_classifier, load_tokenizer
from trainer.model.heads import TextClassifier
from trainer.model.layers import (
    add_adapters,
    depths,
    freeze_layers,
    merge_adapters,
    parameter_groups,
    trainable_parameters,
)

RATE, DECAY = 1e-3, 0.5


@pytest.fixture(params=["linear", "mlp"])
def loaded(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """A classifier of transformers and a `TextClassifier`."""
    save_tiny_base(tmp_path)
    base = ModelLocation(str(tmp_path), "tiny", local=True)
    _, tokenizer = load_tokenizer(base)
    model = load_classifier(base, tokenizer, LABELS, classifier=request.param)
    assert isinstance(model, TextClassifier) == (request.param == "mlp")
    return model, tokenizer


def test_depths_increase_from_the_embeddings_to_the_head(loaded: tuple[Any, Any]) -> None:
    depth = depths(loaded[0])
    assert len(depth) == len(list(loaded[0].parameters()))
    for name, at in depth.items():
        expected = (
            0 if "embeddings" in name else int(name.split("layer.")[1][0]) + 1 if "layer." in name else 3
        )
        assert at == expected, name
    assert set(depth.values()) == {0, 1, 2, 3}


@pytest.mark.parametrize("count", [0, 1, 2])
def test_frozen_layers_are_not_trained_and_the_layers_above_are(loaded: tuple[Any, Any], count: int) -> None:
    model, _ = loaded
    depth = depths(model)
    freeze_layers(model, count)
    learning = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    assert learning == {name: count == 0 or at > count for name, at in depth.items()}
    some, all_of_them = trainable_parameters(model)
    assert (some < all_of_them) == (count > 0)


def test_freezing_more_layers_than_the_model_has_is_refused(loaded: tuple[Any, Any]) -> None:
    with pytest.raises(UsageError) as refused:
        freeze_layers(loaded[0], 3)
    assert "2 layers" in refused.value.cause


def test_the_learning_rate_decreases_from_the_head_down(loaded: tuple[Any, Any]) -> None:
    model, _ = loaded
    depth = depths(model)
    by_identity = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = parameter_groups(model, RATE, 0.01, DECAY)
    seen = []
    for group in groups:
        for parameter in group["params"]:
            name = by_identity[id(parameter)]
            seen.append(name)
            assert group["lr"] == pytest.approx(RATE * DECAY ** (3 - depth[name]))
            assert group["weight_decay"] == (0.01 if parameter.ndim > 1 else 0)
    assert sorted(seen) == sorted(by_identity.values())


def test_frozen_parameters_are_in_no_parameter_group(loaded: tuple[Any, Any]) -> None:
    freeze_layers(loaded[0], 1)
    grouped = sum(len(group["params"]) for group in parameter_groups(loaded[0], RATE, 0.01, DECAY))
    assert grouped == sum(parameter.requires_grad for parameter in loaded[0].parameters())


def test_shared_layers_cannot_be_frozen() -> None:
    config = AlbertConfig(
        vocab_size=20,
        hidden_size=8,
        embedding_size=8,
        num_attention_heads=1,
        intermediate_size=8,
        num_hidden_layers=3,
    )
    with pytest.raises(UsageError, match="cannot be identified"):
        freeze_layers(AlbertForSequenceClassification(config), 1)


def test_only_adapters_and_head_are_trained_and_the_merged_model_is_plain(loaded: tuple[Any, Any]) -> None:
    pytest.importorskip("peft")
    model, tokenizer = loaded
    names = [name for name, _ in model.named_parameters()]
    kind = type(model)
    batch = tokenizer(TEXTS[:4], padding=True, return_tensors="pt")
    batch.pop("token_type_ids")
    before = model.eval()(**batch).logits.detach().clone()
    wrapped = add_adapters(model, Lora(rank=2))
    learning = [name for name, parameter in wrapped.named_parameters() if parameter.requires_grad]
    assert all("lora_" in name or "classifier" in name for name in learning)
    assert any("lora_" in name for name in learning)
    assert any("classifier" in name for name in learning)
    assert torch.allclose(wrapped.eval()(**batch).logits, before, atol=1e-5), "adapters start at zero"
    optimiser = torch.optim.SGD([p for p in wrapped.parameters() if p.requires_grad], lr=0.5)
    for _ in range(3):
        loss = wrapped(**batch).logits.pow(2).mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    trained = wrapped.eval()(**batch).logits.detach()
    assert not torch.allclose(trained, before, atol=1e-3)
    plain = merge_adapters(wrapped)
    assert type(plain) is kind
    assert [name for name, _ in plain.named_parameters()] == names
    assert torch.allclose(plain.eval()(**batch).logits, trained, atol=1e-4)
