"""The figures of an evaluation, as PNG files and for the report."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.evaluation.evaluated_rows import EvaluatedRows
from trainer.evaluation.findings import Findings

if TYPE_CHECKING:
    from trainer.evaluation.plots.drawing import Plot, Style

__all__ = ["make_plots", "write_plots"]


def write_plots(
    rows: EvaluatedRows,
    findings: Findings,
    history: Sequence[Mapping[str, float]],
    folder: Path,
) -> list[Path]:
    """Write the figures that apply to the task as PNG files on a white background.

    Args:
        rows: the evaluated rows.
        findings: the findings of the error analysis.
        history: the loss and the validation metrics of each epoch; empty if unknown.
        folder: an existing folder.

    Returns:
        The files: confusion_matrix.png, pr_curves.png, roc_curves.png, reliability.png, score_histogram.png,
        length_histogram.png, learning_curves.png, cost_curves.png, for a regression scatter.png and
        residuals.png, for spans spans_by_type.png. A figure without data is left out.

    Raises:
        UsageError: a file cannot be written.
    """
    from stream.output_files import write_file
    from trainer.evaluation.palette import LIGHT
    from trainer.evaluation.plots.drawing import Style, drawing, png_bytes
    from trainer.evaluation.plots.fonts import font_families

    names = [*rows.labels, *(curve.label for curve in findings.cost_curves)]
    style = Style(LIGHT, font_families(names))
    files = []
    with drawing(style):
        for plot in make_plots(rows, findings, history, style):
            file = folder / f"{plot.name}.png"
            write_file(file, png_bytes(plot.figure))
            files.append(file)
    return files


def make_plots(
    rows: EvaluatedRows, findings: Findings, history: Sequence[Mapping[str, float]], style: "Style"
) -> "Iterator[Plot]":
    """Draw the figures that apply to the task, inside a block of `drawing`."""
    from trainer.evaluation.plots.confusion import confusion_plot
    from trainer.evaluation.plots.costs import cost_plot
    from trainer.evaluation.plots.curves import curve_plots
    from trainer.evaluation.plots.learning import learning_plot
    from trainer.evaluation.plots.lengths import length_plot
    from trainer.evaluation.plots.regression import regression_plots
    from trainer.evaluation.plots.scores import score_plots
    from trainer.evaluation.plots.spans import span_plot

    yield from filter(None, [confusion_plot(rows, style), span_plot(rows, style)])
    yield from regression_plots(rows, style)
    yield from curve_plots(rows, style)
    yield from score_plots(rows, style)
    single = [length_plot(rows, style), learning_plot(history, style), cost_plot(findings.cost_curves, style)]
    yield from filter(None, single)
