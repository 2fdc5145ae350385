"""The tables of the report's sections."""

from collections.abc import Mapping, Sequence
from typing import Any

from trainer.evaluation.answers import Confusion, actual_spans, predicted_spans
from trainer.evaluation.evaluated_rows import EvaluatedRows
from trainer.evaluation.figures import LABEL_FIGURES
from trainer.evaluation.findings import (
    DUPLICATES_FILE,
    LABEL_ERRORS_FILE,
    SLICES_FILE,
    DuplicatePair,
    Findings,
    LabelSuspicion,
    Mistake,
    Neighbour,
    Slice,
)
from trainer.evaluation.page.limits import Limits
from trainer.evaluation.page.marked_text import Part, cut_text, mark_spans, mark_words
from trainer.evaluation.page.tables import (
    Cell,
    Column,
    Table,
    count_cell,
    fill,
    interval_cell,
    number_cell,
    shown_of,
)
from trainer.metric_titles import title_of


def label_table(metrics: Mapping[str, Any], limits: Limits) -> Table | None:
    """Return the figures of each label or span type, the lowest F1 first; None for a regression."""
    per_label: Mapping[str, Mapping[str, Any]] = metrics.get("per_label") or {}
    ends: Mapping[str, Mapping[str, Any]] = metrics.get("per_label_intervals") or {}
    if not per_label:
        return None
    further = [name for name in next(iter(per_label.values())) if name not in (*LABEL_FIGURES, "support")]
    names = [*LABEL_FIGURES, *further]
    ranked = sorted(per_label.items(), key=lambda item: (item[1].get("f1") or 0.0, item[0]))
    rows = [
        [
            Cell(cut_text(label, limits.text_chars)),
            *(_figure(figures, name, (ends.get(label) or {}).get(name)) for name in names),
            count_cell(figures.get("support", 0)),
        ]
        for label, figures in ranked[: limits.labels]
    ]
    titles = {"f1": "F1"}
    columns = [
        Column("label"),
        *(Column(titles.get(name, title_of(name)), numeric=True) for name in names),
        Column("rows", numeric=True),
    ]
    caption = f"{len(per_label):,} labels, the lowest F1 first; intervals are 95% bootstrap intervals."
    caption += shown_of(len(rows), len(per_label), "labels", "classification_report.txt")
    return Table("per-label", caption, columns, rows)


def _figure(figures: Mapping[str, Any], name: str, ends: Sequence[float | None] | None) -> Cell:
    value = figures.get(name)
    if not isinstance(value, int | float):
        return number_cell(None)
    return interval_cell(value, ends)


def confusion_table(found: Confusion, limits: Limits) -> Table:
    """Return the confused pairs of labels, the most frequent first."""
    totals: dict[int, int] = {}
    for (actual, _), count in found.cells.items():
        totals[actual] = totals.get(actual, 0) + count
    rows = [
        [
            Cell(cut_text(found.names[actual], limits.text_chars)),
            Cell(cut_text(found.names[predicted], limits.text_chars)),
            count_cell(count),
            Cell(f"{count / totals[actual]:.1%}", count / totals[actual]),
        ]
        for actual, predicted, count in found.errors[: limits.rows]
    ]
    columns = [
        Column("actual", choices=True),
        Column("predicted", choices=True),
        Column(found.unit, numeric=True),
        Column("share of the actual label", numeric=True),
    ]
    caption = "Confused pairs, the most frequent first."
    caption += shown_of(len(rows), len(found.errors), "pairs", "predictions.csv")
    return Table("confusions", caption, columns, rows, "Nothing was confused.")


def mistake_table(rows: EvaluatedRows, findings: Findings, limits: Limits) -> Table:
    """Return the wrong rows, with marked words and the nearest training rows."""
    confidence = "error" if rows.head == "regression" else "score"
    columns = [
        Column("row", numeric=True),
        Column(confidence, numeric=True),
        Column("actual", choices=rows.head == "single-label"),
        Column("predicted", choices=rows.head == "single-label"),
        Column("text", wide=True),
        Column("nearest training rows", wide=True),
    ]
    shown = findings.mistakes[: limits.mistakes]
    actual, predicted = (actual_spans(rows), predicted_spans(rows)) if rows.head == "token" else ([], [])
    cells = []
    for mistake in shown:
        example = rows.examples[mistake.index]
        parts = mark_words(example.text, mistake.words, limits.text_chars)
        if rows.head == "token":
            spans = actual[mistake.index], predicted[mistake.index]
            parts = mark_spans(example.text, *spans, limits.text_chars)
        if example.text_pair is not None:
            parts = [*parts, Part(" / ", "more"), Part(cut_text(example.text_pair, limits.text_chars))]
        cells.append(
            [
                count_cell(example.row),
                _confidence(rows, mistake),
                Cell(cut_text(mistake.gold, limits.text_chars)),
                Cell(cut_text(mistake.predicted, limits.text_chars)),
                Cell(parts=parts),
                Cell(neighbours=[_cut_neighbour(near, limits) for near in mistake.neighbours]),
            ]
        )
    order = "the largest error first" if rows.head == "regression" else "the most confident first"
    caption = f"Wrong answers, {order}."
    caption += shown_of(len(shown), len(findings.mistakes), "mistakes", "errors.csv")
    return Table("mistakes-table", caption, columns, cells, "No row was answered wrongly.")


def _confidence(rows: EvaluatedRows, mistake: Mistake) -> Cell:
    """Return the score of the wrong answer, for several labels with the label that it belongs to."""
    cell = number_cell(mistake.confidence)
    if rows.head != "multi-label" or not mistake.scored:
        return cell
    return Cell(f"{cell.text} {mistake.scored}", mistake.confidence)


def _cut_neighbour(near: Neighbour, limits: Limits) -> Neighbour:
    text = cut_text(near.text, limits.text_chars // 2)
    return Neighbour(near.row, text, cut_text(near.target, limits.text_chars // 2), near.similarity)


def slice_table(findings: Findings, limits: Limits) -> Table:
    """Return the slices, the worst first."""
    columns = [
        Column("property", choices=True),
        Column("value"),
        Column("rows", numeric=True),
        Column(title_of(findings.headline), numeric=True),
        Column("difference to all other rows", numeric=True),
    ]

    def cells(part: Slice) -> list[Cell]:
        return [
            Cell(part.column),
            Cell(cut_text(part.value, limits.text_chars)),
            count_cell(part.rows),
            interval_cell(part.metric, (part.low, part.high)),
            Cell(f"{part.difference:+.3f}", part.difference),
        ]

    caption = "Parts of the rows, the worst first, with 95% intervals."
    table = Table("slices-table", caption, columns, empty="No slice has enough rows.")
    return fill(table, findings.slices, cells, limits.rows, "slices", SLICES_FILE)


def suspicion_table(findings: Findings, limits: Limits) -> Table:
    """Return the rows with probable label errors, the worst first."""
    columns = [
        Column("split", choices=True),
        Column("row", numeric=True),
        Column("quality", numeric=True),
        Column("given", choices=True),
        Column("suggested", choices=True),
        Column("text", wide=True),
    ]

    def cells(found: LabelSuspicion) -> list[Cell]:
        return [
            Cell(found.split),
            count_cell(found.row),
            number_cell(found.quality),
            Cell(cut_text(found.given, limits.text_chars)),
            Cell(cut_text(found.suggested, limits.text_chars)),
            Cell(cut_text(found.text, limits.text_chars)),
        ]

    caption = "Rows whose label is probably wrong, the lowest label quality first."
    table = Table("labels-table", caption, columns, empty="No label looks wrong.")
    return fill(table, findings.suspicions, cells, limits.rows, "rows", LABEL_ERRORS_FILE)


def duplicate_table(findings: Findings, limits: Limits) -> Table:
    """Return the texts that occur in two splits."""
    columns = [
        Column("kind", choices=True),
        Column("split", choices=True),
        Column("row", numeric=True),
        Column("text", wide=True),
        Column("other split", choices=True),
        Column("other row", numeric=True),
        Column("other text", wide=True),
    ]

    def cells(pair: DuplicatePair) -> list[Cell]:
        other = "the same" if pair.text == pair.other_text else cut_text(pair.other_text, limits.text_chars)
        return [
            Cell(pair.kind),
            Cell(pair.split),
            count_cell(pair.row),
            Cell(cut_text(pair.text, limits.text_chars)),
            Cell(pair.other_split),
            count_cell(pair.other_row),
            Cell(other),
        ]

    caption = "Texts that occur, equal or nearly equal, in two splits."
    table = Table("duplicates-table", caption, columns, empty="No text occurs in two splits.")
    return fill(table, findings.duplicates, cells, limits.rows, "pairs", DUPLICATES_FILE)
