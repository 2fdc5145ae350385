"""What the reader sees: the cost of a training, and its result."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from stream.bundle import Bundle
from trainer.recipe import PATIENCE, Recipe


def show_cost(console: Console, base: str, recipe: Recipe, rows: int) -> None:
    """What the run costs at most, before it starts."""
    steps = recipe.steps_per_epoch(rows)
    console.print(
        f"training {escape(base)}: at most {recipe.epochs} epochs of {steps} steps = "
        f"{recipe.epochs * steps} steps of {recipe.batch_size} texts, "
        f"learning rate {recipe.learning_rate:g}, seed {recipe.seed}; "
        f"stops when {PATIENCE} epochs bring nothing better"
    )


def show_per_label(console: Console, test: Mapping[str, Any]) -> None:
    """Precision, recall and F1 of every label on the test part, and what it is taken for most."""
    table = Table("label", "precision", "recall", "F1", "rows", "taken most for")
    for column in table.columns[1:5]:
        column.justify = "right"
    labels = list(test["per_label"])
    for at, (label, row) in enumerate(test["per_label"].items()):
        wrong = [(count, other) for other, count in enumerate(test["confusion"][at]) if other != at and count]
        most = max(wrong, default=None)
        table.add_row(
            Text(label),
            *(f"{row[name]:.3f}" for name in ("precision", "recall", "f1")),
            str(row["support"]),
            Text(f"{labels[most[1]]} ({most[0]})" if most else ""),
        )
    console.print(table)


def show_result(console: Console, bundle: Bundle, metrics: Mapping[str, Any]) -> None:
    """The bundle, its scores, its proof, and the next command."""
    test = metrics["test"]
    lines = [f"bundle     {bundle.reference}  {bundle.path}"]
    lines.append(
        f"test       accuracy {test['accuracy']:.3f}, macro-F1 {test['macro_f1']:.3f} on {test['rows']} rows"
    )
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
        # Whole lines, so that a path or a command can be copied out of a log.
        console.print("\n".join(lines), soft_wrap=True, markup=False, highlight=False)
