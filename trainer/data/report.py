"""What the reader sees of the data before training: columns, classes, parts, leaks, metadata and lengths."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from stream.bundle import MetadataColumn, NumericColumn
from trainer.data.bio import scheme_of
from trainer.data.duplicates import Leaks, repeats
from trainer.data.metadata import missing_shares
from trainer.data.read import Data, Example
from trainer.data.splits import SHARES, Splits

TRUNCATED_SHARE_TO_WARN = 0.05
MOST_NUMBERS = 10
MOST_LEAKS = 3
SHOWN_CHARACTERS = 90
BAR_CELLS = 24


def show_data(console: Console, data: Data) -> None:
    """Which columns were taken, how many rows, what was guessed or mended, and which rows were left out."""
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
    for what, rows in (("text", data.no_text), ("label", data.no_label)):
        if rows:
            shown = ", ".join(map(str, rows[:MOST_NUMBERS])) + (", …" if len(rows) > MOST_NUMBERS else "")
            console.print(f"  [yellow]left out: {len(rows)} rows without {what}[/] (rows {shown})")
    repeated, contradictory = repeats(data.examples)
    if repeated:
        console.print(f"  {repeated} rows repeat an earlier text (case and spaces aside)")
    if contradictory:
        what = "number" if data.task == "regression" else "label"
        console.print(f"  [yellow]{contradictory} texts bear more than one {what}[/], row by row")


def show_splits(console: Console, data: Data, splits: Splits) -> None:
    """What the parts hold: rows of each label, spans or words of each tag, or the numbers' spread."""
    table = _number_table(data, splits) if data.task == "regression" else _label_table(data, splits)
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_section()
    used = sum(splits.sizes.values())
    blank = [""] * (len(table.columns) - 2 - len(SHARES))
    table.add_row("rows", str(used), *blank, *(str(rows) for rows in splits.sizes.values()))
    console.print(table)
    if splits.dropped:
        shown = ", ".join(str(example.row) for example in splits.dropped[:MOST_NUMBERS])
        more = ", …" if len(splits.dropped) > MOST_NUMBERS else ""
        console.print(
            f"  [yellow]left out: {len(splits.dropped)} extra rows[/] "
            f"whose text stands in validation or test (rows {shown}{more})"
        )


def _label_table(data: Data, splits: Splits) -> Table:
    spans = data.task == "token" and scheme_of(data.labels) == "bio"
    counts = {name: Counter(_counted(getattr(splits, name), spans=spans)) for name in SHARES}
    totals = sum(counts.values(), Counter[str]())
    base = sum(splits.sizes.values()) if data.task != "token" else sum(totals.values())
    what = "label" if data.task != "token" else "spans" if spans else "words"
    table = Table(what, "all", "share", *SHARES)
    labels = sorted(totals) if spans else data.labels
    for label in labels:
        parts = [counts[name][label] for name in SHARES]
        cells = [Text(str(count), style="" if count else "yellow") for count in parts]
        table.add_row(Text(label), str(totals[label]), f"{totals[label] / max(1, base):.1%}", *cells)
    return table


def _counted(examples: Sequence[Example], *, spans: bool) -> list[str]:
    names = [name for example in examples for name in example.names]
    return [name[2:] for name in names if name.startswith("B-")] if spans else names


def _number_table(data: Data, splits: Splits) -> Table:
    table = Table(data.columns.label, "all", *SHARES)
    parts = [splits.train + splits.validation + splits.test, splits.train, splits.validation, splits.test]
    numbers = [[e.target for e in part if isinstance(e.target, float)] for part in parts]
    for name, statistic in (("mean", np.mean), ("std", np.std), ("least", np.min), ("most", np.max)):
        table.add_row(name, *(f"{statistic(found):.4g}" if found else "" for found in numbers))
    return table


def show_leaks(console: Console, leaks: Leaks) -> None:
    """How many texts of validation and test stand in an earlier part, word for word or nearly, and some."""
    metrics = leaks.as_metrics()
    for kind, words in (("equal", "also"), ("near", "nearly (similarity 0.8 or more)")):
        for pair, count in metrics[kind].items():
            held_out, _, other = pair.partition(" in ")
            console.print(f"  [yellow]{count} {held_out} texts stand {words} in {other}[/]")
        for leak in [leak for leak in leaks.found if leak.kind == kind][:MOST_LEAKS]:
            places = [(leak.example, leak.split), (leak.other, leak.other_split)]
            for example, split in places if kind == "near" else places[:1]:
                line = f"    row {example.row} ({split}): {_short(example)}"
                console.print(escape(line), highlight=False)


def _short(example: Example) -> str:
    line = " ".join(example.text.split())
    if example.text_pair is not None:
        line += " / " + " ".join(example.text_pair.split())
    return line if len(line) <= SHOWN_CHARACTERS else line[: SHOWN_CHARACTERS - 1] + "…"


def show_metadata(console: Console, splits: Splits, columns: Sequence[MetadataColumn]) -> None:
    """Which metadata columns are numbers and which are names, as guessed, and how much is missing."""
    if not columns:
        return
    table = Table("metadata", "taken as", "values", *(f"missing: {name}" for name in SHARES))
    missing = {name: missing_shares(getattr(splits, name), columns) for name in SHARES}
    for at, column in enumerate(columns):
        if isinstance(column, NumericColumn):
            kind, values = "numbers", f"mean {column.mean:.4g}, std {column.std:.4g}"
        else:
            kind, values = "names", f"{len(column.values)} names"
        table.add_row(
            Text(column.name),
            kind,
            values,
            *(f"{missing[name][at]:.1%}" for name in SHARES),
        )
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
