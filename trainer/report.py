"""Console output of a training: its estimated cost and its result."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from stream.bundle import Bundle
from trainer.config import Recipe
from trainer.metric_titles import format_metrics


def show_cost(
    console: Console,
    base: str,
    recipe: Recipe,
    rows: int,
    seconds: float,
    precision: str,
    trained: float,
) -> None:
    """Show the estimated cost of a training before it starts.

    Args:
        console: the output.
        base: the name of the base model.
        recipe: the hyper-parameters.
        rows: the number of training rows, or windows of rows, in an epoch.
        seconds: the estimated seconds of all epochs.
        precision: the precision of the arithmetic.
        trained: the share of the model's weights that are trained, from 0 to 1.
    """
    steps = recipe.steps_per_epoch(rows)
    size = recipe.batch_size * recipe.gradient_accumulation
    part = "" if trained == 1 else f" ({trained:.1%} of its weights)"
    console.print(
        f"training {escape(base)}{part}: at most {recipe.epochs} epochs of {steps} steps = "
        f"{recipe.epochs * steps} steps of {size} texts in {precision}, "
        f"[bold]about {_duration(seconds)}[/], learning rate {recipe.learning_rate:g}, seed {recipe.seed}; "
        f"stops after {recipe.patience} epochs without improvement"
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def show_per_label(console: Console, test: Mapping[str, Any]) -> None:
    """Show precision, recall and F1 of every label on the test split, and its most frequent confusion."""
    if "per_label" not in test:
        return
    confusion = test.get("confusion")
    table = Table(
        "label", "precision", "recall", "F1", "rows", *(["most confused with"] if confusion else [])
    )
    for column in table.columns[1:5]:
        column.justify = "right"
    labels = list(test["per_label"])
    for at, (label, row) in enumerate(test["per_label"].items()):
        figures = [f"{row[name]:.3f}" for name in ("precision", "recall", "f1")]
        wrong = [Text(_most_confused_with(labels, confusion, at))] if confusion else []
        table.add_row(Text(label), *figures, str(row["support"]), *wrong)
    console.print(table)


def _most_confused_with(labels: Sequence[str], confusion: Sequence[Sequence[int]], at: int) -> str:
    wrong = [(count, other) for other, count in enumerate(confusion[at]) if other != at and count]
    most = max(wrong, default=None)
    return f"{labels[most[1]]} ({most[0]})" if most else ""


def _calibration(found: Mapping[str, Any]) -> str:
    test = found["test"]
    return (
        f"temperature {found['temperature']:.2f}; expected calibration error on the test split "
        f"{test['ece_before']:.3f} before, {test['ece_after']:.3f} after"
    )


def show_result(console: Console, bundle: Bundle, metrics: Mapping[str, Any]) -> None:
    """Show the bundle, its scores, its parity with the trained model, and the next command."""
    test = metrics["test"]
    lines = [f"bundle     {bundle.reference}  {bundle.path}"]
    lines.append(f"test       {format_metrics(test)} on {test['rows']} rows")
    if metrics.get("calibration"):
        lines.append(f"calibrated {_calibration(metrics['calibration'])}")
    for name, entry in bundle.manifest.variants.items():
        lines.append(
            f"parity     {name}: largest logit difference {entry.parity.max_abs_logit_diff:.1e} "
            f"(allowed {entry.parity.tolerance:g}), same label for {entry.parity.label_agreement:.1%} "
            f"of {entry.parity.rows} texts"
        )
    store = bundle.path.parent.parent
    where = "" if str(store) == "bundles" else f" --bundle-store {store}"
    lines.append(f"next       labelstream worker --bundle {bundle.manifest.name}{where}")
    if console.is_terminal:
        console.print(Panel(Text("\n".join(lines), overflow="fold"), title="done", border_style="green"))
    else:
        # Lines are not wrapped, so that a path or a command can be copied from a log.
        console.print("\n".join(lines), soft_wrap=True, markup=False, highlight=False)
