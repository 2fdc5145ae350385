"""The section of the report on the thresholds of labels and their costs."""

from collections.abc import Sequence
from typing import Any

from trainer.evaluation.evaluated_rows import EvaluatedRows
from trainer.evaluation.findings import THRESHOLDS_FILE, CostCurve, Findings
from trainer.evaluation.page.limits import Limits
from trainer.evaluation.page.marked_text import cut_text
from trainer.evaluation.page.tables import Cell, Column, Table, fill, number_cell
from trainer.evaluation.plots.costs import cost_at


def threshold_table(rows: EvaluatedRows, findings: Findings, limits: Limits) -> Table | None:
    """Return the threshold of each label with its costs; None without thresholds and costs."""
    curves = [curve for curve in findings.cost_curves if curve.thresholds]
    if not curves:
        return _current_thresholds(rows, limits)
    columns = [Column("label")] + [
        Column(title, numeric=True)
        for title in ("best threshold", "cost per row", "threshold now", "cost per row now")
    ]
    table = Table("thresholds-table", "The threshold with the lowest cost of each label.", columns)
    return fill(
        table,
        curves,
        lambda curve: [Cell(cut_text(curve.label, limits.text_chars)), *_costs(curve)],
        limits.labels,
        "labels",
        THRESHOLDS_FILE,
    )


def _costs(curve: CostCurve) -> Sequence[Cell]:
    best = [number_cell(curve.best), number_cell(min(curve.costs), 4)]
    if curve.current is None:
        return [*best, number_cell(None), number_cell(None)]
    return [*best, number_cell(curve.current), number_cell(cost_at(curve, curve.current), 4)]


def _current_thresholds(rows: EvaluatedRows, limits: Limits) -> Table | None:
    if not rows.thresholds:
        return None
    columns = [Column("label"), Column("threshold", numeric=True)]
    table = Table("thresholds-table", "The lowest probability at which each label is given.", columns)
    return fill(
        table,
        list(rows.thresholds.items()),
        lambda item: [Cell(cut_text(item[0], limits.text_chars)), number_cell(item[1])],
        limits.labels,
        "labels",
        "labelstream.json of the bundle",
    )


def explored_curves(findings: Findings, limits: Limits, points: int = 60) -> list[dict[str, Any]]:
    """Return the cost curves that the page lets its reader explore, JSON-ready and thinned."""
    found = []
    for curve in [curve for curve in findings.cost_curves if curve.thresholds][: limits.curves]:
        step = max(1, len(curve.thresholds) // points)
        kept = sorted({*range(0, len(curve.thresholds), step), len(curve.thresholds) - 1})
        found.append(
            {
                "label": cut_text(curve.label, limits.text_chars),
                "thresholds": [round(curve.thresholds[at], 4) for at in kept],
                "costs": [round(curve.costs[at], 6) for at in kept],
                "best": round(curve.best, 4),
                "current": None if curve.current is None else round(curve.current, 4),
            }
        )
    return found
