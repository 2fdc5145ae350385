"""The learning curves: losses and validation metrics by epoch."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from trainer.evaluation.plots.drawing import Plot, Style, add_legend, new_figure
from trainer.metric_titles import title_of

MAX_CURVES = 8
STEP_NAMES = ("epoch", "step")


def learning_plot(history: Sequence[Mapping[str, float]], style: Style) -> Plot | None:
    """Draw one panel of losses and one of metrics; return None without epochs."""
    names = list(dict.fromkeys(name for epoch in history for name in epoch))
    losses = [name for name in names if "loss" in name][:MAX_CURVES]
    metrics = [name for name in names if name not in (*losses, *STEP_NAMES)][:MAX_CURVES]
    panels = [(title, group) for title, group in (("loss", losses), ("validation", metrics)) if group]
    if not history or not panels:
        return None
    figure, axes = new_figure(4.2 * len(panels) + 0.6, 3.6, columns=len(panels))
    for panel, (title, group) in zip(axes, panels, strict=True):
        _draw(panel, history, group, style)
        panel.set_title(title)
    epochs = "1 epoch" if len(history) == 1 else f"{len(history)} epochs"
    caption = f"Training loss and validation metrics over {epochs}."
    return Plot("learning_curves", "Learning curves", caption, figure)


def _draw(axes: Axes, history: Sequence[Mapping[str, float]], names: Sequence[str], style: Style) -> None:
    lines = {}
    for name, (colour, dash) in zip(names, style.series, strict=False):
        points = [
            (float(epoch.get("epoch", at)), float(epoch[name]))
            for at, epoch in enumerate(history, 1)
            if _is_number(epoch.get(name))
        ]
        if points:
            marker = "o" if len(points) < 30 else ""
            (lines[title_of(name)],) = axes.plot(
                *zip(*points, strict=True), color=colour, linestyle=dash, marker=marker, markersize=3.5
            )
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(lines) > 1 or "loss" not in lines:
        add_legend(axes, lines, loc="best")


def _is_number(value: float | None) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
