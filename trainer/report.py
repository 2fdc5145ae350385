"""What the reader sees: the data before training, its cost, and the result."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from stream.bundle import Bundle
from trainer.data import Data, duplicates
from trainer.recipe import PATIENCE, Recipe
from trainer.splits import SHARES, Splits

TRUNCATED_SHARE_TO_WARN = 0.05
MOST_NUMBERS = 10
BAR_CELLS = 24


def show_data(console: Console, data: Data) -> None:
    """Which columns were taken, how many rows, and which rows were left out."""
    columns = data.columns
    roles = [("text", columns.text), ("label", columns.label), ("id", columns.id), ("time", columns.time)]
    roles.append(("group", columns.group))
    console.print(
        f"[bold]{escape(data.path.name)}[/]: {len(data.examples)} rows with text and label; columns: "
        + ", ".join(f"{role} = {escape(name)}" for role, name in roles if name)
    )
    times = [example.time for example in data.examples if example.time]
    if times:
        console.print(f"  from {escape(min(times))} to {escape(max(times))}")
    for what, rows in (("text", data.no_text), ("label", data.no_label)):
        if rows:
            shown = ", ".join(map(str, rows[:MOST_NUMBERS])) + (", …" if len(rows) > MOST_NUMBERS else "")
            console.print(f"  [yellow]left out: {len(rows)} rows without {what}[/] (rows {shown})")
    repeated, contradictory = duplicates(data.examples)
    if repeated:
        console.print(
            f"  {repeated} rows repeat an earlier text (case and spaces aside); each text stays in one part"
        )
    if contradictory:
        console.print(f"  [yellow]{contradictory} texts bear more than one label[/]")


def show_splits(console: Console, data: Data, splits: Splits) -> None:
    """Rows of each label, in all and by part."""
    table = Table("label", "rows", "share", *SHARES)
    for column in table.columns[1:]:
        column.justify = "right"
    counts = {
        name: Counter(label for example in getattr(splits, name) for label in example.names)
        for name in SHARES
    }
    for label, rows in data.class_counts.items():
        table.add_row(
            Text(label),
            str(rows),
            f"{rows / len(data.examples):.0%}",
            *(str(counts[name][label]) for name in SHARES),
        )
    table.add_section()
    table.add_row("all", str(len(data.examples)), "100%", *(str(rows) for rows in splits.sizes.values()))
    console.print(table)


def show_lengths(console: Console, lengths: Sequence[int], max_length: int) -> None:
    """A histogram of text lengths, tokens, and how many texts are cut."""
    p50, p95 = np.percentile(lengths, [50, 95])
    cut = sum(length > max_length for length in lengths) / len(lengths)
    console.print(
        f"tokens per text: p50 {p50:.0f}, p95 {p95:.0f}, longest {max(lengths)}; cut after {max_length}"
    )
    powers = Counter(max(3, int(length - 1).bit_length()) for length in lengths)
    for power in range(min(powers), max(powers) + 1):
        cells = round(BAR_CELLS * powers[power] / max(powers.values()))
        console.print(f"  to {2**power:>6} [cyan]{'█' * cells:<{BAR_CELLS}}[/] {powers[power]}")
    if cut > TRUNCATED_SHARE_TO_WARN:
        console.print(f"  [yellow]{cut:.1%} of the texts are cut[/]; --max-length takes more, at more cost")
    elif cut:
        console.print(f"  {cut:.1%} of the texts are cut")


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
