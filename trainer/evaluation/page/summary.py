"""The summary of the report: the metrics with their intervals, and the findings to look at first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.evaluation.answers import Confusion
from trainer.evaluation.findings import Findings
from trainer.evaluation.page.tables import Cell, Column, Table, interval_cell, number_cell
from trainer.metric_titles import title_of

TILES = 4
DETAILS = (
    *("intervals", "per_label", "per_label_intervals", "confusion", "confusion_cells", "rows", "comparison"),
    "weights",
)
"""The members of the metrics that have sections of their own."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A metric at the top of the report.

    Attributes:
        title: the name of the metric.
        value: its value.
        interval: its 95% interval; empty if unknown.
    """

    title: str
    value: str
    interval: str


@dataclass(frozen=True, slots=True)
class Highlight:
    """A finding to look at first.

    Attributes:
        text: the finding.
        section: the section with its details.
    """

    text: str
    section: str


def flat_metrics(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float, list[float]]]:
    """Return the title, the value and the interval, if known, of each metric, nested ones included."""
    ends = metrics.get("intervals") or {}
    for name, value in metrics.items():
        if name in DETAILS:
            continue
        if isinstance(value, Mapping):
            yield from flat_metrics(value, f"{prefix}{title_of(name)}: ")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{title_of(name)}", float(value), _known_ends(ends.get(name))


def _known_ends(ends: Sequence[float | None] | None) -> list[float]:
    """Return the ends of an interval; none where it is undefined, as for a label without rows."""
    known = [end for end in ends or () if end is not None]
    return known if len(known) == 2 else []


def metrics_table(metrics: Mapping[str, Any]) -> Table:
    """Return the table of all metrics."""
    rows = []
    for title, value, ends in flat_metrics(metrics):
        interval = interval_cell(value, ends) if ends else Cell(f"{value:.4g}", value)
        rows.append([Cell(title), interval])
    caption = "Metrics with 95% bootstrap intervals where they are known."
    return Table("metrics", caption, [Column("metric"), Column("value", numeric=True)], rows, "No metrics.")


def tiles(metrics: Mapping[str, Any], headline: str) -> list[Tile]:
    """Return the headline metric and the first others, those with intervals before those without."""
    found = list(flat_metrics({name: value for name, value in metrics.items() if name != "at_half"}))
    found.sort(key=lambda metric: (metric[0] != title_of(headline), not metric[2]))
    return [
        Tile(title, f"{value:.3f}", f"95%: {ends[0]:.3f} to {ends[1]:.3f}" if ends else "")
        for title, value, ends in found[:TILES]
    ]


def comparison_table(metrics: Mapping[str, Any]) -> Table | None:
    """Return the differences to another bundle; None if none was compared."""
    found = metrics.get("comparison") or {}
    rows = []
    for name, figures in (found.get("differences") or {}).items():
        ends = _known_ends(figures.get("interval"))
        difference = number_cell(figures["difference"])
        if figures["difference"] is not None:
            interval = f" ({ends[0]:+.3f} to {ends[1]:+.3f})" if ends else ""
            difference = Cell(f"{figures['difference']:+.3f}{interval}", figures["difference"])
        cells = [number_cell(figures["value"]), number_cell(figures["other"]), difference]
        rows.append([Cell(title_of(name)), *cells])
    if not rows:
        return None
    caption = f"Differences to {found.get('bundle', 'the other bundle')}, paired by row, with 95% intervals."
    if isinstance(mcnemar := found.get("mcnemar"), Mapping) and "p_value" in mcnemar:
        caption += f" McNemar's test: p = {mcnemar['p_value']:.3g}."
    titles = ("this bundle", "other bundle", "difference")
    columns = [Column("metric"), *(Column(title, numeric=True) for title in titles)]
    return Table("comparison", caption, columns, rows)


def highlights(findings: Findings, found: Confusion | None) -> list[Highlight]:
    """Return a sentence on each kind of finding, with the section that has the details."""
    texts = []
    if found is not None and found.errors:
        actual, predicted, count = found.errors[0]
        pair = f"“{found.names[actual]}” was answered with “{found.names[predicted]}”"
        texts.append(Highlight(f"Most frequent confusion: {pair} ({count:,} {found.unit}).", "confusion"))
    if findings.slices:
        worst = findings.slices[0]
        where = f"{worst.column} = {worst.value}"
        figures = f"{title_of(findings.headline)} {worst.metric:.3f} on {worst.rows:,} rows"
        texts.append(Highlight(f"Worst slice: {where}, {figures} ({worst.difference:+.3f}).", "slices"))
    if findings.suspicions:
        count = len(findings.suspicions)
        rows = "1 row has a label that is" if count == 1 else f"{count:,} rows have labels that are"
        texts.append(Highlight(f"{rows} probably wrong.", "labels"))
    if findings.duplicates:
        count = len(findings.duplicates)
        rows = "1 text occurs" if count == 1 else f"{count:,} texts occur"
        texts.append(Highlight(f"{rows} in two splits; the metrics may be too good.", "duplicates"))
    return texts
