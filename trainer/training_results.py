"""The results folder at the end of a training: the new bundle on its test rows."""

from pathlib import Path
from typing import Any

from rich.console import Console

from stream.bundle import Bundle
from stream.errors import DeviceError, UsageError
from trainer.data.evaluation_data import EvaluationData
from trainer.data.examples import Data, Splits
from trainer.evaluate import EvaluationRequest, evaluate, in_memory_model
from trainer.evaluation.evaluated_rows import EvaluatedRows
from trainer.evaluation_report import show_findings
from trainer.results_folder import default_output

OTHER_FOLDER = "name a folder that you may write to in --results, or leave it out with --no-results"


def write_training_results(
    bundle: Bundle,
    data: Data,
    splits: Splits,
    model: tuple[Any, Any],
    root: Path,
    console: Console,
    out_of_fold: EvaluatedRows | None = None,
) -> list[Path]:
    """Evaluate a new bundle on its test rows, write ROOT/NAME/VERSION, and return the folder.

    An error of the results is reported and does not end the training, whose bundle is complete; nothing is
    returned then.

    Args:
        bundle: the new bundle.
        data: the data of the training.
        splits: the splits of the data.
        model: the trained PyTorch model and its tokenizer.
        root: the folder of all results.
        console: the output for progress and findings.
        out_of_fold: the other rows with the answers of a cross-validation, for the search for label errors.
    """
    output = default_output(bundle, root)
    facts: dict[str, Any] = {
        "file": data.path.name,
        "sha256": bundle.manifest.data.get("sha256"),
        "rows": len(data.examples) + len(data.no_text) + len(data.no_label),
        "evaluated": len(splits.test),
        "split": "test",
        "left_out": {"no_text": len(data.no_text), "no_label": len(data.no_label), "unknown_label": 0},
        "unknown_labels": {},
        "labels_without_rows": [],
    }
    rows = EvaluationData(splits.test, splits.train, data.rows, "test", facts)
    request = EvaluationRequest(output, output_fix=OTHER_FOLDER, out_of_fold=out_of_fold)
    try:
        evaluation, written = evaluate(
            bundle, rows, request, console, torch_model=in_memory_model(bundle, *model)
        )
    except (UsageError, DeviceError) as exc:
        cause = f" ({exc.cause})" if exc.cause else ""
        console.print(
            f"the results were not written: {exc.message}{cause}; {bundle.reference} is complete, and "
            f"`labelstream evaluate {bundle.path} DATA` writes them",
            markup=False,
            highlight=False,
            soft_wrap=True,
            style="yellow",
        )
        return []
    show_findings(console, evaluation, written, output)
    return [output]
