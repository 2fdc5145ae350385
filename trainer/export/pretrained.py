"""The export of a classifier that is already trained: its configuration, its weights and its bundle."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from stream.bundle import Bundle, Task
from stream.errors import UsageError
from trainer.config import ModelLocation, VariantSettings
from trainer.export.bundle_source import BuildObserver, BundleInfo, BundleSource, InferenceConfig
from trainer.export.graph import check_exportable
from trainer.export.package import build_bundle, staging_folder
from trainer.export.reference import read_texts, sample_texts
from trainer.export.saved_settings import (
    changes,
    inference_of,
    metrics_of,
    reference_texts,
    source_bundle,
)
from trainer.export.span_rules import describe_spans, span_rules
from trainer.export.summary import variant_table
from trainer.export.variants import plan_variants
from trainer.model.base_location import printable
from trainer.model.base_model import load_tokenizer, longest_input
from trainer.model.label_names import label_names
from trainer.model.loading import loading, random_weights
from trainer.model.model_config import TOKEN_CLASS, head_class, read_config
from trainer.model.model_files import check_weights, fine_tuning
from trainer.model.saving import classifier_class, inner_model, load_config
from trainer.progress import Stages, silence_libraries

DEFAULT_MAX_LENGTH = 512

# Weights of a numbered layer; older models also store constants there, such as the frequencies of positions.
LAYER = re.compile(r"\.layers?\.\d+\.(?!.*(inv_freq|position_ids|masked_bias))")


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """The arguments of `labelstream export`.

    Attributes:
        name: the name of the bundle.
        store: the bundle store.
        task: the meaning of the logits; None uses the model's configuration.
        text_pair: whether the model reads two texts.
        max_length: the number of tokens after which a text is truncated, if the model supports as many;
            None uses that of the exported bundle, or 512.
        texts: a file with representative texts; None uses those of the exported bundle, or the bundled
            sample.
        variants: the variants to make, and those to publish although they fail their parity check.
        weights: whether the bundle holds the PyTorch weights.
    """

    name: str
    store: Path
    task: Task | None
    text_pair: bool
    max_length: int | None
    texts: Path | None
    variants: VariantSettings = field(default_factory=VariantSettings)
    weights: bool = True


@dataclass(frozen=True, slots=True)
class PretrainedClassifier:
    """A classifier that is already trained.

    Attributes:
        model: a classifier of transformers, float32.
        tokenizer: its fast tokenizer.
        task: the task according to its configuration.
        labels: the values of `id2label`, in the order of the logits.
        settings: the settings of the bundle that the model comes from; None for another model.
    """

    model: Any
    tokenizer: Any
    task: Task
    labels: list[str]
    settings: InferenceConfig | None = None


def export_pretrained(
    source: ModelLocation, request: ExportRequest, console: Console, warn: Callable[[str], None]
) -> Bundle:
    """Load a classifier, export it, check its parity and publish the bundle.

    Raises:
        UsageError: the model or the texts do not fit the request.
        BundleError: the exported graph does not match the model.
    """
    silence_libraries()
    bundle = source_bundle(source)
    # Calibration on unrelated texts would reduce the accuracy on the user's texts, and a parity check on
    # unrelated texts would not detect that.
    variants = plan_variants(request.variants, calibrated=request.texts is not None or bundle is not None)
    own = [] if request.texts is None else read_texts(request.texts, pair=request.text_pair)
    with console.status(f"loading {source.name}"):
        classifier = load_pretrained(source)
    if classifier.tokenizer.init_kwargs.get("truncation_side") == "left":
        warn("its tokenizer keeps the end of a long text; the worker keeps the beginning")
    inference = _inference(classifier, request, source.name)
    if request.texts is not None and inference.takes_pair != request.text_pair:
        own = read_texts(request.texts, pair=inference.takes_pair)
    if bundle is not None and not own:
        own = reference_texts(bundle, classifier.tokenizer)
    rows = own or sample_texts(pair=inference.takes_pair)
    info = BundleInfo(request.name, metrics={"exported": {"model": source.name}})
    if bundle is not None and classifier.settings is not None and not changes(classifier.settings, inference):
        info = BundleInfo(request.name, bundle.manifest.data, {**metrics_of(bundle), **info.metrics})
    bundle_source = BundleSource(
        classifier.model,
        classifier.tokenizer,
        inference,
        info,
        rows,
        calibration=own,
        variants=variants,
        weights=request.weights,
    )
    with staging_folder(request.store, request.name) as staging, Stages(console) as stages:
        built = build_bundle(bundle_source, staging, request.store, BuildObserver(stages.stage, warn))
    _show(console, built, own_texts=bool(own))
    return built


def load_pretrained(source: ModelLocation) -> PretrainedClassifier:
    """Load a classifier from a folder or the Hub, with weights from safetensors only.

    Raises:
        UsageError: the model has no classification head, an untrained head, pickled weights, labels that a
            bundle does not support, or an architecture that cannot be exported.
    """
    content = read_config(source)
    token = head_class(content, source).endswith(TOKEN_CLASS)
    labels = label_names(content, source.name)
    with loading(source):
        config = load_config(source)
    model_class = classifier_class(config, token=token)
    check_weights(source, model_class.__name__)
    encoder, tokenizer = load_tokenizer(source)
    check_exportable(encoder.model_type, token=token)
    settings = inference_of(config, source)
    task = settings.task if settings is not None else task_of(config, token=token)
    _check_labels(labels, task, source)
    with loading(source):
        model, loading_info = model_class.from_pretrained(
            source.source,
            local_files_only=source.local,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            # Other sizes are reported below, by the name and shapes of the tensor.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    _check_trained(loading_info, model, source)
    model.config.pad_token_id = tokenizer.pad_token_id
    return PretrainedClassifier(inner_model(model), tokenizer, task, labels, settings)


def task_of(config: Any, *, token: bool) -> Task:
    """Return the task of a configuration: `problem_type`, or without it the default of transformers."""
    if token:
        return "token"
    if config.problem_type == "multi_label_classification":
        return "multi-label"
    if config.problem_type == "regression" or (config.problem_type is None and config.num_labels == 1):
        return "regression"
    return "single-label"


def _check_trained(loading_info: Mapping[str, Any], model: Any, source: ModelLocation) -> None:
    """Check that the weights are those of the model: none is random, and no layer is left out."""
    missing, mismatched = random_weights(loading_info)
    unread = sorted(name for name in loading_info["unexpected_keys"] if LAYER.search(name))
    adapted = any("lora_" in name or "base_layer" in name for name in unread)
    encoder = any(name.startswith(f"{model.base_model_prefix}.") for name in missing)
    if mismatched:
        name = mismatched[0]
        expected = list(model.state_dict()[name].shape)
        raise UsageError(
            f"the weights of {source.name} do not fit its config.json",
            cause=f"{name} has another shape than {expected}, which config.json asks for"
            + (
                f"; id2label names {model.config.num_labels} labels"
                if expected[0] == model.config.num_labels
                else ""
            ),
            fix="correct config.json: id2label names every logit, and the sizes are those of the weights",
        )
    if adapted:
        raise UsageError(
            f"{source.name} is not completely trained",
            cause=f"its weights hold an adapter of peft that is not merged: {unread[0]}",
            fix="merge the adapter before saving: model.merge_and_unload().save_pretrained(FOLDER)",
        )
    if missing:
        raise UsageError(
            f"{source.name} is not completely trained",
            cause=f"its weights lack {', '.join(missing[:3])}, which would be random numbers",
            fix="copy config.json and the weights from the same model"
            if encoder
            else f"fine-tune it: {fine_tuning(source)}",
        )
    if unread:
        raise UsageError(
            f"the weights of {source.name} do not fit its config.json",
            cause=f"config.json describes a model without {', '.join(unread[:3])}",
            fix="copy config.json and the weights from the same model",
        )


def _check_labels(labels: list[str], task: Task, source: ModelLocation) -> None:
    cause = ""
    if task == "regression" and len(labels) != 1:
        cause = f"it predicts {len(labels)} numbers at once, and a bundle supports one"
    elif task == "single-label" and len(labels) == 1:
        cause = "it has only one label, and the softmax over one label is always 1"
    if cause:
        raise UsageError(
            f"{source.name} cannot be exported to a bundle",
            cause=cause,
            fix="correct id2label and problem_type in its config.json",
        )


def _inference(classifier: PretrainedClassifier, request: ExportRequest, source: str) -> InferenceConfig:
    """Return the settings of the new bundle: those of the request, else those of the model's own bundle."""
    task = _task(classifier, request)
    longest = longest_input(classifier.model.config, classifier.tokenizer)
    settings = classifier.settings
    if settings is None:
        return InferenceConfig(
            task,
            classifier.labels,
            min(request.max_length or DEFAULT_MAX_LENGTH, longest),
            text_pair=request.text_pair,
            spans=span_rules(classifier.labels, source) if task == "token" else None,
        )
    same_head = {task, settings.task} <= {"single-label", "pair"} or task == settings.task
    return replace(
        # Temperature and thresholds were fitted for one head.
        settings if same_head else replace(settings, temperature=1.0, thresholds=None, values=None),
        task=task,
        max_length=min(request.max_length or settings.max_length, longest),
        text_pair=request.text_pair or settings.text_pair,
        spans=settings.spans or (span_rules(classifier.labels, source) if task == "token" else None),
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
    path = printable(str(bundle.path))
    lines = [f"bundle  {bundle.reference}  {path}"]
    lines += [f"task    {bundle.manifest.task}: {', '.join(bundle.manifest.labels[:8])}"]
    if bundle.manifest.spans is not None:
        lines.append(f"spans   {describe_spans(bundle.manifest.spans, bundle.manifest.labels)}")
    for name, entry in bundle.manifest.variants.items():
        parity = entry.parity
        lines.append(
            f"parity  {name}: largest logit difference {parity.max_abs_logit_diff:.1e} (allowed "
            f"{parity.tolerance:.2g}), same label for {parity.label_agreement:.1%} of {parity.rows}"
        )
    if not own_texts:
        lines.append("note    parity was checked on sample texts; --texts FILE checks it on your texts")
    console.print(variant_table(bundle.manifest))
    lines.append(f"next    labelstream worker --bundle {path}")
    console.print("\n".join(lines), soft_wrap=True, markup=False, highlight=False)
