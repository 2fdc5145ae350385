"""The confusion matrix, whole or of the labels that are confused most."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba

from trainer.evaluation.answers import Confusion, confusion
from trainer.evaluation.evaluated_rows import EvaluatedRows
from trainer.evaluation.palette import HEAT
from trainer.evaluation.plots.drawing import Plot, Style, new_figure
from trainer.evaluation.plots.label_names import shorten_labels

MAX_LABELS = 40
SHOWN_LABELS = 30
OTHERS = "(other labels)"
NAME_CHARS = 26
MAX_HORIZONTAL_CHARS = 40
WHITE_TEXT_FROM = 0.77
"""The opacity of a cell from which white text has more contrast than black text on a light background."""


def confusion_plot(rows: EvaluatedRows, style: Style) -> Plot | None:
    """Draw the confusion matrix; return None for a regression and if nothing is counted."""
    if rows.head == "regression":
        return None
    found = confusion(rows)
    if not found.cells:
        return None
    shown = shown_labels(found)
    matrix, names = _matrix(found, shown)
    columns = shorten_labels(names, NAME_CHARS)
    size = max(4.2, 2.4 + 0.3 * len(names))
    figure, (axes,) = new_figure(size + 0.7, size)
    _draw(axes, matrix, columns, style)
    return Plot("confusion_matrix", "Confusion matrix", _caption(rows, found, shown), figure)


def shown_labels(found: Confusion) -> list[int]:
    """Return the indexes of the shown labels, in their order: those of the most frequent confusions."""
    used = sorted({index for cell in found.cells for index in cell})
    if found.labels <= MAX_LABELS:
        return [*range(found.labels), *(index for index in used if index >= found.labels)]
    most = dict.fromkeys(index for cell in found.errors for index in cell[:2])
    return sorted([*dict.fromkeys([*most, *used])][:SHOWN_LABELS])


def _matrix(found: Confusion, shown: list[int]) -> tuple[np.ndarray, list[str]]:
    """Return the counts of the shown labels, with one more row and column for all others if any."""
    position = {index: at for at, index in enumerate(shown)}
    others = len(shown)
    matrix = np.zeros((others + 1, others + 1), dtype=np.int64)
    for (actual, predicted), count in found.cells.items():
        matrix[position.get(actual, others), position.get(predicted, others)] += count
    matrix[others, others] = 0
    names = [found.names[index] for index in shown]
    if matrix[-1].any() or matrix[:, -1].any():
        return matrix, [*names, OTHERS]
    return matrix[:-1, :-1], names


def _draw(axes: Axes, matrix: np.ndarray, names: list[str], style: Style) -> None:
    count = len(names)
    shares = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    cells = np.zeros((count, count, 4))
    cells[..., :3] = to_rgba(HEAT)[:3]
    cells[..., 3] = shares
    axes.imshow(cells, interpolation="nearest")
    axes.grid(visible=False)
    font = 8 if count <= 12 else 6.5
    axes.set_xticks(
        range(count),
        names,
        rotation=90 if count * max(map(len, names)) > MAX_HORIZONTAL_CHARS else 0,
        fontsize=font,
    )
    axes.set_yticks(range(count), names, fontsize=font)
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual")
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(count + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(count + 1) - 0.5, minor=True)
    axes.tick_params(which="minor", length=0)
    axes.grid(which="minor", visible=True, linewidth=0.6)
    for actual, predicted in np.argwhere(matrix > 0).tolist():
        colour = "#ffffff" if shares[actual, predicted] >= WHITE_TEXT_FROM else style.colours["heat-text"]
        text = f"{matrix[actual, predicted]}"
        size = min(font, 24 / len(text)) if count > 12 else 9
        axes.text(predicted, actual, text, ha="center", va="center", color=colour, fontsize=size)


def _caption(rows: EvaluatedRows, found: Confusion, shown: list[int]) -> str:
    errors = found.errors
    total = sum(count for _, _, count in errors)
    caption = (
        f"Counts of {found.unit} by actual label (rows) and predicted label (columns); the colour is the "
        "share of the row."
    )
    if rows.head == "multi-label":
        caption += " A missed label is paired with each label that the same row wrongly got."
    if rows.head == "token":
        caption += " A span is paired with the predicted span that shares most of its characters."
    if len(shown) < found.labels:
        inside = sum(count for a, p, count in errors if {a, p} <= set(shown))
        share = f"{inside / total:.0%} of all {total} confusions" if total else "no confusions"
        caption += (
            f" Shown are the {len(shown)} of {found.labels} labels with the most frequent confusions: "
            f"{share} are between them. predictions.csv has all rows."
        )
    return caption
