"""Precision-recall and ROC curves of each label against all others."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from trainer.evaluation.answers import Flags, Floats, answered, label_flags
from trainer.evaluation.evaluated_rows import EvaluatedRows
from trainer.evaluation.plots.drawing import Plot, Style, add_legend, new_figure
from trainer.evaluation.plots.label_names import shorten_labels

MAX_CURVES = 8
SCORE_BINS = 10_000
GRID_CELLS = 250
CHUNK_ROWS = 1000
NAME_CHARS = 30


@dataclass(frozen=True, slots=True)
class Curve:
    """The counts at each threshold, from the highest score to the lowest.

    Attributes:
        name: the label, or "all labels".
        true: the number of positives at or above each threshold.
        given: the number of all scores at or above each threshold.
        total: the number of scores.
    """

    name: str
    true: Floats
    given: Floats
    total: float

    @property
    def positives(self) -> float:
        """The number of positives."""
        return float(self.true[-1])

    @property
    def recall(self) -> Floats:
        """The recall at each threshold."""
        return self.true / self.positives

    @property
    def precision(self) -> Floats:
        """The precision at each threshold."""
        return self.true / self.given

    @property
    def false_positive_rate(self) -> Floats:
        """The share of the negatives that get the label at each threshold."""
        return (self.given - self.true) / max(1.0, self.total - self.positives)

    @property
    def average_precision(self) -> float:
        """The mean precision over the recall, as scikit-learn's `average_precision_score`."""
        return float(np.sum(np.diff(self.recall, prepend=0.0) * self.precision))

    @property
    def area(self) -> float:
        """The area under the ROC curve."""
        return float(
            np.trapezoid(
                np.concatenate([[0.0], self.recall]), np.concatenate([[0.0], self.false_positive_rate])
            )
        )


def ranked_curve(name: str, scores: Floats, positive: Flags) -> Curve:
    """Return the curve of one label, with a threshold at each distinct score."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    true = np.cumsum(positive[order], dtype=np.float64)[ends]
    return Curve(name, true, (ends + 1).astype(np.float64), float(len(scores)))


def joint_curve(scores: Floats, positive: Flags) -> Curve:
    """Return the curve of all labels together (micro average), with thresholds of 0.0001 apart."""
    true, given = np.zeros(SCORE_BINS + 1), np.zeros(SCORE_BINS + 1)
    for start in range(0, len(scores), CHUNK_ROWS):
        part = slice(start, start + CHUNK_ROWS)
        bins = (scores[part] * SCORE_BINS).astype(np.int64).clip(0, SCORE_BINS)
        given += np.bincount(bins.ravel(), minlength=SCORE_BINS + 1)
        true += np.bincount(bins[positive[part]], minlength=SCORE_BINS + 1)
    used = given[::-1] > 0
    return Curve(
        "all labels", np.cumsum(true[::-1])[used], np.cumsum(given[::-1])[used], float(positive.size)
    )


def curve_plots(rows: EvaluatedRows, style: Style) -> Iterator[Plot]:
    """Draw the precision-recall and the ROC curves of a head with a probability for each label."""
    if rows.probabilities is None or rows.head not in ("single-label", "multi-label"):
        return
    usable = answered(rows)
    scores, flags = np.asarray(rows.probabilities)[usable], label_flags(rows.examples, rows.labels)[usable]
    counts = flags.sum(axis=0)
    known = [at for at in range(len(rows.labels)) if 0 < counts[at] < len(flags)]
    if not known:
        return
    curves = {at: ranked_curve(rows.labels[at], scores[:, at], flags[:, at]) for at in known}
    worst = sorted(known, key=lambda at: curves[at].average_precision)[:MAX_CURVES]
    shown = [curves[at] for at in sorted(worst)]
    names = dict(zip(rows.labels, shorten_labels(rows.labels, NAME_CHARS), strict=True))
    joint = joint_curve(scores, flags)
    note = "Each curve is one label against all others."
    if len(known) < len(rows.labels):
        note += f" {len(rows.labels) - len(known)} labels have no rows, or all rows, and no curve."
    if len(shown) < len(known):
        note += f" Shown are the {len(shown)} of {len(known)} labels with the lowest average precision"
        mean = np.mean([curve.average_precision for curve in curves.values()])
        note += f" (mean over all labels: {mean:.3f}), and all labels together."
    figure, (axes,) = new_figure(7.2, 4.6)
    for curve, (colour, dash) in _styled(shown, joint, style):
        _line(axes, curve.recall, curve.precision, colour, dash, drawstyle="steps-pre")
    _legend(axes, shown, joint, names, style, "AP")
    axes.set(xlabel="recall", ylabel="precision", xlim=(-0.01, 1.01), ylim=(-0.01, 1.03))
    yield Plot("pr_curves", "Precision-recall curves", f"{note} AP: average precision.", figure)
    figure, (axes,) = new_figure(7.2, 4.6)
    axes.plot([0, 1], [0, 1], color=style.colours["edge"], linewidth=1)
    for curve, (colour, dash) in _styled(shown, joint, style):
        points = np.concatenate([[0.0], curve.false_positive_rate]), np.concatenate([[0.0], curve.recall])
        _line(axes, *points, colour, dash)
    _legend(axes, shown, joint, names, style, "AUC")
    axes.set(xlabel="false positive rate", ylabel="recall", xlim=(-0.01, 1.01), ylim=(-0.01, 1.03))
    yield Plot("roc_curves", "ROC curves", f"{note} AUC: area under the curve.", figure)


def _styled(shown: list[Curve], joint: Curve, style: Style) -> list[tuple[Curve, tuple[str, str]]]:
    styled = list(zip(shown, style.series, strict=False))
    return [*styled, (joint, (style.colours["text"], "-"))] if len(shown) > 2 else styled


def _line(axes: Axes, x: Floats, y: Floats, colour: str, dash: str, **options: Any) -> None:
    # The first and the last point of each cell of a fine grid draw the same line as all points.
    cells = np.round(np.stack([x, y]) * GRID_CELLS)
    changes = (np.diff(cells, axis=1) != 0).any(axis=0)
    kept = np.append(True, changes) | np.append(changes, True)
    axes.plot(x[kept], y[kept], color=colour, linestyle=dash, **options)


def _legend(
    axes: Axes, shown: list[Curve], joint: Curve, names: dict[str, str], style: Style, area: str
) -> None:
    lines = axes.get_lines()[-len(_styled(shown, joint, style)) :]
    entries = {}
    for line, (curve, _) in zip(lines, _styled(shown, joint, style), strict=True):
        value = curve.average_precision if area == "AP" else curve.area
        entries[f"{area} {value:.3f}  {names.get(curve.name, curve.name)}"] = line
    add_legend(axes, entries, loc="center left", bbox_to_anchor=(1.01, 0.5))
