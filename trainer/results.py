"""The results folder of an evaluation: figures, tables, pictures and the report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import orjson

from stream import __version__
from stream.bundle import Bundle
from stream.output_files import write_file
from trainer.data.examples import Example
from trainer.evaluation.analysis import AnalysisOptions, analyse
from trainer.evaluation.comparison import Comparison
from trainer.evaluation.csv_tables import FailedRows, write_csv, write_flips, write_predictions
from trainer.evaluation.finding_tables import write_errors, write_findings
from trainer.evaluation.findings import Findings
from trainer.evaluation.page import write_page
from trainer.evaluation.plots import write_plots
from trainer.evaluation.requirements import Outcome
from trainer.evaluation.row_metrics import ScoredRows
from trainer.evaluation.text_report import text_report

LIBRARIES = ("onnxruntime", "numpy", "scikit-learn", "transformers", "torch")
CONFUSION_CELLS = "confusion_cells"
PLOTS_STAGE = "plots and report"


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """The model that gave the answers.

    Attributes:
        bundle: the bundle.
        variant: the precision of the weights.
        device: the device of the inference.
        torch_model: the PyTorch model for the error analysis, a `trainer.evaluation.analysis.AnalysisModel`;
            None if the bundle has no weights.
        training: the rows that the model was trained on, as far as they are known.
    """

    bundle: Bundle
    variant: str
    device: str
    torch_model: Any = None
    training: Sequence[Example] = ()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that the results folder shows.

    Attributes:
        model: the evaluated model.
        scored: the rows with answers.
        failed: the rows that the bundle cannot label.
        data: the description of the data, as metrics.json holds it.
        metrics: the metrics of the rows.
        comparison: the comparison with another bundle.
        outcomes: the outcomes of the required figures.
        options: the settings of the error analysis.
    """

    model: EvaluatedModel
    scored: ScoredRows
    failed: FailedRows
    data: Mapping[str, Any]
    metrics: Mapping[str, Any]
    comparison: Comparison | None = None
    outcomes: Sequence[Outcome] = ()
    options: AnalysisOptions = field(default_factory=AnalysisOptions)


@dataclass(frozen=True, slots=True)
class Written:
    """What was found while the results were written: findings, and columns that had to be renamed."""

    findings: Findings
    renamed: Mapping[str, str]


def write_results(
    folder: Path, evaluation: Evaluation, stage: Callable[[str, int], Callable[[int], None]]
) -> Written:
    """Write all files of an evaluation into an empty folder.

    Args:
        folder: the folder.
        evaluation: the figures and the rows.
        stage: opens a progress bar with a name and a size; returns a callback for finished units.

    Raises:
        UsageError: a file cannot be written.
    """
    rows, model = evaluation.scored.rows, evaluation.model
    about, history = _about(evaluation), read_history(model.bundle)
    write_file(folder / "metrics.json", _metrics_file(evaluation, history))
    write_file(folder / "classification_report.txt", text_report(evaluation.metrics, about).encode())
    if evaluation.metrics.get(CONFUSION_CELLS):
        cells = evaluation.metrics[CONFUSION_CELLS]
        lines = [(rows.labels[actual], rows.labels[predicted], count) for actual, predicted, count in cells]
        write_csv(folder / "confusion.csv", ("label", "predicted", "rows"), lines)
    renamed = write_predictions(folder / "predictions.csv", rows, evaluation.failed)
    if evaluation.comparison is not None and rows.head != "regression":
        write_flips(folder / "flips.csv", evaluation.comparison)
    options = replace(evaluation.options, stage=stage)
    findings = analyse(rows, model.training, model.torch_model, options)
    write_errors(folder / "errors.csv", rows, findings.mistakes)
    write_findings(folder, findings)
    advance = stage(PLOTS_STAGE, 2)
    write_plots(rows, findings, history, folder)
    advance(1)
    metrics = dict(evaluation.metrics)
    if evaluation.comparison is not None:
        metrics["comparison"] = evaluation.comparison.metrics
    write_page(rows, metrics, findings, history, about, folder / "report.html")
    advance(1)
    return Written(findings, renamed)


def read_history(bundle: Bundle) -> list[dict[str, float]]:
    """Return the loss and the validation metrics of each epoch of the bundle's training; empty if unknown."""
    if "metrics.json" not in bundle.manifest.files or not (bundle.path / "metrics.json").is_file():
        return []
    training = orjson.loads(bundle.read("metrics.json")).get("training")
    found = training.get("history") if isinstance(training, dict) else None
    return list(found) if isinstance(found, list) else []


def _about(evaluation: Evaluation) -> dict[str, str]:
    model, data = evaluation.model, evaluation.data
    split = "" if data["split"] == "all" else f", split {data['split']}"
    facts = {
        "bundle": model.bundle.reference,
        "digest": model.bundle.digest,
        "variant": f"{model.variant} on {model.device}",
        "data": f"{data['file']}{split}",
        "rows": f"{data['evaluated']} of {data['rows']}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": ", ".join(f"{name} {found}" for name, found in _versions().items()),
    }
    if evaluation.comparison is not None:
        facts["compared with"] = evaluation.comparison.other
    return facts


def _metrics_file(evaluation: Evaluation, history: Sequence[Mapping[str, float]]) -> bytes:
    model = evaluation.model
    content: dict[str, Any] = {
        "bundle": {
            "reference": model.bundle.reference,
            "digest": model.bundle.digest,
            "task": model.bundle.manifest.task,
            "variant": model.variant,
            "device": model.device,
        },
        "data": {**evaluation.data, "not_labelled": len(evaluation.failed.examples)},
        "metrics": {name: value for name, value in evaluation.metrics.items() if name != CONFUSION_CELLS},
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "libraries": _versions(),
    }
    if evaluation.comparison is not None:
        content["comparison"] = evaluation.comparison.metrics
    if evaluation.outcomes:
        content["requirements"] = [_outcome(outcome) for outcome in evaluation.outcomes]
    if history:
        content["training"] = {"history": list(history)}
    return orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n"


def _outcome(outcome: Outcome) -> dict[str, Any]:
    required = outcome.requirement
    return {
        "figure": required.name,
        "max" if required.is_max else "min": required.value,
        "value": outcome.found,
        "met": outcome.met,
    }


def _versions() -> dict[str, str]:
    found = {"labelstream": __version__}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
