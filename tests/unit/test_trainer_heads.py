"""The averaging head: chosen where the base model says so, blind to padding, exported and proven."""

import json
from pathlib import Path

import pytest

from stream.classify.parity import within_tolerance
from tests.real.tiny_bundle import LABELS, TEXTS, save_tiny_base
from trainer.base_model import load_classifier, load_tokenizer, longest_input, resolve_base_model
from trainer.heads import MeanPooledClassifier
from trainer.inference import torch_logits
from trainer.package import About, build_bundle, staging_folder


@pytest.fixture
def averaging_base(tmp_path: Path) -> Path:
    save_tiny_base(tmp_path / "base")
    (tmp_path / "base/1_Pooling").mkdir()
    (tmp_path / "base/1_Pooling/config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    return tmp_path / "base"


def test_a_base_without_a_pooling_file_gets_its_usual_head(tmp_path: Path) -> None:
    save_tiny_base(tmp_path)
    base = resolve_base_model(str(tmp_path))
    _, tokenizer = load_tokenizer(base)
    model = load_classifier(base, tokenizer, ["x", "y", "z"])
    assert type(model).__name__ == "BertForSequenceClassification"
    assert model.config.id2label == {0: "x", 1: "y", 2: "z"}


def test_the_average_is_blind_to_padding(averaging_base: Path) -> None:
    base = resolve_base_model(str(averaging_base))
    config, tokenizer = load_tokenizer(base)
    assert longest_input(config, tokenizer) == 64
    model = load_classifier(base, tokenizer, LABELS)
    assert isinstance(model, MeanPooledClassifier)
    alone = torch_logits(model, tokenizer, [TEXTS[0]], 64)
    beside_a_long_one = torch_logits(model, tokenizer, [TEXTS[0], "refund " * 60], 64)
    assert abs(alone[0] - beside_a_long_one[0]).max() < 1e-5


def test_it_is_exported_and_proven(averaging_base: Path, tmp_path: Path) -> None:
    base = resolve_base_model(str(averaging_base))
    _, tokenizer = load_tokenizer(base)
    model = load_classifier(base, tokenizer, LABELS)
    with staging_folder(tmp_path / "store", "mean") as staging:
        bundle = build_bundle(staging, model, tokenizer, TEXTS, 64, About("mean"), tmp_path / "store")
    assert bundle.manifest.labels == LABELS
    assert within_tolerance(bundle.manifest.variants["fp32"].parity)
