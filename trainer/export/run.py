"""The export of a trained classifier to a bundle."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from stream.bundle import Bundle, Task
from stream.errors import UsageError
from trainer.config import BaseModel
from trainer.export.bundle_source import BuildObserver, BundleInfo, BundleSource, InferenceConfig
from trainer.export.package import build_bundle, staging_folder
from trainer.export.pretrained import PretrainedClassifier, load_pretrained, span_rules
from trainer.export.reference import read_texts, sample_texts
from trainer.export.variants import INT8_STATIC, available_variants
from trainer.model.base_model import longest_input
from trainer.progress import Stages
from trainer.silence import silence_libraries


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


def run_export(
    source: BaseModel, request: ExportRequest, console: Console, warn: Callable[[str], None]
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
