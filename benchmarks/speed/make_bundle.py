"""Builds a bundle for the benchmarks, in its own process because it imports the trainer's libraries.

python -m benchmarks.speed.make_bundle KIND STORE TEXTS, where KIND is tiny, minilm or a key of SHAPES. Prints
the folders as one line of JSON.
"""

import sys
from pathlib import Path
from typing import Any

import orjson

from benchmarks.speed.texts import read_texts
from stream.bundle import Bundle
from tests.real.tiny_bundle import make_tiny_bundle

LABELS = [f"label-{number}" for number in range(77)]
MAX_LENGTH = 256
RANDOM_MAX_LENGTH = 512
SHAPES = {
    "bert-base": {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
    },
    "minilm-shape": {
        "hidden_size": 384,
        "num_hidden_layers": 6,
        "num_attention_heads": 12,
        "intermediate_size": 1536,
    },
    "toy-shape": {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 256,
    },
}
"""Shapes of models with random weights; toy-shape is only for trying the program."""


def make(kind: str, store: Path, texts: list[str]) -> dict[str, str]:
    """Build a bundle and the Hugging Face folder of the same architecture.

    Returns:
        `bundle`, the folder of the bundle, and for models other than tiny `model`, the Hugging Face folder.
    """
    if kind == "tiny":
        return {"bundle": str(make_tiny_bundle(store).path)}
    folder = store.parent / "models" / kind
    bundle = _minilm(store, folder, texts) if kind == "minilm" else _random(kind, store, folder, texts)
    return {"bundle": str(bundle.path), "model": str(folder)}


def _minilm(store: Path, folder: Path, texts: list[str]) -> Bundle:
    """Build all-MiniLM-L6-v2 with an untrained head of 77 labels."""
    import torch
    from transformers import AutoModelForSequenceClassification

    from trainer.model.base_location import resolve_base_model, stay_offline
    from trainer.model.base_model import load_classifier, load_tokenizer

    base = resolve_base_model(None)
    stay_offline(base)
    _, tokenizer = load_tokenizer(base)
    torch.manual_seed(7)
    model = load_classifier(base, tokenizer, LABELS).eval()
    _spread_head(model, tokenizer, texts)
    bundle = _build("minilm", store, model, tokenizer, texts, MAX_LENGTH)
    # transformers.pipeline loads only its own architectures; this one differs from ours only in the head.
    settings = {"num_labels": len(LABELS), "id2label": dict(enumerate(LABELS))}
    plain = AutoModelForSequenceClassification.from_pretrained(base.source, **settings)
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return bundle


def _spread_head(model: Any, tokenizer: Any, texts: list[str]) -> None:
    """Set the head's weights so that each label stands for a cluster of the texts.

    The logits of a random head are so close together that no quantised variant would keep the labels.
    """
    import torch
    from sklearn.cluster import KMeans

    vectors = []
    with torch.inference_mode():
        for index in range(0, len(texts), 32):
            inputs = tokenizer(
                texts[index : index + 32],
                padding=True,
                truncation=True,
                max_length=MAX_LENGTH,
                return_tensors="pt",
            )
            hidden = model.encoder(**inputs).last_hidden_state
            mask = inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            vectors.append((hidden * mask).sum(1) / mask.sum(1))
        pooled = torch.cat(vectors)
        count = min(len(LABELS), len(texts))
        centres = torch.tensor(
            KMeans(count, n_init=1, random_state=7).fit(pooled.numpy()).cluster_centers_, dtype=torch.float32
        )
        # The nearest centre gets the largest logit; the factor scales logits to the size of a trained head's.
        factor = 4 / (pooled @ centres.T - (centres**2).sum(1) / 2).std()
        model.classifier.weight[:count] = factor * centres
        model.classifier.bias[:count] = -factor * (centres**2).sum(1) / 2


def _random(kind: str, store: Path, folder: Path, texts: list[str]) -> Bundle:
    """Build a BERT of a given shape with random weights and the tokenizer of all-MiniLM-L6-v2."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from trainer.model.base_location import resolve_base_model, stay_offline
    from trainer.model.base_model import load_tokenizer

    base = resolve_base_model(None)
    stay_offline(base)
    _, tokenizer = load_tokenizer(base)
    torch.manual_seed(7)
    # The range is wide enough that logits of the untrained model differ between texts.
    config = BertConfig(vocab_size=len(tokenizer), initializer_range=0.05, num_labels=6, **SHAPES[kind])
    model = BertForSequenceClassification(config).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    tokenizer.model_max_length = RANDOM_MAX_LENGTH
    return _build(kind, store, model, tokenizer, texts, RANDOM_MAX_LENGTH)


def _build(name: str, store: Path, model: Any, tokenizer: Any, texts: list[str], max_length: int) -> Bundle:
    from stream.classify import TextInput
    from trainer.export.bundle_source import BundleInfo, BundleSource, InferenceConfig
    from trainer.export.package import build_bundle, staging_folder
    from trainer.progress import silence_libraries

    silence_libraries()
    with staging_folder(store, name) as staging:
        inference = InferenceConfig("single-label", [*model.config.id2label.values()], max_length)
        rows = [TextInput(text) for text in texts]
        # The texts have no truth to calibrate apart from: both uses see the same ones.
        source = BundleSource(model, tokenizer, inference, BundleInfo(name), rows, calibration=rows)
        return build_bundle(source, staging, store)


if __name__ == "__main__":
    folders = make(sys.argv[1], Path(sys.argv[2]), read_texts(Path(sys.argv[3])))
    print(orjson.dumps(folders).decode(), flush=True)
