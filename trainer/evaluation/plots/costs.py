"""The cost of wrong answers by threshold."""

import math
from collections.abc import Sequence

from trainer.evaluation.findings import CostCurve
from trainer.evaluation.plots.drawing import Plot, Style, add_legend, new_figure
from trainer.evaluation.plots.label_names import shorten_labels

MAX_PANELS = 9
COLUMNS = 3
NAME_CHARS = 28


def saving(curve: CostCurve) -> float:
    """Return the cost per row that the best threshold saves against the current one; 0 without one."""
    if curve.current is None or not curve.thresholds:
        return 0.0
    return cost_at(curve, curve.current) - min(curve.costs)


def cost_at(curve: CostCurve, threshold: float) -> float:
    """Return the cost at the threshold of the curve nearest to a threshold."""
    nearest = min(range(len(curve.thresholds)), key=lambda at: abs(curve.thresholds[at] - threshold))
    return curve.costs[nearest]


def cost_plot(curves: Sequence[CostCurve], style: Style) -> Plot | None:
    """Draw a panel for each label; return None without curves."""
    drawn = [curve for curve in curves if curve.thresholds]
    if not drawn:
        return None
    shown = sorted(drawn, key=lambda curve: -saving(curve))[:MAX_PANELS]
    names = shorten_labels([curve.label for curve in drawn], NAME_CHARS)
    titles = {id(curve): name for curve, name in zip(drawn, names, strict=True)}
    columns = min(COLUMNS, len(shown))
    lines = math.ceil(len(shown) / columns)
    figure, axes = new_figure(3.4 * columns + 0.6, 2.5 * lines + 0.4, columns=columns, rows=lines)
    for panel, curve in zip(axes, shown, strict=False):
        panel.plot(curve.thresholds, curve.costs, color=style.colours["accent"])
        best = panel.axvline(curve.best, color=style.colours["good"], linewidth=1.4)
        marks = {f"best {curve.best:.3f}": best}
        if curve.current is not None:
            current = panel.axvline(curve.current, color=style.colours["bad"], linewidth=1.4, linestyle="--")
            marks[f"now {curve.current:.3f}"] = current
        panel.set_title(titles[id(curve)])
        panel.set(xlabel="threshold", ylabel="cost per row", xlim=(0, 1))
        panel.set_ylim(bottom=0)
        add_legend(panel, marks, loc="best")
    for panel in axes[len(shown) :]:
        panel.set_axis_off()
    caption = "Cost per row by threshold."
    if len(shown) < len(drawn):
        caption += (
            f" Shown are the {len(shown)} of {len(drawn)} labels whose best threshold saves most; "
            "the table has all labels."
        )
    return Plot("cost_curves", "Cost by threshold", caption, figure)
