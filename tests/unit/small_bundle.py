"""A bundle with a word-level tokenizer and no model file, for tests with their own runtime."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers

from stream.bundle import Bundle, Manifest, Parity, VariantEntry

WORDS = ["[PAD]", "[UNK]", "good", "bad", "poison", "warm", "up", "word"]


def small_bundle(folder: Path, *, temperature: float = 1.0, max_length: int = 8) -> Bundle:
    """Return a bundle with the labels `bad` and `good`, whose token ids are positions in WORDS."""
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    parity = Parity(rows=1, max_abs_logit_diff=0, tolerance=1, label_agreement=1, min_label_agreement=1)
    manifest = Manifest(
        name="small",
        version="1",
        task="single-label",
        labels=["bad", "good"],
        max_length=max_length,
        inputs=["input_ids", "attention_mask"],
        temperature=temperature,
        variants={
            "fp32": VariantEntry(file="onnx/model.onnx", precision="fp32", size_bytes=1, parity=parity)
        },
        created_at=datetime.now(UTC),
    )
    return Bundle(folder, manifest, "sha256:" + "0" * 64)


def partial_manifest(**fields: Any) -> Manifest:
    """Return a manifest with only these fields, none of them validated."""
    return Manifest.model_construct(**fields)
