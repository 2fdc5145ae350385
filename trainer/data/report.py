"""The data report shown before training: columns, labels, splits, leaks, metadata and text lengths."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from stream.bundle import MetadataColumn, NumericColumn
from trainer.data.duplicates import LeakReport, count_repeats
from trainer.data.examples import Data, Example
from trainer.data.labels import tag_scheme
from trainer.data.metadata import missing_shares
from trainer.data.splits import SHARES, Splits

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
