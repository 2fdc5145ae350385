"""Loading of a classifier that is already trained: its task, its labels and its weights."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

from stream.bundle import SpanRules, Task
from stream.errors import UsageError
from trainer.config import BaseModel
from trainer.export.graph import check_exportable
from trainer.model.base_model import load_tokenizer
from trainer.model.tags import OUTSIDE

SEQUENCE = "ForSequenceClassification"
TOKEN = "ForTokenClassification"


@dataclass(frozen=True, slots=True)
class PretrainedClassifier:
    """A classifier that is already trained.

    Attributes:
        model: a classifier of transformers, float32.
        tokenizer: its fast tokenizer.
        task: the task according to its configuration.
        labels: the values of `id2label`, in the order of the logits.
    """

    model: Any
    tokenizer: Any
    task: Task
    labels: list[str]


def load_pretrained(source: BaseModel) -> PretrainedClassifier:
    """Load a classifier from a folder or the Hub, with weights from safetensors only.

    Raises:
        UsageError: the model has no classification head, an untrained head, pickled weights, or an
            architecture that cannot be exported.
    """
    config, tokenizer = load_tokenizer(source)
    token = _has_token_head(config, source)
    check_exportable(config.model_type, token=token)
    auto_model = AutoModelForTokenClassification if token else AutoModelForSequenceClassification
    try:
        model, loading_info = auto_model.from_pretrained(
            source.source,
            local_files_only=source.local,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError) as exc:
        raise _not_loaded(source, exc) from None
    _check_trained(loading_info, source)
    task = task_of(config, token=token)
    labels = [str(config.id2label[at]) for at in range(config.num_labels)]
    _check_labels(labels, task, source)
    model.config.pad_token_id = tokenizer.pad_token_id
    return PretrainedClassifier(model, tokenizer, task, labels)


def task_of(config: Any, *, token: bool) -> Task:
    """Return the task of a configuration: `problem_type`, or without it the default of transformers."""
    if token:
        return "token"
    if config.problem_type == "multi_label_classification":
        return "multi-label"
    if config.problem_type == "regression" or (config.problem_type is None and config.num_labels == 1):
        return "regression"
    return "single-label"


def span_rules(labels: list[str]) -> SpanRules:
    """Return the BIO rules if every label but O starts with B- or I-; otherwise every word is a span."""
    bio = all(label == OUTSIDE or label.startswith(("B-", "I-")) for label in labels)
    return SpanRules(scheme="bio" if bio else "word")


def _has_token_head(config: Any, source: BaseModel) -> bool:
    named = " ".join(config.architectures or ["no class"])
    if TOKEN in named or SEQUENCE in named:
        return TOKEN in named
    raise UsageError(
        f"{source.name} is not a classifier",
        cause=f"its config.json names {named}, not a class that ends with {SEQUENCE} or {TOKEN}",
        fix=f"fine-tune it: labelstream train DATA --base-model {source.name}",
    )


def _check_trained(loading_info: dict[str, Any], source: BaseModel) -> None:
    """Check that transformers did not initialise any weights randomly."""
    random = [*loading_info["missing_keys"], *(entry[0] for entry in loading_info["mismatched_keys"])]
    if random:
        raise UsageError(
            f"{source.name} is not completely trained",
            cause=f"its weights lack {', '.join(sorted(random)[:3])}, which would be random numbers",
            fix=f"fine-tune it: labelstream train DATA --base-model {source.name}",
        )


def _check_labels(labels: list[str], task: Task, source: BaseModel) -> None:
    cause = ""
    if len(set(labels)) != len(labels):
        cause = "two of its labels have the same name"
    elif task == "regression" and len(labels) != 1:
        cause = f"it predicts {len(labels)} numbers at once, and a bundle supports one"
    elif task == "single-label" and len(labels) == 1:
        cause = "it has only one label, and the softmax over one label is always 1"
    if cause:
        raise UsageError(
            f"{source.name} cannot be exported to a bundle",
            cause=cause,
            fix="correct id2label and problem_type in its config.json",
        )


def _not_loaded(source: BaseModel, exc: Exception) -> UsageError:
    message = (str(exc).strip() or type(exc).__name__).splitlines()[0]
    if "safetensors" in message:
        return UsageError(
            f"the weights of {source.name} cannot be loaded safely",
            cause="there is no model.safetensors, and loading a pickled pytorch_model.bin can execute code",
            fix="convert it in a trusted environment: model.save_pretrained(folder, safe_serialization=True)",
        )
    return UsageError(
        f"{source.name} cannot be loaded",
        cause=message,
        fix="pass a folder written by save_pretrained"
        if source.local
        else "check the Hub id and the network connection",
    )
