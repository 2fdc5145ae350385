"""Console output of a training: its data, its estimated cost and its result."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Column, Table
from rich.text import Text

from stream.bundle import Bundle, MetadataColumn, NumericColumn
from stream.short_names import shorten_names
from trainer.config import Recipe
from trainer.data.duplicates import LeakReport, count_repeats
from trainer.data.examples import SHARES, Data, Example, Splits, missing_shares
from trainer.export.summary import variant_table
from trainer.metric_titles import format_metrics
from trainer.processes import process_count

TRUNCATED_SHARE_TO_WARN = 0.05
MAX_ROW_NUMBERS = 10
MAX_LEAKS = 3
MAX_CHARACTERS = 90
BAR_CELLS = 24
MIN_NAME_CELLS = 16
FIGURE_CELLS = 54
"""The terminal cells that the columns of figures take beside the labels."""


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
    skipped = (
        ("without text", data.no_text),
        ("without label", data.empty_labels),
        ("whose label is not a number", data.no_number),
    )
    for description, rows in skipped:
        if rows:
            console.print(f"  [yellow]skipped: {len(rows)} rows {description}[/] (rows {_row_numbers(rows)})")
    repeated, conflicting = count_repeats(data.examples)
    if repeated:
        console.print(f"  {repeated} rows repeat an earlier text (ignoring case and white space)")
    if conflicting:
        targets = "numbers" if data.task == "regression" else "labels"
        console.print(f"  [yellow]{conflicting} texts occur with conflicting {targets}[/]")


def show_splits(console: Console, data: Data, splits: Splits) -> None:
    """Show for each split the rows per label, the spans or words per tag, or the distribution of numbers."""
    table = _number_table(data, splits) if data.task == "regression" else _label_table(console, data, splits)
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


def _label_table(console: Console, data: Data, splits: Splits) -> Table:
    spans = data.task == "token" and data.marks_spans
    counts = {name: Counter(_labels_or_types(getattr(splits, name), spans=spans)) for name in SHARES}
    totals = sum(counts.values(), Counter[str]())
    base = sum(splits.sizes.values()) if data.task != "token" else sum(totals.values())
    unit = "label" if data.task != "token" else "spans" if spans else "words"
    table = Table(_name_column(unit), "all", "share", *SHARES)
    labels = sorted(totals) if spans else data.labels
    names = shorten_names(labels, _name_cells(console))
    for label in labels:
        split_counts = [counts[name][label] for name in SHARES]
        cells = [Text(str(count), style="" if count else "yellow") for count in split_counts]
        table.add_row(Text(names[label]), str(totals[label]), f"{totals[label] / max(1, base):.1%}", *cells)
    return table


def _name_column(title: str) -> Column:
    """Return a column for names; one that does not fit continues on the next line instead of being cut."""
    return Column(escape(title), overflow="fold")


def _name_cells(console: Console, columns: int = 1) -> int:
    """Return the width of a name in a table with several figures and this many columns of names."""
    return max(MIN_NAME_CELLS, (console.width - FIGURE_CELLS) // columns)


def _labels_or_types(examples: Sequence[Example], *, spans: bool) -> list[str]:
    """Return all labels of the examples, or the type of each span."""
    labels = [label for example in examples for label in example.labels]
    return [tag[2:] for tag in labels if tag.startswith("B-")] if spans else labels


def _number_table(data: Data, splits: Splits) -> Table:
    table = Table(_name_column(data.columns.label), "all", *SHARES)
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
    table = Table(_name_column("metadata"), "type", "values", *(f"missing: {name}" for name in SHARES))
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
    processes = process_count()
    steps, total = recipe.steps_per_epoch(rows, processes), recipe.total_steps(rows, processes)
    size = recipe.batch_size * recipe.gradient_accumulation * processes
    part = "" if trained == 1 else f" ({trained:.1%} of its weights)"
    epochs = f"{recipe.epochs} epochs of {steps} steps = " if recipe.max_steps is None else ""
    evaluations = "evaluations" if recipe.evaluation.eval_steps else "epochs"
    console.print(
        f"training {escape(base)}{part}: at most {epochs}{total} steps of {size} texts in {precision}, "
        f"[bold]about {_duration(seconds)}[/], learning rate {recipe.learning_rate:g}, seed {recipe.seed}; "
        f"stops after {recipe.patience} {evaluations} without improvement"
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def show_per_label(console: Console, test: Mapping[str, Any]) -> None:
    """Show precision, recall and F1 of every label on the test split, and its most frequent confusion."""
    if "per_label" not in test:
        return
    confusion = most_confused(test["confusion_cells"]) if "confusion_cells" in test else None
    table = Table(
        _name_column("label"),
        "precision",
        "recall",
        "F1",
        "rows",
        *([_name_column("most confused with")] if confusion is not None else []),
    )
    for column in table.columns[1:5]:
        column.justify = "right"
    columns = 1 if confusion is None else 2
    names = shorten_names(test["per_label"], _name_cells(console, columns))
    labels = list(names.values())
    for at, (label, row) in enumerate(test["per_label"].items()):
        figures = [f"{row[name]:.3f}" for name in ("precision", "recall", "f1")]
        wrong = [Text(_confused_with(labels, confusion.get(at)))] if confusion is not None else []
        table.add_row(Text(names[label]), *figures, str(row["support"]), *wrong)
    console.print(table)


def most_confused(cells: Sequence[tuple[int, int, int]]) -> dict[int, tuple[int, int]]:
    """Return for each label number the rows and the number of the wrong label that it got most often."""
    most: dict[int, tuple[int, int]] = {}
    for actual, predicted, rows in cells:
        if actual != predicted:
            most[actual] = max(most.get(actual, (0, 0)), (rows, predicted))
    return most


def _confused_with(labels: Sequence[str], most: tuple[int, int] | None) -> str:
    return f"{labels[most[1]]} ({most[0]})" if most else ""


def _calibration(found: Mapping[str, Any]) -> str:
    test = found["test"]
    return (
        f"temperature {found['temperature']:.2f}; expected calibration error on the test split "
        f"{test['ece_before']:.3f} before, {test['ece_after']:.3f} after"
    )


def show_result(console: Console, bundle: Bundle, metrics: Mapping[str, Any]) -> None:
    """Show the variants, the bundle, its scores, its parity with the trained model, and the next command."""
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
    console.print(variant_table(bundle.manifest))
    store = bundle.path.parent.parent
    where = "" if str(store) == "bundles" else f" --bundle-store {store}"
    lines.append(f"next       labelstream worker --bundle {bundle.manifest.name}{where}")
    if console.is_terminal:
        console.print(Panel(Text("\n".join(lines), overflow="fold"), title="done", border_style="green"))
    else:
        # Lines are not wrapped, so that a path or a command can be copied from a log.
        console.print("\n".join(lines), soft_wrap=True, markup=False, highlight=False)
