"""Console output of an evaluation: its data, its figures, its comparison and its files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream.bundle import Bundle
from stream.short_names import shorten_names
from trainer.data.evaluation_data import EvaluationData
from trainer.evaluation.figures import LABEL_FIGURES
from trainer.evaluation.findings import LABEL_ERRORS_FILE
from trainer.evaluation.text_report import interval_text
from trainer.metric_titles import TITLES
from trainer.results import Evaluation, Written

MAX_LABELS = 20
MAX_NAME_CELLS = 40
MAX_SLICES = 3


def show_evaluation_data(console: Console, bundle: Bundle, data: EvaluationData) -> None:
    """Show the rows that are evaluated, the rows that are left out, and the guesses."""
    facts = data.facts
    _line(console, f"{bundle.reference} on {facts['file']}: {facts['evaluated']} of {facts['rows']} rows")
    for note in data.notes:
        _line(console, f"  {note}")
    titles = {
        "no_text": "without text",
        "no_label": "without label",
        "unknown_label": "whose label the bundle does not know",
    }
    for name, count in facts["left_out"].items():
        if count:
            _line(console, f"  left out: {count} rows {titles[name]}", style="yellow")
    for warning in data.warnings:
        _line(console, f"  {warning}", style="yellow")


def show_evaluation(console: Console, evaluation: Evaluation, written: Written, output: Path) -> None:
    """Show figures with intervals, the weakest labels, the comparison and the findings."""
    _show_figures(console, evaluation.metrics)
    if evaluation.metrics.get("per_label"):
        _show_labels(console, evaluation.metrics)
    if evaluation.comparison is not None:
        _show_comparison(console, evaluation.comparison.metrics)
    show_findings(console, evaluation, written, output)


def show_findings(console: Console, evaluation: Evaluation, written: Written, output: Path) -> None:
    """Show the findings in a line each, and the folder of the results."""
    model = evaluation.model
    _line(console, f"variant    {model.variant} on {model.device}")
    if evaluation.failed.examples:
        count, first = len(evaluation.failed.examples), evaluation.failed.examples[0].row
        _line(
            console,
            f"not labelled: {count} rows, which the figures leave out (first: row {first}, "
            f"{evaluation.failed.errors[0]})",
            style="yellow",
        )
    findings = written.findings
    _line(console, f"mistakes   {len({mistake.index for mistake in findings.mistakes})} rows, in errors.csv")
    for part in findings.slices[:MAX_SLICES]:
        text = f"slice      {part.column} {part.value}: {TITLES[findings.headline]} {part.metric:.3f} "
        text += f"({part.low:.3f} to {part.high:.3f}) on {part.rows} rows"
        _line(console, text)
    if findings.suspicions:
        _line(console, f"labels     {len(findings.suspicions)} probable label errors, in {LABEL_ERRORS_FILE}")
    for name, used in written.renamed.items():
        _line(console, f"column     {name} is named {used} in predictions.csv: the input has a column {name}")
    for outcome in evaluation.outcomes:
        status = "met" if outcome.met else "NOT MET"
        _line(console, f"required   {outcome.text}: {status}", style="" if outcome.met else "red")
    _line(console, f"results    {output}  (open {output / 'report.html'})")


def _show_figures(console: Console, metrics: Mapping[str, Any]) -> None:
    table = Table("figure", "value", "95% interval")
    table.columns[1].justify = "right"
    for name, title in TITLES.items():
        if name in metrics:
            value = "undefined" if metrics[name] is None else f"{metrics[name]:.4f}"
            table.add_row(title, value, interval_text(metrics["intervals"].get(name)))
    table.add_section()
    table.add_row("rows", str(metrics["rows"]), "")
    console.print(table)


def _show_labels(console: Console, metrics: Mapping[str, Any]) -> None:
    """Show the figures of the labels; of many labels those with rows and the lowest F1."""
    per_label, ends = metrics["per_label"], metrics.get("per_label_intervals", {})
    shown: Sequence[str] = list(per_label)
    if len(per_label) > MAX_LABELS:
        with_rows = [label for label in per_label if per_label[label]["support"]]
        shown = sorted(with_rows, key=lambda label: (per_label[label]["f1"], label))[:MAX_LABELS]
    table = Table("label", *LABEL_FIGURES, "95% interval of f1", "rows")
    for column in table.columns[1:]:
        column.justify = "right"
    for label, name in shorten_names(shown, MAX_NAME_CELLS).items():
        row = per_label[label]
        figures = [f"{row[figure]:.3f}" for figure in LABEL_FIGURES]
        table.add_row(Text(name), *figures, interval_text(ends.get(label, {}).get("f1")), str(row["support"]))
    console.print(table)
    if len(shown) < len(per_label):
        _line(
            console,
            f"the {len(shown)} labels with the lowest F1 of {len(per_label)}; "
            "classification_report.txt has all labels",
        )


def _show_comparison(console: Console, metrics: Mapping[str, Any]) -> None:
    table = Table("figure", "this bundle", metrics["bundle"], "difference", "95% interval", "better")
    for column in table.columns[1:4]:
        column.justify = "right"
    for name, row in metrics["differences"].items():
        values = ["" if row[key] is None else f"{row[key]:.4f}" for key in ("value", "other")]
        difference = "" if row["difference"] is None else f"{row['difference']:+.4f}"
        better = {"this": "this bundle", "other": metrics["bundle"]}.get(row["better"], row["better"] or "")
        table.add_row(TITLES[name], *values, difference, interval_text(row["interval"]), better)
    console.print(table)
    if "mcnemar" in metrics:
        test = metrics["mcnemar"]
        _line(
            console,
            f"only this bundle is right on {test['only_this']} rows, only {metrics['bundle']} on "
            f"{test['only_other']}; McNemar ({test['test']}): p = {test['p_value']:.4g}; "
            f"{sum(metrics['flips'].values())} rows with another answer, in flips.csv",
        )


def _line(console: Console, text: str, style: str = "") -> None:
    """Print a line without wrapping, so that a path or a command can be copied from a log."""
    console.print(text, soft_wrap=True, markup=False, highlight=False, style=style or None)
