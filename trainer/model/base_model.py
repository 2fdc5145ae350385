"""The pretrained base model of a training: its tokenizer, and its encoder with a new head."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from stream.bundle import HeadKind, MetadataColumn
from stream.errors import UsageError
from trainer.config import HeadName, ModelLocation
from trainer.model.loading import loading, random_weights, tokenizer_error
from trainer.model.model_config import offsets_positions, read_config
from trainer.model.model_files import CONFIG, check_tokenizer_files, check_weights

MIN_TOKENS = 8
"""The smallest value of --max-length."""

MAX_TOKENS = 1_000_000
"""The largest maximum length of a bundle."""

# `problem_type` of transformers for each head over one vector per row.
PROBLEM_TYPES = {
    "single-label": "single_label_classification",
    "multi-label": "multi_label_classification",
    "regression": "regression",
}


def load_tokenizer(base: ModelLocation) -> tuple[Any, Any]:
    """Return the configuration and the fast tokenizer of a base model.

    Raises:
        UsageError: loading fails, the tokenizer has no fast (Rust) version or no padding token, or it belongs
            to another model.
    """
    from transformers import AutoTokenizer

    from trainer.model.saving import encoder_config, load_config, restore_length

    content = read_config(base)
    if base.local:
        check_tokenizer_files(base)
    with loading(base):
        saved = load_config(base)
        config = encoder_config(saved)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            base.source,
            config=config,
            local_files_only=base.local,
            trust_remote_code=False,
        )
    except Exception as exc:
        raise tokenizer_error(base, exc) from exc
    cause = ""
    if not tokenizer.is_fast:
        cause = "the worker needs a fast tokenizer (tokenizer.json), and transformers has none for this model"
    elif tokenizer.pad_token is None and tokenizer.eos_token is None:
        cause = (
            "the tokenizer has no padding token: tokenizer_config.json names neither pad_token nor eos_token"
        )
    if cause:
        raise UsageError(
            f"the tokenizer of {base.name} cannot be used",
            cause=cause,
            fix="use another model, or set pad_token in its tokenizer_config.json",
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    # The worker pads on the right, and keeps the beginning of a long text.
    tokenizer.padding_side = tokenizer.truncation_side = "right"
    restore_length(tokenizer, saved)
    check_vocabulary(base, tokenizer, getattr(config, "vocab_size", None))
    _check_length(base, config, tokenizer, content)
    return config, tokenizer


def check_vocabulary(base: ModelLocation, tokenizer: Any, embeddings: int | None) -> None:
    """Check that a tokenizer belongs to a model, by their sizes.

    The embeddings are often padded to a multiple of 128, so a tokenizer may be somewhat smaller.

    Args:
        base: the model.
        tokenizer: its tokenizer.
        embeddings: the number of token embeddings of the model; None if it is unknown.

    Raises:
        UsageError: the tokenizer has a token without an embedding, or far fewer tokens than the model.
    """
    if embeddings is None:
        return
    largest = max(tokenizer.get_vocab().values(), default=-1)
    if largest >= embeddings or largest + 1 < embeddings // 2:
        raise UsageError(
            f"the tokenizer of {base.name} does not belong to its model",
            cause=f"the tokenizer has {largest + 1:,} tokens, and the model has embeddings of {embeddings:,}",
            fix="save the tokenizer that the model was trained with into its folder: "
            f"AutoTokenizer.from_pretrained(ORIGINAL).save_pretrained({base.source!r})",
        )


def longest_input(config: Any, tokenizer: Any) -> int:
    """Return the maximum number of input tokens of a model, at most the limit of a bundle."""
    positions = getattr(config, "max_position_embeddings", None) or 0
    # XLNet has -1: relative positions have no limit.
    limit = positions if positions > 0 else MAX_TOKENS
    if offsets_positions(config.model_type):
        limit -= config.pad_token_id + 1
    return int(min(limit, tokenizer.model_max_length, MAX_TOKENS))


def _check_length(base: ModelLocation, config: Any, tokenizer: Any, content: dict[str, Any]) -> None:
    longest = tokenizer.model_max_length
    if isinstance(longest, bool) or not isinstance(longest, int | float) or math.isnan(longest):
        cause = f"model_max_length in tokenizer_config.json is {longest!a}, not a number of tokens"
    elif longest_input(config, tokenizer) < MIN_TOKENS:
        cause = (
            f"it reads at most {longest_input(config, tokenizer)} tokens: max_position_embeddings is "
            f"{content.get('max_position_embeddings')} in {CONFIG}, and model_max_length is {longest} in "
            "tokenizer_config.json"
        )
    else:
        return
    raise UsageError(
        f"the maximum length of {base.name} cannot be used",
        cause=cause,
        fix="set both to the number of tokens that the model was trained with",
    )


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
        "trust_remote_code": False,
        "ignore_mismatched_sizes": True,
        "output_loading_info": True,
        "dtype": torch.float32,
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: at for at, label in enumerate(labels)},
        "problem_type": PROBLEM_TYPES.get(head),
    }
    auto_model = AutoModelForTokenClassification if head == "token" else AutoModelForSequenceClassification
    check_weights(base, "AutoModel")
    with loading(base):
        mean_pooling = head != "token" and has_mean_pooling(base.source, base.local)
        if mean_pooling or metadata or classifier != "linear":
            pooling: Pooling = "tokens" if head == "token" else "mean" if mean_pooling else "first"
            encoder, loaded = AutoModel.from_pretrained(base.source, **settings)
            model: Any = TextClassifier(encoder, pooling=pooling, classifier=classifier, metadata=metadata)
            prefix = ""
        else:
            model, loaded = auto_model.from_pretrained(base.source, **settings)
            prefix = f"{model.base_model_prefix}."
    check_encoder_weights(loaded, prefix, base)
    model.config.pad_token_id = tokenizer.pad_token_id
    return model


def check_encoder_weights(loaded: Mapping[str, Any], prefix: str, base: ModelLocation) -> None:
    """Check that transformers read all weights of the encoder; a new head is random, as a pooler may be.

    Args:
        loaded: the loading information of `from_pretrained`.
        prefix: the prefix of the names of the encoder's weights.
        base: the location of the model, for errors.

    Raises:
        UsageError: some weights of the encoder would be random.
    """
    missing, mismatched = random_weights(loaded)
    lacking = [name for name in [*missing, *mismatched] if name.startswith(prefix) and "pooler" not in name]
    if lacking:
        raise UsageError(
            f"the weights of {base.name} do not fit its {CONFIG}",
            cause=f"{len(lacking)} tensors of the encoder are missing or have another shape, and would be "
            f"random numbers: {', '.join(lacking[:3])}",
            fix=f"copy {CONFIG} and the weights from the same model, or use another --base-model",
        )
