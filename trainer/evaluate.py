"""The procedure of an evaluation: answers, figures, comparison, results folder and required figures."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from stream.bundle import Bundle, HeadKind, SpanRules, TargetScale
from stream.classify import probabilities
from stream.errors import DeviceError, UsageError
from trainer.data.evaluation_data import EvaluationData
from trainer.data.examples import Example
from trainer.data.input_rows import InputRows
from trainer.evaluation.analysis import AnalysisOptions, check_costs, parse_costs
from trainer.evaluation.bundle_model import Answers, BundleModel, open_bundle_model
from trainer.evaluation.comparison import Comparison, check_comparable, compare_rows
from trainer.evaluation.csv_tables import FailedRows
from trainer.evaluation.evaluated_rows import EvaluatedRows
from trainer.evaluation.requirements import Requirement, check_requirements
from trainer.evaluation.row_metrics import ScoredRows
from trainer.model.encoding import Preprocessing
from trainer.model.vectors import InMemoryModel
from trainer.progress import Stages, silence_libraries
from trainer.results import EvaluatedModel, Evaluation, Written, write_results
from trainer.results_folder import FIX, results_folder
from trainer.trained_classifier import load_trained


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """The settings of an evaluation.

    Attributes:
        output: the results folder.
        variant: the precision of the weights, or auto.
        device: the device of the inference, or auto.
        requirements: the figures that the bundle must reach.
        costs: the text of `--cost`; None for equal costs.
        seed: the seed of the bootstrap.
        output_fix: the fix of an error of the results folder.
        out_of_fold: further rows with the answers of a cross-validation, which are searched for label errors.
    """

    output: Path
    variant: str = "auto"
    device: str = "auto"
    requirements: Sequence[Requirement] = ()
    costs: str | None = None
    seed: int = 0
    output_fix: str = FIX
    out_of_fold: EvaluatedRows | None = None


def evaluate(
    bundle: Bundle,
    data: EvaluationData,
    request: EvaluationRequest,
    console: Console,
    *,
    other: Bundle | None = None,
    torch_model: InMemoryModel | None = None,
) -> tuple[Evaluation, Written]:
    """Evaluate a bundle on labelled rows and write the results folder.

    Args:
        bundle: the verified bundle.
        data: the rows.
        request: the settings.
        console: the output for progress.
        other: the bundle to compare with.
        torch_model: the PyTorch model of the bundle, if it is in memory; None loads it.

    Raises:
        UsageError: the results cannot be written, or the other bundle cannot be compared.
        DeviceError: the device cannot be used, or the bundle has no such variant for it.
    """
    silence_libraries()
    costs = parse_costs(request.costs) if request.costs is not None else None
    manifest = bundle.manifest
    check_costs(costs, manifest.head, manifest.labels)
    if other is not None:
        check_comparable(manifest, other.manifest, other.reference)
    options = AnalysisOptions(
        costs=costs,
        seed=request.seed,
        split=_analysis_split(data.split),
        out_of_fold=request.out_of_fold,
    )
    with (
        results_folder(request.output, bundle.path, fix=request.output_fix) as folder,
        Stages(console) as stages,
    ):
        opened = open_bundle_model(bundle, request.variant, request.device)
        with contextlib.closing(opened):
            scored, failed = answer_rows(opened, data.examples, data.rows, stages)
        if not scored.rows.examples:
            raise UsageError(
                "the bundle can label no row",
                cause=failed.errors[0],
                fix=f"check the bundle: labelstream verify {bundle.path}",
            )
        metrics = scored.metrics(request.seed)
        evaluation = Evaluation(
            EvaluatedModel(
                bundle, opened.variant, opened.device, torch_model or _load(bundle), data.training
            ),
            scored,
            failed,
            data.facts,
            metrics,
            None if other is None else _compare(other, scored, data.rows, request, stages),
            check_requirements(request.requirements, metrics),
            options,
        )
        written = write_results(folder, evaluation, stages.stage)
    return evaluation, written


def answer_rows(
    model: BundleModel, examples: Sequence[Example], rows: InputRows, stages: Stages
) -> tuple[ScoredRows, FailedRows]:
    """Return the rows that a bundle labels with its answers, and the rows that it cannot label."""
    manifest = model.bundle.manifest
    advance = stages.stage(f"label with {model.bundle.reference}", len(examples))
    answers = model.answer([example.input for example in examples], advance)
    good = [at for at, logits in enumerate(answers.logits) if logits is not None]
    bad = [at for at, logits in enumerate(answers.logits) if logits is None]
    failed = FailedRows(
        [examples[at] for at in bad],
        [answers.members[at]["error"] for at in bad],
        rows.of_rows([examples[at].row for at in bad]),
    )
    kept = [examples[at] for at in good]
    logits = _logits(answers, good, manifest.head, len(manifest.labels))
    found = None
    if manifest.head in ("single-label", "multi-label"):
        found = probabilities(manifest, np.asarray(logits))
    evaluated = EvaluatedRows(
        manifest.head,
        manifest.labels,
        manifest.values,
        kept,
        logits,
        found,
        [answers.members[at] for at in good],
        manifest.thresholds,
        manifest.abstain_below,
        rows.of_rows([example.row for example in kept]),
        manifest.spans or SpanRules(),
    )
    return ScoredRows(evaluated), failed


def _logits(answers: Answers, rows: Sequence[int], head: HeadKind, labels: int) -> Any:
    found = [answers.logits[at] for at in rows]
    if head == "token":
        return found
    return np.stack(found) if found else np.zeros((0, labels), np.float32)  # type: ignore[arg-type]


def _compare(
    other: Bundle, scored: ScoredRows, rows: InputRows, request: EvaluationRequest, stages: Stages
) -> Comparison:
    """Compare with another bundle on the rows that both label."""
    with contextlib.closing(_open_other(other, request)) as opened:
        theirs, failed = answer_rows(opened, scored.rows.examples, rows, stages)
    both = {example.row for example in theirs.rows.examples}
    comparison = compare_rows(_only(scored, both), theirs, other.reference, request.seed)
    comparison.metrics["variant"] = opened.variant
    comparison.metrics["not_labelled"] = len(failed.examples)
    return comparison


def _open_other(other: Bundle, request: EvaluationRequest) -> BundleModel:
    """Open the same variant of the other bundle, or its fastest one if it lacks that variant."""
    try:
        return open_bundle_model(other, request.variant, request.device)
    except DeviceError:
        return open_bundle_model(other, "auto", request.device)


def _only(scored: ScoredRows, numbers: set[int]) -> ScoredRows:
    """Return the rows with the given row numbers."""
    rows = scored.rows
    kept = [at for at, example in enumerate(rows.examples) if example.row in numbers]
    if len(kept) == len(rows.examples):
        return scored
    return ScoredRows(
        replace(
            rows,
            examples=[rows.examples[at] for at in kept],
            logits=[rows.logits[at] for at in kept] if isinstance(rows.logits, list) else rows.logits[kept],
            probabilities=None if rows.probabilities is None else rows.probabilities[kept],
            predictions=[rows.predictions[at] for at in kept],
            columns={name: [cells[at] for at in kept] for name, cells in rows.columns.items()},
        )
    )


def _load(bundle: Bundle) -> InMemoryModel | None:
    """Load the PyTorch model of a bundle; None if the bundle has no weights."""
    if not any(name.endswith(".safetensors") for name in bundle.manifest.files):
        return None
    if not any(bundle.path.glob("*.safetensors")):
        return None
    trained = load_trained(bundle.path, bundle.path.parent)
    return in_memory_model(bundle, trained.model, trained.tokenizer)


def in_memory_model(bundle: Bundle, model: Any, tokenizer: Any) -> InMemoryModel:
    """Return the PyTorch model of a bundle as an error analysis uses it."""
    manifest = bundle.manifest
    return InMemoryModel(
        model,
        tokenizer,
        Preprocessing(manifest.max_length, manifest.windows, manifest.metadata),
        manifest.head,
        manifest.temperature,
        manifest.target or TargetScale(),
        manifest.spans or SpanRules(),
    )


def _analysis_split(split: str) -> str:
    return "data" if split == "all" else split
