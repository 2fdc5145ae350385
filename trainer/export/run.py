"""From somebody's trained classifier to a bundle, top to bottom."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from stream.bundle import Bundle, Task
from stream.errors import UsageError
from trainer.export.given_texts import read_texts, sample_texts
from trainer.export.package import About, Served, build_bundle, staging_folder
from trainer.export.pretrained import Classifier, load_pretrained, span_rules
from trainer.export.variants import INT8_STATIC, available_variants
from trainer.model.base_model import BaseModel, longest_input
from trainer.progress import Stages
from trainer.quiet import silence_libraries


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for.

    Attributes:
        name: of the bundle.
        store: where bundles live.
        task: what the logits mean; None: as the configuration has it.
        text_pair: whether the model reads two texts.
        max_length: tokens after which a row is cut, if the model takes as many.
        texts: a file of texts like those to come; None: the sample's.
    """

    name: str
    store: Path
    task: Task | None
    text_pair: bool
    max_length: int
    texts: Path | None


def run_export(source: BaseModel, wanted: Wanted, console: Console, warn: Callable[[str], None]) -> Bundle:
    """Load, export, prove, publish.

    Raises:
        UsageError: the model or the texts cannot be used as was asked for.
        BundleError: the exported graph does not say what the model says.
    """
    silence_libraries()
    if wanted.texts is None:
        rows, own = sample_texts(pair=wanted.text_pair), []
    else:
        rows = own = read_texts(wanted.texts, pair=wanted.text_pair)
    with console.status(f"loading {source.name}"):
        found = load_pretrained(source)
    task = _task(found, wanted)
    served = Served(
        task,
        found.labels,
        min(wanted.max_length, longest_input(found.model.config, found.tokenizer)),
        text_pair=wanted.text_pair,
        spans=span_rules(found.labels) if task == "token" else None,
    )
    # Calibrated on foreign texts it would be off on its own, and a proof on foreign texts would not show it.
    variants = [recipe for recipe in available_variants() if own or recipe is not INT8_STATIC]
    with staging_folder(wanted.store, wanted.name) as staging, Stages(console) as stages:
        bundle = build_bundle(
            staging,
            found.model,
            found.tokenizer,
            served,
            rows,
            About(wanted.name, metrics={"exported": {"model": source.name}}),
            wanted.store,
            stages.stage,
            variants=variants,
            warn=warn,
            calibration=own,
        )
    _show(console, bundle, calibrated=bool(own))
    return bundle


def _task(found: Classifier, wanted: Wanted) -> Task:
    task = wanted.task or found.task
    fits = {
        "token": {"token"},
        "regression": {"regression"},
    }.get(found.task, {"single-label", "multi-label", "pair"})
    if task not in fits:
        raise UsageError(
            f"--task {task} is not what this model does",
            cause=f"its configuration and head are those of {found.task} classification"
            if found.task != "regression"
            else "it has one logit, a number",
            fix=f"use {' or '.join(f'--task {name}' for name in sorted(fits))}, or leave --task out",
        )
    if task == "token" and wanted.text_pair:
        raise UsageError(
            "a tagger reads one text",
            cause="--text-pair was given for a model that classifies tokens",
            fix="leave --text-pair out",
        )
    return task


def _show(console: Console, bundle: Bundle, *, calibrated: bool) -> None:
    lines = [f"bundle  {bundle.reference}  {bundle.path}"]
    lines += [f"task    {bundle.manifest.task}: {', '.join(bundle.manifest.labels[:8])}"]
    for name, entry in bundle.manifest.variants.items():
        parity = entry.parity
        lines.append(
            f"parity  {name}: largest logit difference {parity.max_abs_logit_diff:.1e} (allowed "
            f"{parity.tolerance:.2g}), same label for {parity.label_agreement:.1%} of {parity.rows}"
        )
    if not calibrated:
        lines.append("note    proven on texts that come along; --texts FILE proves it on yours")
    lines.append(f"next    labelstream worker --bundle {bundle.path}")
    console.print("\n".join(lines), soft_wrap=True, markup=False, highlight=False)
