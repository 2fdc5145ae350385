"""Classification heads: selection, pooling, metadata, windows and export."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from stream.bundle import CategoricalColumn, NumericColumn, Windows
from stream.classify import TextInput
from stream.verify import within_tolerance
from tests.real.tiny_bundle import LABELS, TEXTS, save_tiny_base
from trainer.export.bundle_source import BundleInfo, BundleSource, InferenceConfig
from trainer.export.package import build_bundle, staging_folder
from trainer.model.base_location import resolve_base_model
from trainer.model.base_model import load_classifier, load_tokenizer, longest_input
from trainer.model.encoding import Preprocessing, encode
from trainer.model.heads import MetadataEmbedding, TextClassifier
from trainer.model.inference import torch_logits, torch_token_logits
from trainer.model.training_plan import make_loss

AGE = NumericColumn(name="age", mean=40, std=10)
CHANNEL = CategoricalColumn(name="channel", values=["mail", "web"])
ROWS = [TextInput(text) for text in TEXTS]


@pytest.fixture
def averaging_base(tmp_path: Path) -> Path:
    save_tiny_base(tmp_path / "base")
    (tmp_path / "base/1_Pooling").mkdir()
    (tmp_path / "base/1_Pooling/config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    return tmp_path / "base"


def loaded(folder: Path, labels: list[str] = LABELS, **options: Any) -> tuple[Any, Any]:
    base = resolve_base_model(str(folder))
    _, tokenizer = load_tokenizer(base)
    return load_classifier(base, tokenizer, labels, **options), tokenizer


def test_a_base_model_without_a_pooling_file_gets_the_head_of_transformers(tmp_path: Path) -> None:
    save_tiny_base(tmp_path)
    model, _ = loaded(tmp_path, ["x", "y", "z"])
    assert type(model).__name__ == "BertForSequenceClassification"
    assert model.config.id2label == {0: "x", 1: "y", 2: "z"}
    assert model.config.problem_type == "single_label_classification"


def test_token_classifiers_have_logits_for_every_token(averaging_base: Path) -> None:
    model, tokenizer = loaded(averaging_base, ["O", "B-x"], head="token")
    assert type(model).__name__ == "BertForTokenClassification"
    custom, _ = loaded(averaging_base, ["O", "B-x"], head="token", classifier="mlp")
    for tagger in (model, custom):
        logits = torch_token_logits(tagger, tokenizer, ROWS[:3], Preprocessing(64))
        lengths = [len(tokenizer(text)["input_ids"]) for text in TEXTS[:3]]
        assert [row.shape for row in logits] == [(length, 2) for length in lengths]


def test_mean_pooling_ignores_padding(averaging_base: Path) -> None:
    base = resolve_base_model(str(averaging_base))
    config, tokenizer = load_tokenizer(base)
    assert longest_input(config, tokenizer) == 64
    model, tokenizer = loaded(averaging_base)
    assert isinstance(model, TextClassifier)
    alone = torch_logits(model, tokenizer, ROWS[:1], Preprocessing(64))
    with_a_long_row = torch_logits(model, tokenizer, [ROWS[0], TextInput("refund " * 60)], Preprocessing(64))
    assert abs(alone[0] - with_a_long_row[0]).max() < 1e-5


def test_mean_pooling_is_exported_within_the_tolerance(averaging_base: Path, tmp_path: Path) -> None:
    model, tokenizer = loaded(averaging_base)
    inference = InferenceConfig("single-label", LABELS, 64)
    source = BundleSource(model, tokenizer, inference, BundleInfo("mean"), ROWS)
    with staging_folder(tmp_path / "store", "mean") as staging:
        bundle = build_bundle(source, staging, tmp_path / "store")
    assert bundle.manifest.labels == LABELS
    assert within_tolerance(bundle.manifest.variants["fp32"].parity)


@pytest.mark.parametrize("classifier", ["linear", "mlp"])
def test_untrained_metadata_does_not_change_the_logits(averaging_base: Path, classifier: str) -> None:
    torch.manual_seed(0)
    without, tokenizer = loaded(averaging_base, classifier=classifier)
    torch.manual_seed(0)
    with_metadata, _ = loaded(averaging_base, classifier=classifier, metadata=[AGE, CHANNEL])
    rows = [TextInput(text, metadata={"age": 90, "channel": "web"}) for text in TEXTS]
    expected = torch_logits(without, tokenizer, rows, Preprocessing(64))
    actual = torch_logits(with_metadata, tokenizer, rows, Preprocessing(64, metadata=[AGE, CHANNEL]))
    assert abs(expected - actual).max() < 1e-5


@pytest.mark.parametrize("classifier", ["linear", "mlp"])
def test_metadata_is_learnt_from_zero_weights(averaging_base: Path, classifier: str) -> None:
    torch.manual_seed(0)
    model, tokenizer = loaded(averaging_base, ["x", "y"], classifier=classifier, metadata=[AGE, CHANNEL])
    optimizer = torch.optim.Adam(model.classifier.parameters(), lr=0.01)
    same_text = {name: value.repeat(4, 1) for name, value in tokenizer(TEXTS[0], return_tensors="pt").items()}
    ages = torch.tensor([[-2.0, 0, 2], [-1, 0, 2], [1, 0, 2], [2, 0, 2]])
    older = torch.tensor([0, 0, 1, 1])
    loss = make_loss("single-label")
    for _ in range(100):
        optimizer.zero_grad()
        loss(model(**same_text, metadata=ages).logits, older).backward()
        optimizer.step()
    assert torch.equal(model.eval()(**same_text, metadata=ages).logits.argmax(dim=1), older)


def test_replacing_values_by_unseen_does_not_change_the_random_numbers_of_dropout() -> None:
    part = MetadataEmbedding([CHANNEL]).train()
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    part(torch.tensor([[2.0]] * 8))
    assert torch.equal(torch.rand(3), expected)


def test_values_are_replaced_independently_and_identically_after_a_resume() -> None:
    columns = [CategoricalColumn(name=name, values=["x"]) for name in "ab"]
    torch.manual_seed(0)
    part = MetadataEmbedding(columns).train()
    rows = torch.full((2000, 2), 2.0)

    def replaced(of: MetadataEmbedding) -> Any:
        return of(rows).view(len(rows), len(columns), -1).eq(0).all(dim=2)

    first = replaced(part)
    assert 0.02 < first.float().mean() < 0.1
    assert not torch.equal(first[:, 0], first[:, 1]), "the columns are independent"
    resumed = MetadataEmbedding(columns).train()
    resumed.load_state_dict(part.state_dict())
    second = replaced(part)
    assert not torch.equal(first, second)
    assert torch.equal(replaced(resumed), second)


def test_metadata_changes_the_logits_and_unseen_values_are_equal(averaging_base: Path) -> None:
    model, tokenizer = loaded(averaging_base, metadata=[AGE, CHANNEL], classifier="mlp")
    nn.init.normal_(model.classifier[0].weight, std=0.1)

    def of(metadata: dict[str, Any] | None) -> Any:
        rows = [TextInput(TEXTS[0], metadata=metadata)]
        return torch_logits(model, tokenizer, rows, Preprocessing(64, metadata=[AGE, CHANNEL]))[0]

    plain = of({"age": 40, "channel": "web"})
    assert abs(plain - of({"age": 90, "channel": "web"})).max() > 1e-3
    assert abs(plain - of({"age": 40, "channel": "mail"})).max() > 1e-4
    assert np.isfinite(of(None)).all()
    assert np.array_equal(of({"channel": "fax"}), of({"channel": "telex"}))


def test_numbers_pass_unchanged_and_some_categories_are_replaced_in_training() -> None:
    torch.manual_seed(0)
    part = MetadataEmbedding([AGE, CHANNEL])
    assert part.width == 2 + part.embeddings[0].embedding_dim
    rows = torch.tensor([[1.5, 0.0, 2.0]] * 2000)
    vectors = part.train()(rows)
    assert torch.equal(vectors[:, :2], rows[:, :2])
    replaced = (vectors[:, 2:] == 0).all(dim=1).float().mean().item()
    assert 0.02 < replaced < 0.1, "some values are replaced in training"
    assert (part.eval()(rows)[:, 2:] != 0).all()


def test_metadata_changes_the_logits_of_every_token_of_its_own_row_only(averaging_base: Path) -> None:
    model, tokenizer = loaded(averaging_base, ["O", "B-x"], head="token", metadata=[AGE])
    nn.init.normal_(model.classifier.weight, std=0.1)

    def of(*ages: float) -> Any:
        rows = [TextInput(TEXTS[n], metadata={"age": age}) for n, age in enumerate(ages)]
        return torch_token_logits(model, tokenizer, rows, Preprocessing(64, metadata=[AGE]))

    young, old = of(20, 40), of(90, 40)
    assert (abs(young[0] - old[0]).max(axis=1) > 1e-4).all()
    assert abs(young[1] - old[1]).max() < 1e-6


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_the_logits_of_windows_are_pooled(averaging_base: Path, pooling: str) -> None:
    model, tokenizer = loaded(averaging_base)
    windows = Windows(stride=4, pooling=pooling, most=3)
    long = TextInput(" ".join(TEXTS))
    rows = [ROWS[0], long, ROWS[1]]
    pooled = torch_logits(model, tokenizer, rows, Preprocessing(24, windows))
    encoded = encode(tokenizer, rows, Preprocessing(24, windows))
    assert encoded.owners == [0, 1, 1, 1, 2]
    parts = []
    for at in (1, 2, 3):
        window = {name: torch.tensor([ids]) for name, ids in encoded.window(at).items()}
        parts.append(model(**window).logits.detach().numpy()[0])
    expected = np.mean(parts, axis=0) if pooling == "mean" else np.max(parts, axis=0)
    np.testing.assert_allclose(pooled[1], expected, atol=1e-5)
    alone = torch_logits(model, tokenizer, [ROWS[1]], Preprocessing(24))
    np.testing.assert_allclose(pooled[2], alone[0], atol=1e-5)


def test_both_texts_of_a_pair_change_the_logits(averaging_base: Path) -> None:
    model, tokenizer = loaded(averaging_base)
    pairs = [TextInput(TEXTS[0], TEXTS[1]), TextInput(TEXTS[1], TEXTS[0]), TextInput(TEXTS[0])]
    logits = torch_logits(model, tokenizer, pairs, Preprocessing(64))
    assert abs(logits[0] - logits[1]).max() > 1e-4
    assert abs(logits[0] - logits[2]).max() > 1e-4
