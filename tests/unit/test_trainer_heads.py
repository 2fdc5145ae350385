"""Heads of ours and of transformers: chosen by what is asked for, blind to padding, exported and proven."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from stream.bundle.manifest import CategoricalColumn, NumericColumn, Windows
from stream.classify.inputs import TextInput
from stream.verify.parity import within_tolerance
from tests.real.tiny_bundle import LABELS, TEXTS, save_tiny_base
from trainer.export.package import About, Served, build_bundle, staging_folder
from trainer.model.base_model import load_classifier, load_tokenizer, longest_input, resolve_base_model
from trainer.model.encoding import encode
from trainer.model.heads import TextClassifier
from trainer.model.inference import torch_logits
from trainer.model.metadata_head import MetadataEmbedding

AGE = NumericColumn(name="age", mean=40, std=10)
CHANNEL = CategoricalColumn(name="channel", values=["mail", "web"])
ROWS = [TextInput(text) for text in TEXTS]


@pytest.fixture
def averaging_base(tmp_path: Path) -> Path:
    save_tiny_base(tmp_path / "base")
    (tmp_path / "base/1_Pooling").mkdir()
    (tmp_path / "base/1_Pooling/config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    return tmp_path / "base"


def loaded(folder: Path, labels: list[str] = LABELS, **wanted: Any) -> tuple[Any, Any]:
    base = resolve_base_model(str(folder))
    _, tokenizer = load_tokenizer(base)
    return load_classifier(base, tokenizer, labels, **wanted), tokenizer


def test_a_base_without_a_pooling_file_gets_its_usual_head(tmp_path: Path) -> None:
    save_tiny_base(tmp_path)
    model, _ = loaded(tmp_path, ["x", "y", "z"])
    assert type(model).__name__ == "BertForSequenceClassification"
    assert model.config.id2label == {0: "x", 1: "y", 2: "z"}
    assert model.config.problem_type == "single_label_classification"


def test_tags_get_the_usual_head_over_all_tokens(averaging_base: Path) -> None:
    model, tokenizer = loaded(averaging_base, ["O", "B-x"], head="token")
    assert type(model).__name__ == "BertForTokenClassification"
    ours, _ = loaded(averaging_base, ["O", "B-x"], head="token", layers="mlp")
    for tagger in (model, ours):
        found = torch_logits(tagger, tokenizer, ROWS[:3], max_length=64, token=True)
        lengths = [len(tokenizer(text)["input_ids"]) for text in TEXTS[:3]]
        assert [row.shape for row in found] == [(length, 2) for length in lengths]


def test_the_average_is_blind_to_padding(averaging_base: Path) -> None:
    base = resolve_base_model(str(averaging_base))
    config, tokenizer = load_tokenizer(base)
    assert longest_input(config, tokenizer) == 64
    model, tokenizer = loaded(averaging_base)
    assert isinstance(model, TextClassifier)
    alone = torch_logits(model, tokenizer, ROWS[:1], max_length=64)
    beside_a_long_one = torch_logits(model, tokenizer, [ROWS[0], TextInput("refund " * 60)], max_length=64)
    assert abs(alone[0] - beside_a_long_one[0]).max() < 1e-5


def test_it_is_exported_and_proven(averaging_base: Path, tmp_path: Path) -> None:
    model, tokenizer = loaded(averaging_base)
    served = Served("single-label", LABELS, 64)
    with staging_folder(tmp_path / "store", "mean") as staging:
        bundle = build_bundle(staging, model, tokenizer, served, ROWS, About("mean"), tmp_path / "store")
    assert bundle.manifest.labels == LABELS
    assert within_tolerance(bundle.manifest.variants["fp32"].parity)


@pytest.mark.parametrize("layers", ["linear", "mlp"])
def test_with_one_seed_metadata_begin_as_nothing(averaging_base: Path, layers: str) -> None:
    torch.manual_seed(0)
    without, tokenizer = loaded(averaging_base, layers=layers)
    torch.manual_seed(0)
    with_metadata, _ = loaded(averaging_base, layers=layers, metadata=[AGE, CHANNEL])
    rows = [TextInput(text, metadata={"age": 90, "channel": "web"}) for text in TEXTS]
    expected = torch_logits(without, tokenizer, rows, max_length=64)
    found = torch_logits(with_metadata, tokenizer, rows, max_length=64, metadata=[AGE, CHANNEL])
    assert abs(expected - found).max() < 1e-5


@pytest.mark.parametrize("layers", ["linear", "mlp"])
def test_metadata_are_learnt_from_nothing(averaging_base: Path, layers: str) -> None:
    torch.manual_seed(0)
    model, tokenizer = loaded(averaging_base, ["x", "y"], layers=layers, metadata=[AGE, CHANNEL])
    optimizer = torch.optim.Adam(model.classifier.parameters(), lr=0.01)
    same_text = {name: value.repeat(4, 1) for name, value in tokenizer(TEXTS[0], return_tensors="pt").items()}
    ages = torch.tensor([[-2.0, 0, 2], [-1, 0, 2], [1, 0, 2], [2, 0, 2]])
    older = torch.tensor([0, 0, 1, 1])
    for _ in range(100):
        optimizer.zero_grad()
        model(**same_text, metadata=ages, labels=older).loss.backward()
        optimizer.step()
    assert torch.equal(model.eval()(**same_text, metadata=ages).logits.argmax(dim=1), older)


def test_hiding_names_leaves_the_dropout_of_the_text_as_it_is() -> None:
    part = MetadataEmbedding([CHANNEL]).train()
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    part(torch.tensor([[2.0]] * 8))
    assert torch.equal(torch.rand(3), expected)


def test_names_are_hidden_by_row_column_and_batch_and_the_same_again_when_resumed() -> None:
    columns = [CategoricalColumn(name=name, values=["x"]) for name in "ab"]
    torch.manual_seed(0)
    part = MetadataEmbedding(columns).train()
    rows = torch.full((2000, 2), 2.0)

    def hidden(of: MetadataEmbedding) -> Any:
        return of(rows).view(len(rows), len(columns), -1).eq(0).all(dim=2)

    first = hidden(part)
    assert 0.02 < first.float().mean() < 0.1
    assert not torch.equal(first[:, 0], first[:, 1]), "one column tells nothing of the other"
    resumed = MetadataEmbedding(columns).train()
    resumed.load_state_dict(part.state_dict())
    second = hidden(part)
    assert not torch.equal(first, second)
    assert torch.equal(hidden(resumed), second)


def test_metadata_moves_the_logits_and_has_a_place_for_the_unknown(averaging_base: Path) -> None:
    model, tokenizer = loaded(averaging_base, metadata=[AGE, CHANNEL], layers="mlp")
    nn.init.normal_(model.classifier[0].weight, std=0.1)

    def of(metadata: dict[str, Any] | None) -> Any:
        rows = [TextInput(TEXTS[0], metadata=metadata)]
        return torch_logits(model, tokenizer, rows, max_length=64, metadata=[AGE, CHANNEL])[0]

    plain = of({"age": 40, "channel": "web"})
    assert abs(plain - of({"age": 90, "channel": "web"})).max() > 1e-3
    assert abs(plain - of({"age": 40, "channel": "mail"})).max() > 1e-4
    assert np.isfinite(of(None)).all()
    assert np.array_equal(of({"channel": "fax"}), of({"channel": "telex"}))


def test_the_vector_of_an_unseen_name_is_learnt_and_that_of_numbers_passed_on() -> None:
    torch.manual_seed(0)
    part = MetadataEmbedding([AGE, CHANNEL])
    assert part.width == 2 + part.embeddings[0].embedding_dim
    rows = torch.tensor([[1.5, 0.0, 2.0]] * 2000)
    vectors = part.train()(rows)
    assert torch.equal(vectors[:, :2], rows[:, :2])
    hidden = (vectors[:, 2:] == 0).all(dim=1).float().mean().item()
    assert 0.02 < hidden < 0.1, "some names are hidden in training"
    assert (part.eval()(rows)[:, 2:] != 0).all()


def test_metadata_moves_the_logits_of_every_token_of_its_own_row_alone(averaging_base: Path) -> None:
    model, tokenizer = loaded(averaging_base, ["O", "B-x"], head="token", metadata=[AGE])
    nn.init.normal_(model.classifier.weight, std=0.1)

    def of(*ages: float) -> Any:
        rows = [TextInput(TEXTS[n], metadata={"age": age}) for n, age in enumerate(ages)]
        return torch_logits(model, tokenizer, rows, max_length=64, metadata=[AGE], token=True)

    young, old = of(20, 40), of(90, 40)
    assert (abs(young[0] - old[0]).max(axis=1) > 1e-4).all()
    assert abs(young[1] - old[1]).max() < 1e-6


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_windows_are_pooled(averaging_base: Path, pooling: str) -> None:
    model, tokenizer = loaded(averaging_base)
    windows = Windows(stride=4, pooling=pooling, most=3)
    long = TextInput(" ".join(TEXTS))
    rows = [ROWS[0], long, ROWS[1]]
    found = torch_logits(model, tokenizer, rows, max_length=24, windows=windows)
    encoded = encode(tokenizer, rows, 24, windows)
    assert encoded.owners == [0, 1, 1, 1, 2]
    parts = []
    for at in (1, 2, 3):
        window = {name: torch.tensor([ids]) for name, ids in encoded.window(at).items()}
        parts.append(model(**window).logits.detach().numpy()[0])
    expected = np.mean(parts, axis=0) if pooling == "mean" else np.max(parts, axis=0)
    np.testing.assert_allclose(found[1], expected, atol=1e-5)
    alone = torch_logits(model, tokenizer, [ROWS[1]], max_length=24)
    np.testing.assert_allclose(found[2], alone[0], atol=1e-5)


def test_a_pair_reads_both_texts(averaging_base: Path) -> None:
    model, tokenizer = loaded(averaging_base)
    pairs = [TextInput(TEXTS[0], TEXTS[1]), TextInput(TEXTS[1], TEXTS[0]), TextInput(TEXTS[0])]
    found = torch_logits(model, tokenizer, pairs, max_length=64)
    assert abs(found[0] - found[1]).max() > 1e-4
    assert abs(found[0] - found[2]).max() > 1e-4
