"""report.html: an evaluation as one self-contained page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.evaluation.evaluated_rows import EvaluatedRows
from trainer.evaluation.findings import Findings

__all__ = ["write_page"]


def write_page(
    rows: EvaluatedRows,
    metrics: Mapping[str, Any],
    findings: Findings,
    history: Sequence[Mapping[str, float]],
    about: Mapping[str, str],
    file: Path,
) -> None:
    """Write the report, which loads nothing from other files or hosts and has at most 5 MB.

    Args:
        rows: the evaluated rows.
        metrics: the metrics of the rows, as in metrics.json.
        findings: the findings of the error analysis.
        history: the loss and the validation metrics of each epoch; empty if unknown.
        about: facts by name, such as the bundle, the data and the date.
        file: the page.

    Raises:
        UsageError: the file cannot be written.
    """
    from stream.output_files import write_file
    from trainer.evaluation.page.render import render_page

    write_file(file, render_page(rows, metrics, findings, history, about))
