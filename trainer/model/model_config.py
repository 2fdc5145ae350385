"""The configuration of a pretrained model: config.json, checked before transformers reads it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stream.errors import UsageError
from trainer.config import ModelLocation
from trainer.model.loading import loading
from trainer.model.model_files import CONFIG, fine_tuning, read_json_object

SEQUENCE_CLASS = "ForSequenceClassification"
TOKEN_CLASS = "ForTokenClassification"
PROBLEM_TYPES = ("single_label_classification", "multi_label_classification", "regression")
# These models number positions from the padding token id + 1.
OFFSET_POSITIONS = ("camembert", "longformer", "mpnet")
# The modules and the model type of labelstream's own heads in bundles.
OWN_CODE = ("configuration_labelstream.", "modeling_labelstream.")
OWN_TYPE = "labelstream"
GENERATIVE = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration", "ForSeq2SeqLM")


def read_config(base: ModelLocation) -> dict[str, Any]:
    """Return the content of a model's config.json, from its folder, the cache or the Hub.

    Raises:
        UsageError: the file cannot be read or fetched, or describes a model that cannot be used.
    """
    if base.local:
        config = read_json_object(Path(base.source) / CONFIG)
    else:
        from transformers.utils import cached_file

        with loading(base):
            config = read_json_object(Path(cached_file(base.source, CONFIG)))
    _check_config(config, base)
    return config


def offsets_positions(model_type: str) -> bool:
    """Return whether a model numbers its positions from the padding token id + 1."""
    return "roberta" in model_type or model_type in OFFSET_POSITIONS


def head_class(config: Mapping[str, Any], base: ModelLocation) -> str:
    """Return the class of a trained classifier, such as BertForSequenceClassification.

    Raises:
        UsageError: the model is no classifier, or its class is not part of transformers.
    """
    import transformers

    names = config.get("architectures") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _refused(
            base, f"architectures is {names!a}, not a list of names", "name the class of the model in a list"
        )
    found = [str(name) for name in names if name.endswith((SEQUENCE_CLASS, TOKEN_CLASS))]
    if not found:
        named = ", ".join(names) or "no class"
        generative = any(name.endswith(GENERATIVE) for name in names)
        raise UsageError(
            f"{base.name} is not a classifier",
            cause=f"its {CONFIG} names {named}, not a class that ends with {SEQUENCE_CLASS} or {TOKEN_CLASS}"
            + ("; the model generates text" if generative else ""),
            fix="fine-tune an encoder: labelstream train DATA"
            if generative
            else f"fine-tune it: {fine_tuning(base)}",
        )
    if config.get("model_type") != OWN_TYPE and not hasattr(transformers, found[0]):
        raise UsageError(
            f"{base.name} cannot be loaded",
            cause=f"its config.json names the class {found[0]}, which is not part of transformers "
            f"{transformers.__version__}; other classes may compute other logits from the same weights",
            fix=f"fine-tune its encoder with a head of transformers: {fine_tuning(base)}",
        )
    return found[0]


def _check_config(config: Mapping[str, Any], base: ModelLocation) -> None:
    """Refuse a configuration that transformers would fail on, or read in another way than it is meant."""
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    model_type = config.get("model_type")
    if not isinstance(model_type, str) or not model_type:
        raise _refused(
            base,
            "it has no model_type, such as bert or roberta"
            if model_type is None
            else f"model_type is {model_type!a}",
            "set model_type to the architecture of the model",
        )
    _check_native(config, base)
    encoder = config.get("encoder")
    if model_type == OWN_TYPE and isinstance(encoder, dict):
        _check_config(encoder, base)
        return
    if model_type not in CONFIG_MAPPING:
        raise _refused(
            base,
            f"model_type is {model_type}, which transformers {transformers.__version__} does not know",
            "if the name is wrong, correct model_type",
        )
    quantisation = config.get("quantization_config")
    if quantisation:
        method = quantisation.get("quant_method") if isinstance(quantisation, dict) else None
        raise UsageError(
            f"{base.name} is quantised{f' with {method}' if method else ''}",
            cause="its config.json has a quantization_config; the export starts from weights in float32, "
            "float16 or bfloat16",
            fix="pass the model that was quantised; labelstream makes int8 variants itself",
        )
    problem_type = config.get("problem_type")
    if problem_type is not None and problem_type not in PROBLEM_TYPES:
        raise _refused(
            base,
            f"problem_type is {problem_type!a}",
            f"set problem_type to {', '.join(PROBLEM_TYPES[:2])} or {PROBLEM_TYPES[2]}, or remove it",
        )
    id2label = config.get("id2label")
    names = id2label if isinstance(id2label, dict) else {}
    numbers = [name for key, name in names.items() if key.isdigit() and type(name) in (int, float)]
    if numbers:
        raise _refused(
            base,
            f"the name {numbers[0]} in id2label is a number, not a string",
            f'write the names in quotes, as "{numbers[0]}", in id2label',
        )
    for member in ("max_position_embeddings", "vocab_size", "pad_token_id"):
        value = config.get(member)
        if value is not None and type(value) is not int:
            raise _refused(base, f"{member} is {value!a}, not an integer", f"set {member} to its number")
    if offsets_positions(model_type) and config.get("pad_token_id", 1) is None:
        raise _refused(
            base,
            f"pad_token_id is null, and a {model_type} model numbers its positions from it",
            "set pad_token_id to the id of the padding token",
        )


def _check_native(config: Mapping[str, Any], base: ModelLocation) -> None:
    """Refuse a model whose code is in its own folder; a class of transformers may compute other logits."""
    import transformers

    auto_map = config.get("auto_map")
    for auto_class, name in auto_map.items() if isinstance(auto_map, dict) else ():
        if not auto_class.startswith(("AutoConfig", "AutoModel")) or str(name).startswith(OWN_CODE):
            continue
        if not hasattr(transformers, str(name).rsplit(".", 1)[-1]):
            raise UsageError(
                f"{base.name} needs code from its own repository",
                cause=f"auto_map in its config.json names {name}, which only trust_remote_code=True runs; "
                "labelstream runs no code from models",
                fix="use a model whose architecture is part of transformers, for example a BERT, RoBERTa, "
                "DeBERTa or ModernBERT",
            )


def _refused(base: ModelLocation, cause: str, fix: str) -> UsageError:
    return UsageError(
        f"{CONFIG} of {base.name} does not describe a model that can be used",
        cause=cause,
        fix=f"{fix} in {CONFIG}, or copy the file from the original model",
    )
