"""The charts of a study: its history, and the importance of its settings."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from optuna.trial import FrozenTrial, TrialState

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 120
WIDTH = 7.0
BAR_HEIGHT = 0.4
BLUE, ORANGE, GREY = "#1f6fb4", "#d9730d", "#8a8f98"


def history_png(trials: Sequence[FrozenTrial], metric_title: str) -> bytes:
    """Return a PNG with the metric of each trial, and the best complete one so far.

    A pruned trial is drawn at its last metric; a failed one has no metric and is left out.
    """
    from matplotlib.ticker import MaxNLocator

    figure, axes = _figure(3.4)
    best = _best_so_far(trials)
    for state, name, colour, marker in (
        (TrialState.COMPLETE, "complete", BLUE, "o"),
        (TrialState.PRUNED, "pruned", GREY, "x"),
    ):
        found = [(trial.number, last_value(trial)) for trial in trials if trial.state == state]
        points = [(number, value) for number, value in found if value is not None]
        if points:
            axes.scatter(*zip(*points, strict=True), color=colour, marker=marker, label=name, zorder=3)
    if best:
        axes.step(*zip(*best, strict=True), where="post", color=ORANGE, label="best so far")
    if axes.has_data():
        axes.legend(frameon=False)
    axes.set_xlabel("trial")
    axes.set_ylabel(f"validation {metric_title}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    return _png(figure)


def importance_png(importances: Mapping[str, float]) -> bytes:
    """Return a PNG with a bar for each setting, the most important one on top."""
    names = sorted(importances, key=lambda name: importances[name])
    figure, axes = _figure(max(1.6, 0.9 + BAR_HEIGHT * len(names)))
    bars = axes.barh(names, [importances[name] for name in names], color=BLUE)
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.set_xlim(0, 1.12 * max(importances.values()))
    axes.set_xlabel("share of the importance")
    return _png(figure)


def last_value(trial: FrozenTrial) -> float | None:
    """Return the metric of a complete trial, the last metric of a pruned one, or None."""
    if trial.state == TrialState.COMPLETE or not trial.intermediate_values:
        return trial.value
    return trial.intermediate_values[max(trial.intermediate_values)]


def _best_so_far(trials: Sequence[FrozenTrial]) -> list[tuple[int, float]]:
    points: list[tuple[int, float]] = []
    for trial in trials:
        if trial.state == TrialState.COMPLETE and trial.value is not None:
            points.append((trial.number, max(trial.value, points[-1][1] if points else trial.value)))
    return points


def _figure(height: float) -> "tuple[Figure, Axes]":
    # A figure of its own needs no pyplot, whose figures are global.
    from matplotlib.figure import Figure

    figure = Figure((WIDTH, height), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _png(figure: "Figure") -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()
