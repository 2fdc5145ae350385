"""The outcomes of the spans of each type."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from stream.classify import Span
from trainer.evaluation.answers import actual_spans, overlap, predicted_spans
from trainer.evaluation.evaluated_rows import EvaluatedRows
from trainer.evaluation.plots.drawing import Plot, Style, add_legend, new_figure
from trainer.evaluation.plots.label_names import shorten_labels

OUTCOMES = {
    "correct": ("good", ""),
    "other boundaries": ("series-5", ".."),
    "other type": ("series-4", "xx"),
    "missed": ("bad", "//"),
    "spurious": ("muted", "\\\\"),
}
"""The colour and the hatching of each outcome."""
MAX_TYPES = 30
NAME_CHARS = 30


def span_outcomes(actual: Sequence[Span], predicted: Sequence[Span]) -> list[tuple[str, str]]:
    """Return the type and the outcome of each actual span of a row, and of each spurious one.

    A predicted span is spurious if it overlaps no actual span.
    """
    exact = {span[:3] for span in predicted}
    found = []
    for span in actual:
        overlapping = [other for other in predicted if overlap(span, other)]
        if span[:3] in exact:
            outcome = "correct"
        elif any(other.type == span.type for other in overlapping):
            outcome = "other boundaries"
        else:
            outcome = "other type" if overlapping else "missed"
        found.append((span.type, outcome))
    spurious = [span for span in predicted if not any(overlap(span, other) for other in actual)]
    return [*found, *((span.type, "spurious") for span in spurious)]


def span_plot(rows: EvaluatedRows, style: Style) -> Plot | None:
    """Draw the outcomes by type; return None for other heads and without spans."""
    if rows.head != "token":
        return None
    counts: Counter[tuple[str, str]] = Counter()
    for actual, predicted in zip(actual_spans(rows), predicted_spans(rows), strict=True):
        counts.update(span_outcomes(actual, predicted))
    totals: Counter[str] = Counter()
    for (span_type, _), count in counts.items():
        totals[span_type] += count
    shown = [name for name, _ in totals.most_common(MAX_TYPES)]
    if not shown:
        return None
    figure, (axes,) = new_figure(7.2, 1.6 + 0.3 * len(shown))
    left = np.zeros(len(shown))
    bars = {}
    for outcome, (colour, hatch) in OUTCOMES.items():
        values = np.array([counts[name, outcome] for name in shown], dtype=np.float64)
        bars[outcome] = axes.barh(
            range(len(shown)), values, 0.7, left=left, color=style.colours[colour], hatch=hatch,
            edgecolor=style.colours["card"], linewidth=0.5,
        )  # fmt: skip
        left += values
    axes.set_yticks(range(len(shown)), shorten_labels(shown, NAME_CHARS))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("spans")
    add_legend(axes, bars, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=5)
    caption = (
        "Spans of the data by type and outcome, and predicted spans that overlap none of them (spurious)."
    )
    if len(shown) < len(totals):
        caption += f" Shown are the {len(shown)} most frequent of {len(totals)} types."
    return Plot("spans_by_type", "Spans by type", caption, figure)
