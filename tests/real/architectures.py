"""The architectures of the export matrix, each as a tiny random model with a tokenizer of its kind."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.real.tiny_bundle import LABELS, TEXTS

TAGS = ["O", "B-THING", "I-THING", "B-WHEN", "I-WHEN"]
MAX_LENGTH = 64
POSITIONS = 128
"""More than the tokenizer's maximum length, so that graphs are also run on longer inputs."""

VOCABULARY = 400
SIZE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": POSITIONS,
    # The range is wide enough that logits of the untrained model differ between texts.
    "initializer_range": 0.2,
}
OFFSET = {"max_position_embeddings": POSITIONS + 2}


@dataclass(frozen=True, slots=True)
class Architecture:
    """The configuration of a tiny model.

    Attributes:
        tokenizer: the kind of the usual tokenizer: WordPiece, BPE or Unigram.
        settings: the settings of the configuration in addition to the common size.
        inputs: the tokenizer outputs in addition to ids and mask.
    """

    tokenizer: str
    settings: dict[str, Any]
    inputs: tuple[str, ...] = ()


DISTIL = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}
DEBERTA = {
    "relative_attention": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_buckets": 16,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "max_relative_positions": -1,
    "position_biased_input": False,
    "type_vocab_size": 0,
    "pooler_hidden_size": 32,
}
DEBERTA_1 = {
    "relative_attention": True,
    "pos_att_type": ["c2p", "p2c"],
    "max_relative_positions": -1,
    "position_biased_input": False,
    "type_vocab_size": 0,
    "pooler_hidden_size": 32,
}
MODERN = {
    "local_attention": 16,
    "global_attn_every_n_layers": 2,
    "attn_implementation": "sdpa",
    "reference_compile": False,
}
ARCHITECTURES = {
    "bert": Architecture("WordPiece", {}, ("token_type_ids",)),
    "distilbert": Architecture("WordPiece", DISTIL),
    "electra": Architecture("WordPiece", {"embedding_size": 16}, ("token_type_ids",)),
    "mpnet": Architecture("WordPiece", OFFSET),
    "roberta": Architecture("BPE", {**OFFSET, "type_vocab_size": 1}),
    "modernbert": Architecture("BPE", MODERN),
    "longformer": Architecture("BPE", {**OFFSET, "type_vocab_size": 1, "attention_window": 16}),
    "deberta": Architecture("BPE", DEBERTA_1),
    "camembert": Architecture("Unigram", {**OFFSET, "type_vocab_size": 1}),
    "xlm-roberta": Architecture("Unigram", {**OFFSET, "type_vocab_size": 1}),
    "deberta-v2": Architecture("Unigram", DEBERTA),
}


def make_architecture(name: str, *, token: bool = False) -> tuple[Any, Any]:
    """Return a classifier with random weights, float32 in eval mode, and its fast tokenizer."""
    import torch
    from transformers import (
        AutoConfig,
        AutoModelForSequenceClassification,
        AutoModelForTokenClassification,
    )

    architecture = ARCHITECTURES[name]
    labels = TAGS if token else LABELS
    tokenizer = _tokenizer(architecture)
    special = {name: getattr(tokenizer, name) for name in SPECIAL_IDS}
    size = {key: value for key, value in SIZE.items() if name != "distilbert" or key not in _DISTIL_OWN}
    config = AutoConfig.for_model(
        name,
        **{
            **size,
            **special,
            **architecture.settings,
            "vocab_size": len(tokenizer),
            "id2label": dict(enumerate(labels)),
            "label2id": {label: at for at, label in enumerate(labels)},
        },
    )
    torch.manual_seed(7)
    kind = AutoModelForTokenClassification if token else AutoModelForSequenceClassification
    return kind.from_config(config, dtype=torch.float32).eval(), tokenizer


SPECIAL_IDS = ("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id")
_DISTIL_OWN = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")


def save_architecture(name: str, folder: Path, *, token: bool = False) -> Path:
    """Save a classifier with random weights as a Hugging Face folder."""
    model, tokenizer = make_architecture(name, token=token)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(architecture: Architecture) -> Any:
    from transformers import PreTrainedTokenizerFast

    tokenizer, names = TOKENIZER_BUILDERS[architecture.tokenizer](iter(TEXTS))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=MAX_LENGTH,
        model_input_names=["input_ids", "attention_mask", *architecture.inputs],
        padding_side="right",
        **names,
    )


def _word_piece(texts: Iterator[str]) -> tuple[Any, dict[str, str]]:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    words = sorted({word for text in texts for word in re.findall(r"[a-z]{2,}", text)})
    # The vocabulary is fixed, because a trained one differs from run to run.
    pieces = [*special, *".,?!", *letters, *(f"##{letter}" for letter in letters), *words]
    vocabulary = {piece: at for at, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(special)
    return _with_special_tokens(tokenizer, "[CLS]", "[SEP]", 1), _special_names(
        "[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]"
    )


def _bpe(texts: Iterator[str]) -> tuple[Any, dict[str, str]]:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return _with_special_tokens(tokenizer, "<s>", "</s>", 0), _special_names(
        "<s>", "</s>", "<pad>", "<unk>", "<mask>"
    )


def _unigram(texts: Iterator[str]) -> tuple[Any, dict[str, str]]:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        texts,
        trainers.UnigramTrainer(
            vocab_size=VOCABULARY, special_tokens=special, unk_token="<unk>", show_progress=False
        ),
    )
    return _with_special_tokens(tokenizer, "<s>", "</s>", 0), _special_names(
        "<s>", "</s>", "<pad>", "<unk>", "<mask>"
    )


TOKENIZER_BUILDERS: dict[str, Callable[[Iterator[str]], tuple[Any, dict[str, str]]]] = {
    "WordPiece": _word_piece,
    "BPE": _bpe,
    "Unigram": _unigram,
}


def _with_special_tokens(tokenizer: Any, first: str, last: str, second_type: int) -> Any:
    """Add the special tokens around one text and between two texts."""
    from tokenizers import processors

    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B:{second_type} {last}:{second_type}",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in (first, last)],
    )
    return tokenizer


def _special_names(first: str, last: str, pad: str, unknown: str, mask: str) -> dict[str, str]:
    return {
        "cls_token": first,
        "bos_token": first,
        "sep_token": last,
        "eos_token": last,
        "pad_token": pad,
        "unk_token": unknown,
        "mask_token": mask,
    }
