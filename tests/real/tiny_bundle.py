"""A real bundle in seconds: a BERT with random weights, exported, verified and packaged, but not trained."""

import re
from pathlib import Path
from typing import Any

from stream.bundle import Bundle

LABELS = ["billing", "bug", "cancel", "delivery", "login", "refund"]
TEXTS = [
    "i was charged twice for the same order",
    "my card was billed after the trial ended",
    "please refund the broken headphones",
    "where is my money, the refund never came",
    "the parcel has not arrived yet",
    "courier left my delivery in the rain",
    "i cannot log in, the password reset mail never comes",
    "locked out of my account again",
    "the app crashes when i open the camera",
    "search shows an error 500 since the update",
    "please cancel my subscription today",
    "stop the membership, i do not need it",
]


def save_tiny_base(folder: Path, texts: list[str] = TEXTS, labels: list[str] = LABELS) -> tuple[Any, Any]:
    """Save a random two-layer BERT and a WordPiece tokenizer as a Hugging Face folder.

    Returns:
        The classifier, float32 in eval mode, and its tokenizer.
    """
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    words = sorted({word for text in texts for word in re.findall(r"[a-z]{2,}", text.lower())})
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *".,?!'-"]
    vocabulary = [*special, *letters, *(f"##{letter}" for letter in letters), *words]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64)
    torch.manual_seed(7)
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
            # The range is wide enough that logits of the untrained model differ between texts.
            initializer_range=0.3,
            id2label=dict(enumerate(labels)),
            label2id={label: at for at, label in enumerate(labels)},
        )
    ).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


def make_tiny_bundle(store: Path, name: str = "tiny") -> Bundle:
    """Add a tiny untrained bundle, fp32 only, to a store; requires the trainer's libraries."""
    from tempfile import TemporaryDirectory

    from stream.classify import TextInput
    from trainer.export.bundle_source import BundleInfo, BundleSource, InferenceConfig
    from trainer.export.package import build_bundle, staging_folder
    from trainer.progress import silence_libraries

    silence_libraries()
    with TemporaryDirectory() as base, staging_folder(store, name) as staging:
        model, tokenizer = save_tiny_base(Path(base))
        rows = [TextInput(text) for text in TEXTS]
        inference = InferenceConfig("single-label", LABELS, 64)
        source = BundleSource(model, tokenizer, inference, BundleInfo(name), rows, variants=())
        return build_bundle(source, staging, store)
