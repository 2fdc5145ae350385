"""Console output of a training: its data, its estimated cost and its result."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from stream.bundle import Bundle, MetadataColumn, NumericColumn
from trainer.config import Recipe
from trainer.data.duplicates import LeakReport, count_repeats
from trainer.data.examples import SHARES, Data, Example, Splits, missing_shares
from trainer.data.labels import tag_scheme
from trainer.metric_titles import format_metrics

TRUNCATED_SHARE_TO_WARN = 0.05
MAX_ROW_NUMBERS = 10
MAX_LEAKS = 3
MAX_CHARACTERS = 90
BAR_CELLS = 24


def show_data(console: Console, data: Data) -> None:
    """Show the columns, the number of rows, the guesses and corrections, and the skipped rows."""
    columns = data.columns
    roles = [
        ("text", columns.text),
        ("second text", columns.text_pair),
        ("label", columns.label),
        ("metadata", ", ".join(columns.metadata)),
        ("id", columns.id),
        ("time", columns.time),
        ("group", columns.group),
    ]
    console.print(
        f"[bold]{escape(data.path.name)}[/]: {len(data.examples)} rows with text and label; columns: "
        + "; ".join(f"{role} = {escape(name)}" for role, name in roles if name)
    )
    for note in data.notes:
        console.print(f"  {escape(note)}")
    times = [example.time for example in data.examples if example.time]
    if times:
        console.print(f"  from {escape(min(times))} to {escape(max(times))}")
    for missing, rows in (("text", data.no_text), ("label", data.no_label)):
        if rows:
            console.print(
                f"  [yellow]skipped: {len(rows)} rows without {missing}[/] (rows {_row_numbers(rows)})"
            )
    repeated, conflicting = count_repeats(data.examples)
    if repeated:
        console.print(f"  {repeated} rows repeat an earlier text (ignoring case and white space)")
    if conflicting:
        targets = "numbers" if data.task == "regression" else "labels"
        console.print(f"  [yellow]{conflicting} texts occur with conflicting {targets}[/]")


def show_splits(console: Console, data: Data, splits: Splits) -> None:
    """Show for each split the rows per label, the spans or words per tag, or the distribution of numbers."""
    table = _number_table(data, splits) if data.task == "regression" else _label_table(data, splits)
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_section()
    rows = sum(splits.sizes.values())
    blank = [""] * (len(table.columns) - 2 - len(SHARES))
    table.add_row("rows", str(rows), *blank, *(str(size) for size in splits.sizes.values()))
    console.print(table)
    if splits.dropped:
        numbers = _row_numbers([example.row for example in splits.dropped])
        console.print(
            f"  [yellow]dropped: {len(splits.dropped)} extra rows[/] "
            f"whose text occurs in validation or test (rows {numbers})"
        )


def _row_numbers(rows: Sequence[int]) -> str:
    return ", ".join(map(str, rows[:MAX_ROW_NUMBERS])) + (", …" if len(rows) > MAX_ROW_NUMBERS else "")


def _label_table(data: Data, splits: Splits) -> Table:
    spans = data.task == "token" and tag_scheme(data.labels) == "bio"
    counts = {name: Counter(_labels_or_types(getattr(splits, name), spans=spans)) for name in SHARES}
    totals = sum(counts.values(), Counter[str]())
    base = sum(splits.sizes.values()) if data.task != "token" else sum(totals.values())
    unit = "label" if data.task != "token" else "spans" if spans else "words"
    table = Table(unit, "all", "share", *SHARES)
    labels = sorted(totals) if spans else data.labels
    for label in labels:
        split_counts = [counts[name][label] for name in SHARES]
        cells = [Text(str(count), style="" if count else "yellow") for count in split_counts]
        table.add_row(Text(label), str(totals[label]), f"{totals[label] / max(1, base):.1%}", *cells)
    return table


def _labels_or_types(examples: Sequence[Example], *, spans: bool) -> list[str]:
    """Return all labels of the examples, or the type of each span."""
    labels = [label for example in examples for label in example.labels]
    return [tag[2:] for tag in labels if tag.startswith("B-")] if spans else labels


def _number_table(data: Data, splits: Splits) -> Table:
    table = Table(data.columns.label, "all", *SHARES)
    examples = [splits.train + splits.validation + splits.test, splits.train, splits.validation, splits.test]
    numbers = [[e.target for e in column if isinstance(e.target, float)] for column in examples]
    for name, statistic in (("mean", np.mean), ("std", np.std), ("min", np.min), ("max", np.max)):
        table.add_row(name, *(f"{statistic(values):.4g}" if values else "" for values in numbers))
    return table


def show_leaks(console: Console, report: LeakReport) -> None:
    """Show how many validation and test texts occur in an earlier split, with some of them."""
    metrics = report.as_metrics()
    descriptions = {
        "equal": "texts also occur",
        "near": "texts have near duplicates (similarity 0.8 or more)",
    }
    for kind, description in descriptions.items():
        for pair, count in metrics[kind].items():
            held_out, _, other = pair.partition(" in ")
            console.print(f"  [yellow]{count} {held_out} {description} in {other}[/]")
        for leak in [leak for leak in report.leaks if leak.kind == kind][:MAX_LEAKS]:
            examples = [(leak.example, leak.split), (leak.other, leak.other_split)]
            for example, split in examples if kind == "near" else examples[:1]:
                line = f"    row {example.row} ({split}): {_shorten(example)}"
                console.print(escape(line), highlight=False)


def _shorten(example: Example) -> str:
    line = " ".join(example.text.split())
    if example.text_pair is not None:
        line += " / " + " ".join(example.text_pair.split())
    return line if len(line) <= MAX_CHARACTERS else line[: MAX_CHARACTERS - 1] + "…"


def show_metadata(console: Console, splits: Splits, columns: Sequence[MetadataColumn]) -> None:
    """Show the type of each metadata column, its values, and the share of missing values in each split."""
    if not columns:
        return
    table = Table("metadata", "type", "values", *(f"missing: {name}" for name in SHARES))
    missing = {name: missing_shares(getattr(splits, name), columns) for name in SHARES}
    for index, column in enumerate(columns):
        if isinstance(column, NumericColumn):
            column_type, values = "numeric", f"mean {column.mean:.4g}, std {column.std:.4g}"
        else:
            column_type, values = "categorical", f"{len(column.values)} categories"
        shares = (f"{missing[name][index]:.1%}" for name in SHARES)
        table.add_row(Text(column.name), column_type, values, *shares)
    console.print(table)


def show_lengths(console: Console, lengths: Sequence[int], max_length: int) -> None:
    """Show a histogram of text lengths in tokens, and the share of truncated texts."""
    p50, p95 = np.percentile(lengths, [50, 95])
    truncated = sum(length > max_length for length in lengths) / len(lengths)
    console.print(
        f"tokens per text: p50 {p50:.0f}, p95 {p95:.0f}, max {max(lengths)}; truncated to {max_length}"
    )
    powers = Counter(max(3, int(length - 1).bit_length()) for length in lengths)
    for power in range(min(powers), max(powers) + 1):
        cells = round(BAR_CELLS * powers[power] / max(powers.values()))
        console.print(f"  to {2**power:>6} [cyan]{'█' * cells:<{BAR_CELLS}}[/] {powers[power]}")
    if truncated > TRUNCATED_SHARE_TO_WARN:
        console.print(
            f"  [yellow]{truncated:.1%} of the texts are truncated[/]; "
            "a larger --max-length keeps more of them, at a higher cost"
        )
    elif truncated:
        console.print(f"  {truncated:.1%} of the texts are truncated")


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
