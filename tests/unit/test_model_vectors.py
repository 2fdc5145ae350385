"""The vectors and probabilities of a model in memory match what its encoder and its head compute."""

from typing import Any

import numpy as np
import pytest

from stream.bundle import NumericColumn, SpanRules, TargetScale, Windows
from stream.classify import TextInput
from tests.real.architectures import MAX_LENGTH, TAGS, make_architecture
from tests.real.tiny_bundle import TEXTS

torch = pytest.importorskip("torch")

from trainer.model.configuration_labelstream import LabelstreamConfig  # noqa: E402
from trainer.model.encoding import Preprocessing  # noqa: E402
from trainer.model.heads import TextClassifier  # noqa: E402
from trainer.model.inference import torch_logits  # noqa: E402
from trainer.model.modeling_labelstream import LabelstreamForSequenceClassification  # noqa: E402
from trainer.model.vectors import InMemoryModel, encoder_of, encoder_vectors  # noqa: E402

ROWS = [TextInput(text) for text in [*TEXTS[:4], "a", TEXTS[0]]]
WHOLE = Preprocessing(MAX_LENGTH)


def expected_vectors(encoder: Any, tokenizer: Any, texts: list[str]) -> np.ndarray:
    """Return the normalised mean of the last hidden states, one text at a time and so without padding."""
    found = []
    for text in texts:
        inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=MAX_LENGTH)
        with torch.inference_mode():
            hidden = encoder.eval()(**inputs).last_hidden_state[0]
        mean = hidden.mean(dim=0).numpy()
        found.append(mean / np.linalg.norm(mean))
    return np.stack(found)


@pytest.mark.parametrize(
    "name", ["bert", "distilbert", "electra", "mpnet", "roberta", "modernbert", "deberta-v2"]
)
def test_vectors_are_the_mean_of_the_last_hidden_states(name: str) -> None:
    model, tokenizer = make_architecture(name)
    found = encoder_vectors(model, tokenizer, ROWS, WHOLE)
    expected = expected_vectors(model.base_model, tokenizer, [row.text for row in ROWS])
    assert found.dtype == np.float32
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert np.allclose(found, expected, atol=1e-4)
    assert np.allclose(found[0], found[5], atol=1e-5)
    assert abs(found[0] @ found[1]) < 0.999
    assert encoder_vectors(model, tokenizer, [], WHOLE).shape == (0, 32)


def test_an_encoder_that_pads_to_its_window_has_vectors_of_the_texts_own_tokens() -> None:
    model, tokenizer = make_architecture("longformer")
    alone = [encoder_vectors(model, tokenizer, [row], WHOLE)[0] for row in ROWS[:3]]
    assert np.allclose(encoder_vectors(model, tokenizer, ROWS[:3], WHOLE), alone, atol=1e-4)


def test_every_class_of_model_has_the_vectors_of_its_encoder() -> None:
    model, tokenizer = make_architecture("bert")
    expected = encoder_vectors(model, tokenizer, ROWS, WHOLE)
    columns = [NumericColumn(name="age", mean=30, std=10)]
    own = TextClassifier(model.bert, pooling="mean", classifier="mlp", metadata=columns)
    with_metadata = [TextInput(row.text, None, {"age": 3 * at}) for at, row in enumerate(ROWS)]
    found = encoder_vectors(own, tokenizer, with_metadata, Preprocessing(MAX_LENGTH, None, columns))
    assert np.allclose(found, expected, atol=1e-5)
    for pooling in (None, "mean"):
        config = LabelstreamConfig(encoder=model.config.to_dict(), pooling=pooling, num_labels=6)
        wrapped = LabelstreamForSequenceClassification(config)
        inner = encoder_of(wrapped)
        assert type(inner) is type(model.bert)
        inner.load_state_dict(model.bert.state_dict(), strict=False)
        assert np.allclose(encoder_vectors(wrapped, tokenizer, ROWS, WHOLE), expected, atol=1e-5)


def test_the_vector_of_a_long_text_covers_all_of_its_windows() -> None:
    model, tokenizer = make_architecture("bert")
    windows = Preprocessing(12, Windows(stride=2, pooling="mean", most=8))
    row = TextInput(" ".join(TEXTS[:3]))
    (found,) = encoder_vectors(model, tokenizer, [row], windows)
    encoded = tokenizer(row.text, truncation=True, max_length=12, stride=2, return_overflowing_tokens=True)
    assert len(encoded["input_ids"]) > 2
    total = np.zeros(32)
    for ids in encoded["input_ids"]:
        with torch.inference_mode():
            total += model.base_model(torch.tensor([ids])).last_hidden_state[0].sum(dim=0).numpy()
    assert np.allclose(found, total / np.linalg.norm(total), atol=1e-4)
    pair = [TextInput("short"), row]
    assert np.allclose(encoder_vectors(model, tokenizer, pair, windows)[1], found, atol=1e-4)


def test_the_model_is_unchanged_after_an_error() -> None:
    model, tokenizer = make_architecture("bert")
    model.classifier = None
    with pytest.raises(TypeError):
        encoder_vectors(model, tokenizer, ROWS, WHOLE)
    assert not encoder_of(model)._forward_hooks


def test_probabilities_have_the_temperature_and_the_scale_of_the_bundle() -> None:
    model, tokenizer = make_architecture("bert")
    logits = torch_logits(model, tokenizer, ROWS, WHOLE).astype(np.float64)
    exponentials = np.exp(logits / 2.5)
    single = InMemoryModel(model, tokenizer, WHOLE, "single-label", 2.5).probabilities(ROWS)
    assert np.allclose(single, exponentials / exponentials.sum(axis=1, keepdims=True), atol=1e-6)
    several = InMemoryModel(model, tokenizer, WHOLE, "multi-label", 2.5).probabilities(ROWS)
    assert np.allclose(several, 1 / (1 + 1 / exponentials), atol=1e-6)
    number = InMemoryModel(model, tokenizer, WHOLE, "regression", target=TargetScale(mean=4, std=3))
    assert np.allclose(number.probabilities(ROWS), logits * 3 + 4, atol=1e-6)
    with pytest.raises(ValueError, match="per word"):
        InMemoryModel(model, tokenizer, WHOLE, "token").probabilities(ROWS)
    assert number.token_counts(ROWS)[4] == 3
    assert number.token_counts([]) == []


@pytest.mark.parametrize("windows", [None, Windows(stride=4, pooling="mean", most=8)])
def test_words_have_the_probabilities_of_their_first_token(windows: Windows | None) -> None:
    model, tokenizer = make_architecture("bert", token=True)
    text = "the parcel  has not arrived, courier left"
    words = [(at, at + len(word)) for word in text.replace(",", " ").split() for at in [text.index(word)]]
    preprocessing = Preprocessing(8, windows)
    own = InMemoryModel(model, tokenizer, preprocessing, "token", 2.0, spans=SpanRules())
    found, nothing = own.word_probabilities([TextInput(text), TextInput("a b")], [words, []])
    assert found.shape == (len(words), len(TAGS))
    assert nothing.shape == (0, len(TAGS))
    encoded = tokenizer(text, return_offsets_mapping=True, truncation=True, max_length=8)
    with torch.inference_mode():
        logits = model(torch.tensor([encoded["input_ids"]])).logits[0].numpy() / 2
    for word, (start, _) in enumerate(words[:4]):
        at = next(i for i, (a, b) in enumerate(encoded["offset_mapping"]) if a == start and b > a)
        exponentials = np.exp(logits[at])
        # In windows, the words of the end of a window have the logits of the next one.
        if windows is None or word == 0:
            assert np.allclose(found[word], exponentials / exponentials.sum(), atol=1e-5)
    assert np.isnan(found[-1]).all() == (windows is None)
    assert not np.isnan(found[:4]).any()
