"""The export of a classifier that is already trained: its configuration, its weights and its bundle."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

from stream.bundle import Bundle, SpanRules, Task
from stream.errors import UsageError
from trainer.config import ModelLocation
from trainer.data.labels import OUTSIDE
from trainer.export.bundle_source import BuildObserver, BundleInfo, BundleSource, InferenceConfig
from trainer.export.graph import check_exportable
from trainer.export.package import build_bundle, staging_folder
from trainer.export.reference import read_texts, sample_texts
from trainer.export.variants import INT8_STATIC, available_variants
from trainer.model.base_model import load_tokenizer, longest_input, not_loaded_error
from trainer.progress import Stages, silence_libraries

SEQUENCE_CLASS = "ForSequenceClassification"
TOKEN_CLASS = "ForTokenClassification"


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """The arguments of `labelstream export`.

    Attributes:
        name: the name of the bundle.
        store: the bundle store.
        task: the meaning of the logits; None uses the model's configuration.
        text_pair: whether the model reads two texts.
        max_length: the number of tokens after which a text is truncated, if the model supports as many.
        texts: a file with representative texts; None uses the bundled sample.
    """

    name: str
    store: Path
    task: Task | None
    text_pair: bool
    max_length: int
    texts: Path | None


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


def export_pretrained(
    source: ModelLocation, request: ExportRequest, console: Console, warn: Callable[[str], None]
) -> Bundle:
    """Load a classifier, export it, check its parity and publish the bundle.

    Raises:
        UsageError: the model or the texts do not fit the request.
        BundleError: the exported graph does not match the model.
    """
    silence_libraries()
    if request.texts is None:
        rows, own = sample_texts(pair=request.text_pair), []
    else:
        rows = own = read_texts(request.texts, pair=request.text_pair)
    with console.status(f"loading {source.name}"):
        classifier = load_pretrained(source)
    task = _task(classifier, request)
    inference = InferenceConfig(
        task,
        classifier.labels,
        min(request.max_length, longest_input(classifier.model.config, classifier.tokenizer)),
        text_pair=request.text_pair,
        spans=span_rules(classifier.labels) if task == "token" else None,
    )
    bundle_source = BundleSource(
        classifier.model,
        classifier.tokenizer,
        inference,
        BundleInfo(request.name, metrics={"exported": {"model": source.name}}),
        rows,
        calibration=own,
        # Calibration on unrelated texts would reduce the accuracy on the user's texts, and a parity check on
        # unrelated texts would not detect that.
        variants=[recipe for recipe in available_variants() if own or recipe is not INT8_STATIC],
    )
    with staging_folder(request.store, request.name) as staging, Stages(console) as stages:
        bundle = build_bundle(bundle_source, staging, request.store, BuildObserver(stages.stage, warn))
    _show(console, bundle, own_texts=bool(own))
    return bundle


def load_pretrained(source: ModelLocation) -> PretrainedClassifier:
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
        raise not_loaded_error(source, exc) from None
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


def _has_token_head(config: Any, source: ModelLocation) -> bool:
    named = " ".join(config.architectures or ["no class"])
    if TOKEN_CLASS in named or SEQUENCE_CLASS in named:
        return TOKEN_CLASS in named
    raise UsageError(
        f"{source.name} is not a classifier",
        cause=f"its config.json names {named}, not a class that ends with {SEQUENCE_CLASS} or {TOKEN_CLASS}",
        fix=f"fine-tune it: labelstream train DATA --base-model {source.name}",
    )


def _check_trained(loading_info: dict[str, Any], source: ModelLocation) -> None:
    """Check that transformers did not initialise any weights randomly."""
    random = [*loading_info["missing_keys"], *(entry[0] for entry in loading_info["mismatched_keys"])]
    if random:
        raise UsageError(
            f"{source.name} is not completely trained",
            cause=f"its weights lack {', '.join(sorted(random)[:3])}, which would be random numbers",
            fix=f"fine-tune it: labelstream train DATA --base-model {source.name}",
        )


def _check_labels(labels: list[str], task: Task, source: ModelLocation) -> None:
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


def _task(classifier: PretrainedClassifier, request: ExportRequest) -> Task:
    task = request.task or classifier.task
    allowed = {
        "token": {"token"},
        "regression": {"regression"},
    }.get(classifier.task, {"single-label", "multi-label", "pair"})
    if task not in allowed:
        raise UsageError(
            f"--task {task} does not fit this model",
            cause="the model has one logit, which is a number"
            if classifier.task == "regression"
            else f"its configuration and head are for {classifier.task} classification",
            fix=f"use {' or '.join(f'--task {name}' for name in sorted(allowed))}, or omit --task",
        )
    if task == "token" and request.text_pair:
        raise UsageError(
            "a token classifier reads one text",
            cause="--text-pair was passed for a model that classifies tokens",
            fix="omit --text-pair",
        )
    return task


def _show(console: Console, bundle: Bundle, *, own_texts: bool) -> None:
    lines = [f"bundle  {bundle.reference}  {bundle.path}"]
    lines += [f"task    {bundle.manifest.task}: {', '.join(bundle.manifest.labels[:8])}"]
    for name, entry in bundle.manifest.variants.items():
        parity = entry.parity
        lines.append(
            f"parity  {name}: largest logit difference {parity.max_abs_logit_diff:.1e} (allowed "
            f"{parity.tolerance:.2g}), same label for {parity.label_agreement:.1%} of {parity.rows}"
        )
    if not own_texts:
        lines.append("note    parity was checked on sample texts; --texts FILE checks it on your texts")
    lines.append(f"next    labelstream worker --bundle {bundle.path}")
    console.print("\n".join(lines), soft_wrap=True, markup=False, highlight=False)
