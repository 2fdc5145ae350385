"""Makes the bundles of the benchmarks, in a process of its own because it needs the trainer's libraries.

python -m benchmarks.speed.make_bundle KIND STORE TEXTS; KIND is tiny, minilm, or a key of SHAPES. Prints the
folder.
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
"""Models of random weights; the toy is for trying the program."""


def make(kind: str, store: Path, texts: list[str]) -> dict[str, str]:
    """Build the bundle, and beside it the Hugging Face folder of the same architecture.

    Returns:
        `bundle`: the bundle's folder; `model`: the Hugging Face folder, where there is one.
    """
    if kind == "tiny":
        return {"bundle": str(make_tiny_bundle(store).path)}
    folder = store.parent / "models" / kind
    bundle = _minilm(store, folder, texts) if kind == "minilm" else _random(kind, store, folder, texts)
    return {"bundle": str(bundle.path), "model": str(folder)}


def _minilm(store: Path, folder: Path, texts: list[str]) -> Bundle:
    """all-MiniLM-L6-v2 with a head of 77 labels that nobody trained."""
    import torch
    from transformers import AutoModelForSequenceClassification

    from trainer.model.base_model import load_classifier, load_tokenizer, resolve_base_model, stay_offline

    base = resolve_base_model(None)
    stay_offline(base)
    _, tokenizer = load_tokenizer(base)
    torch.manual_seed(7)
    model = load_classifier(base, tokenizer, LABELS).eval()
    _spread_head(model, tokenizer, texts)
    bundle = _build("minilm", store, model, tokenizer, texts, MAX_LENGTH)
    # The pipeline loads only architectures of its own library; this one differs from ours in its head alone.
    settings = {"num_labels": len(LABELS), "id2label": dict(enumerate(LABELS))}
    plain = AutoModelForSequenceClassification.from_pretrained(base.source, **settings)
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return bundle


def _spread_head(model: Any, tokenizer: Any, texts: list[str]) -> None:
    """Let each label stand for a cluster of the texts, so that labels differ as a trained head's would.

    A random head's logits lie so close together that no quantised variant would keep the labels.
    """
    import torch
    from sklearn.cluster import KMeans

    vectors = []
    with torch.inference_mode():
        for at in range(0, len(texts), 32):
            given = tokenizer(
                texts[at : at + 32],
                padding=True,
                truncation=True,
                max_length=MAX_LENGTH,
                return_tensors="pt",
            )
            hidden = model.encoder(**given).last_hidden_state
            mask = given["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            vectors.append((hidden * mask).sum(1) / mask.sum(1))
        every = torch.cat(vectors)
        count = min(len(LABELS), len(texts))
        centres = torch.tensor(
            KMeans(count, n_init=1, random_state=7).fit(every.numpy()).cluster_centers_, dtype=torch.float32
        )
        # The nearest centre has the largest logit; the factor gives logits of a trained head's size.
        factor = 4 / (every @ centres.T - (centres**2).sum(1) / 2).std()
        model.classifier.weight[:count] = factor * centres
        model.classifier.bias[:count] = -factor * (centres**2).sum(1) / 2


def _random(kind: str, store: Path, folder: Path, texts: list[str]) -> Bundle:
    """A BERT of a shape with random weights, with the tokenizer of all-MiniLM-L6-v2."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from trainer.model.base_model import load_tokenizer, resolve_base_model, stay_offline

    base = resolve_base_model(None)
    stay_offline(base)
    _, tokenizer = load_tokenizer(base)
    torch.manual_seed(7)
    # Wide enough that the untrained model tells texts apart.
    config = BertConfig(vocab_size=len(tokenizer), initializer_range=0.05, num_labels=6, **SHAPES[kind])
    model = BertForSequenceClassification(config).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    tokenizer.model_max_length = RANDOM_MAX_LENGTH
    return _build(kind, store, model, tokenizer, texts, RANDOM_MAX_LENGTH)


def _build(name: str, store: Path, model: Any, tokenizer: Any, texts: list[str], max_length: int) -> Bundle:
    from stream.classify.inputs import TextInput
    from trainer.export.bundle_source import BundleInfo, BundleSource, InferenceConfig
    from trainer.export.package import build_bundle, staging_folder
    from trainer.silence import silence_libraries

    silence_libraries()
    with staging_folder(store, name) as staging:
        inference = InferenceConfig("single-label", [*model.config.id2label.values()], max_length)
        rows = [TextInput(text) for text in texts]
        # The texts have no truth to calibrate apart from: both uses see the same ones.
        source = BundleSource(model, tokenizer, inference, BundleInfo(name), rows, calibration=rows)
        return build_bundle(source, staging, store)


if __name__ == "__main__":
    made = make(sys.argv[1], Path(sys.argv[2]), read_texts(Path(sys.argv[3])))
    print(orjson.dumps(made).decode(), flush=True)
