"""The plots of a regression: predicted by actual number, and the residuals."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from trainer.evaluation.answers import numbers
from trainer.evaluation.evaluated_rows import EvaluatedRows
from trainer.evaluation.plots.drawing import Plot, Style, new_figure
from trainer.evaluation.plots.label_names import shorten_labels

MAX_POINTS = 3000
NAME_CHARS = 40


def regression_plots(rows: EvaluatedRows, style: Style) -> Iterator[Plot]:
    """Draw the plots of a regression with answers."""
    if rows.head != "regression":
        return
    actual, predicted = numbers(rows)
    if not len(actual):
        return
    kept = np.arange(len(actual))
    note = ""
    if len(actual) > MAX_POINTS:
        kept = np.linspace(0, len(actual) - 1, MAX_POINTS).astype(np.int64)
        note = f" Every {len(actual) / MAX_POINTS:.1f}th row is drawn; predictions.csv has all rows."
    (name,) = shorten_labels(list(rows.labels)[:1] or ["value"], NAME_CHARS)
    low, high = float(min(actual.min(), predicted.min())), float(max(actual.max(), predicted.max()))
    dots: dict[str, Any] = {
        "s": 12,
        "alpha": 0.45 if len(kept) > 300 else 0.8,
        "color": style.colours["accent"],
        "linewidth": 0,
    }
    figure, (axes,) = new_figure(5.6, 4.8)
    axes.plot([low, high], [low, high], color=style.colours["muted"], linewidth=1, linestyle="--")
    axes.scatter(actual[kept], predicted[kept], **dots)
    axes.set(xlabel=f"actual {name}", ylabel=f"predicted {name}")
    caption = f"Predicted by actual number of {len(actual)} rows; exact predictions are on the dashed line."
    yield Plot("scatter", "Predicted and actual numbers", caption + note, figure)
    residuals = predicted - actual
    figure, (axes, bars) = new_figure(8.4, 3.8, columns=2)
    axes.axhline(0, color=style.colours["muted"], linewidth=1, linestyle="--")
    axes.scatter(predicted[kept], residuals[kept], **dots)
    axes.set(xlabel=f"predicted {name}", ylabel="residual")
    bars.hist(residuals, bins=min(40, max(5, int(np.sqrt(len(residuals))))), color=style.colours["accent"])
    bars.set(xlabel="residual", ylabel="rows")
    caption = (
        f"Residuals (predicted minus actual) of {len(actual)} rows: mean {residuals.mean():.4g}, "
        f"standard deviation {residuals.std():.4g}."
    )
    yield Plot("residuals", "Residuals", caption + note, figure)
