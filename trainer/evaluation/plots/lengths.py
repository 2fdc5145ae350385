"""The histogram of the text lengths, with the error by length."""

import numpy as np

from trainer.evaluation.answers import Floats, actual_spans, answered, numbers, predicted_spans
from trainer.evaluation.evaluated_rows import EvaluatedRows
from trainer.evaluation.plots.drawing import Plot, Style, new_figure

MAX_WORD_CHARS = 20
"""Texts with longer words on average are written without spaces, and are measured in characters."""
MIN_ROWS = 5
BINS = 16


def row_errors(rows: EvaluatedRows) -> Floats:
    """Return 1 for each wrong row and 0 for each other row; for a regression the absolute error."""
    pairs = zip(rows.examples, rows.predictions, strict=True)
    match rows.head:
        case "regression":
            actual, predicted = numbers(rows)
            return np.abs(predicted - actual)
        case "multi-label":
            wrong = [set(e.labels) != set(p.get("labels", ())) for e, p in pairs]
        case "token":
            spans = zip(actual_spans(rows), predicted_spans(rows), strict=True)
            wrong = [{span[:3] for span in a} != {span[:3] for span in p} for a, p in spans]
        case "single-label":
            wrong = [e.labels[0] != p.get("label") for e, p in pairs]
    return np.array(wrong, dtype=np.float64)[answered(rows)]


def length_plot(rows: EvaluatedRows, style: Style) -> Plot | None:
    """Draw the histogram; return None if no row has an answer."""
    usable = answered(rows)
    texts = [
        f"{example.text} {example.text_pair or ''}"
        for example, good in zip(rows.examples, usable, strict=True)
        if good
    ]
    errors = row_errors(rows)
    if not texts or len(errors) != len(texts):
        return None
    words = np.array([len(text.split()) for text in texts])
    chars = np.array([len(text.strip()) for text in texts])
    unit, lengths = ("characters", chars) if chars.sum() > MAX_WORD_CHARS * words.sum() else ("words", words)
    edges = _edges(lengths)
    at = np.digitize(lengths, edges[1:-1])
    counts = np.bincount(at, minlength=len(edges) - 1)
    figure, (axes,) = new_figure(6.4, 3.6)
    middle = np.arange(len(counts))
    axes.bar(middle, counts, 0.92, color=style.colours["accent"], alpha=0.55)
    names = [
        f"{low}" if high - low <= 1 else f"{low}–{high - 1}"
        for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    ]
    axes.set_xticks(
        middle, names, rotation=45 if len(names) > 6 else 0, ha="right" if len(names) > 6 else "center"
    )
    axes.set(xlabel=f"{unit} per text", ylabel="rows")
    axes.grid(visible=False, axis="x")
    right = axes.twinx()
    right.grid(visible=False)
    enough = counts >= MIN_ROWS
    means = np.bincount(at, errors, minlength=len(counts)) / np.maximum(1, counts)
    right.plot(middle[enough], means[enough], color=style.colours["bad"], marker="o", markersize=4)
    name = "mean absolute error" if rows.head == "regression" else "share of wrong rows"
    right.set_ylabel(name, color=style.colours["bad"])
    right.set_ylim(bottom=0)
    right.spines["right"].set_visible(True)
    caption = (
        f"Rows by length (bars), and {name} (line) where at least {MIN_ROWS} rows have the length. "
        f"Half of the texts have at most {np.median(lengths):g} {unit}, the longest has {lengths.max()}."
    )
    return Plot("length_histogram", "Text lengths", caption, figure)


def _edges(lengths: np.ndarray) -> np.ndarray:
    """Return integer edges that grow geometrically, so that a few long texts do not squeeze the others."""
    low, high = max(1, int(lengths.min())), int(lengths.max()) + 1
    edges = np.unique(np.geomspace(low, max(high, low + 1), BINS).round().astype(np.int64))
    edges[0] = int(lengths.min())
    return edges
