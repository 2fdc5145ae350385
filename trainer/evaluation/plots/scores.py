"""The reliability diagram, and the histogram of the scores."""

from collections.abc import Iterator

import numpy as np

from trainer.evaluation.answers import Decisions, Floats, decisions
from trainer.evaluation.evaluated_rows import EvaluatedRows
from trainer.evaluation.plots.drawing import Plot, Style, add_legend, new_figure

BINS = 15
Z95 = 1.959964
SKEWED = 50
"""A histogram whose highest bar is so many times the median bar gets a logarithmic axis."""


def score_plots(rows: EvaluatedRows, style: Style) -> Iterator[Plot]:
    """Draw the plots of a head with scores: any head but regression."""
    if rows.head == "regression":
        return
    found = decisions(rows)
    if not len(found.scores):
        return
    yield _reliability(rows, found, style)
    yield _histogram(rows, found, style)


def wilson_interval(right: Floats, total: Floats) -> tuple[Floats, Floats]:
    """Return the ends of the 95% interval of a share (Wilson 1927)."""
    share, spread = right / total, Z95**2 / total
    centre = (share + spread / 2) / (1 + spread)
    half = Z95 * np.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    return centre - half, centre + half


def _reliability(rows: EvaluatedRows, found: Decisions, style: Style) -> Plot:
    bins = np.minimum((found.scores * BINS).astype(np.int64), BINS - 1)
    total = np.bincount(bins, minlength=BINS).astype(np.float64)
    right = np.bincount(bins, found.right, minlength=BINS).astype(np.float64)
    confidence = np.bincount(bins, found.scores, minlength=BINS)
    used = total > 0
    share = right[used] / total[used]
    low, high = wilson_interval(right[used], total[used])
    error = float(np.abs(confidence - right).sum() / total.sum())
    figure, (axes,) = new_figure(6.4, 4.4)
    axes.plot([0, 1], [0, 1], color=style.colours["muted"], linewidth=1, linestyle="--")
    axes.errorbar(
        confidence[used] / total[used],
        share,
        yerr=[np.maximum(0, share - low), np.maximum(0, high - share)],
        color=style.colours["accent"],
        marker="o",
        markersize=4.5,
        capsize=3,
        elinewidth=1.2,
    )
    axes.set(xlabel="mean score of the bin", ylabel=_share_name(rows), xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    caption = (
        f"Share by score in {BINS} bins of equal width, over {len(found.scores)} {found.unit}, with 95% "
        "intervals. On the dashed line, scores are true probabilities. Expected calibration error: "
        f"{error:.3f}."
    )
    return Plot("reliability", "Reliability", caption, figure)


def _share_name(rows: EvaluatedRows) -> str:
    return "share with the label" if rows.head == "multi-label" else "share of correct answers"


def _histogram(rows: EvaluatedRows, found: Decisions, style: Style) -> Plot:
    names = ("with the label", "without") if rows.head == "multi-label" else ("correct", "wrong")
    edges = np.linspace(0, 1, 2 * BINS + 1)
    right, _ = np.histogram(found.scores[found.right], edges)
    wrong, _ = np.histogram(found.scores[~found.right], edges)
    figure, (axes,) = new_figure(6.4, 3.6)
    width = edges[1] * 0.92
    upper = axes.bar(edges[:-1], wrong, width, align="edge", color=style.colours["bad"], hatch="///",
                     edgecolor=style.colours["card"], linewidth=0)  # fmt: skip
    lower = axes.bar(edges[:-1], right, width, bottom=wrong, align="edge", color=style.colours["accent"])
    both = (right + wrong)[right + wrong > 0]
    logarithmic = both.max() > SKEWED * np.median(both)
    if logarithmic:
        axes.set_yscale("symlog", linthresh=10)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set(xlabel="score", ylabel=found.unit, xlim=(-0.01, 1.01))
    add_legend(axes, {names[0]: lower, names[1]: upper}, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2)
    caption = f"Scores of {len(found.scores)} {found.unit}."
    if logarithmic:
        caption += " The vertical axis is logarithmic, so the stacked parts cannot be compared by height."
    return Plot("score_histogram", "Scores", caption, figure)
