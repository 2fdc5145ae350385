"""A classifier that somebody else has trained: what it is, and its weights."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

from stream.bundle import SpanRules, Task
from stream.errors import UsageError
from trainer.export.graph import check_exportable
from trainer.model.base_model import BaseModel, load_tokenizer

SEQUENCE = "ForSequenceClassification"
TOKEN = "ForTokenClassification"
OUTSIDE = "O"


@dataclass(frozen=True, slots=True)
class Classifier:
    """A loaded classifier.

    Attributes:
        model: of transformers, float32.
        tokenizer: its fast tokenizer.
        task: what its configuration says that its logits mean.
        labels: its id2label, in the order of the logits.
    """

    model: Any
    tokenizer: Any
    task: Task
    labels: list[str]


def load_pretrained(source: BaseModel) -> Classifier:
    """Load a classifier from a folder or the Hub; only weights in safetensors are read.

    Raises:
        UsageError: it has no classification head, one that was never trained, weights that are pickled, or
            an architecture that cannot be exported.
    """
    config, tokenizer = load_tokenizer(source)
    token = _has_token_head(config, source)
    check_exportable(config.model_type, token=token)
    kind = AutoModelForTokenClassification if token else AutoModelForSequenceClassification
    try:
        model, told = kind.from_pretrained(
            source.source,
            local_files_only=source.local,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError) as exc:
        raise _not_loaded(source, exc) from None
    _check_trained(told, source)
    task = task_of(config, token=token)
    labels = [str(config.id2label[at]) for at in range(config.num_labels)]
    _check_labels(labels, task, source)
    model.config.pad_token_id = tokenizer.pad_token_id
    return Classifier(model, tokenizer, task, labels)


def task_of(config: Any, *, token: bool) -> Task:
    """What the logits mean: by `problem_type`, and without it as transformers takes them when it trains."""
    if token:
        return "token"
    if config.problem_type == "multi_label_classification":
        return "multi-label"
    if config.problem_type == "regression" or (config.problem_type is None and config.num_labels == 1):
        return "regression"
    return "single-label"


def span_rules(labels: list[str]) -> SpanRules:
    """BIO if every label but O begins with B- or I-; else every word is a span of its own."""
    bio = all(label == OUTSIDE or label.startswith(("B-", "I-")) for label in labels)
    return SpanRules(scheme="bio" if bio else "word")


def _has_token_head(config: Any, source: BaseModel) -> bool:
    named = " ".join(config.architectures or ["nothing"])
    if TOKEN in named or SEQUENCE in named:
        return TOKEN in named
    raise UsageError(
        f"{source.name} is no classifier",
        cause=f"its config.json names {named}, not a class that ends with {SEQUENCE} or {TOKEN}",
        fix=f"fine-tune it: labelstream train DATA --base-model {source.name}",
    )


def _check_trained(told: dict[str, Any], source: BaseModel) -> None:
    """Refuse weights that transformers had to make up."""
    made_up = [*told["missing_keys"], *(entry[0] for entry in told["mismatched_keys"])]
    if made_up:
        raise UsageError(
            f"{source.name} is not trained completely",
            cause=f"its weights lack {', '.join(sorted(made_up)[:3])}; they would be random numbers",
            fix=f"fine-tune it: labelstream train DATA --base-model {source.name}",
        )


def _check_labels(labels: list[str], task: Task, source: BaseModel) -> None:
    wrong = ""
    if len(set(labels)) != len(labels):
        wrong = "two of its labels have the same name"
    elif task == "regression" and len(labels) != 1:
        wrong = f"it measures {len(labels)} numbers at once, a bundle one"
    elif task == "single-label" and len(labels) == 1:
        wrong = "it knows one label only, and softmax over one is always 1"
    if wrong:
        raise UsageError(
            f"{source.name} cannot be served",
            cause=wrong,
            fix="mend id2label and problem_type in its config.json",
        )


def _not_loaded(source: BaseModel, exc: Exception) -> UsageError:
    said = (str(exc).strip() or type(exc).__name__).splitlines()[0]
    if "safetensors" in said:
        return UsageError(
            f"the weights of {source.name} are not read",
            cause="there is no model.safetensors, and loading a pickled pytorch_model.bin can run code",
            fix="convert it where you trust it: model.save_pretrained(folder, safe_serialization=True)",
        )
    return UsageError(
        f"{source.name} cannot be loaded",
        cause=said,
        fix="name a folder that save_pretrained wrote" if source.local else "check the name and the network",
    )
