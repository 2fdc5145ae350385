"""classification_report.txt: all figures with their intervals, and the figures of each label."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stream.short_names import shorten_names
from trainer.evaluation.figures import LABEL_FIGURES
from trainer.metric_titles import TITLES

MAX_LABEL_CHARS = 60


def text_report(metrics: Mapping[str, Any], about: Mapping[str, str]) -> str:
    """Return the report as text.

    Args:
        metrics: the metrics of the evaluated rows.
        about: facts by name, such as the bundle and the data.
    """
    lines = [f"{name:<12} {' '.join(text.split())}" for name, text in about.items()]
    lines += ["", *_figure_lines(metrics)]
    if metrics.get("per_label"):
        lines += ["", *_label_lines(metrics)]
    return "\n".join(lines) + "\n"


def _figure_lines(metrics: Mapping[str, Any]) -> Iterator[str]:
    width = max(len(title) for title in TITLES.values())
    yield f"{'figure':<{width}}  {'value':>9}  95% interval"
    ends_of = metrics.get("intervals", {})
    for name, title in TITLES.items():
        if name in metrics:
            ends = interval_text(ends_of.get(name))
            yield f"{title:<{width}}  {_number(metrics[name]):>9}  {ends}".rstrip()
    yield f"{'rows':<{width}}  {metrics['rows']:>9}"


def _label_lines(metrics: Mapping[str, Any]) -> Iterator[str]:
    """Yield the table of scikit-learn's classification report, with the interval of each F1."""
    per_label, ends_of = metrics["per_label"], metrics.get("per_label_intervals", {})
    names = shorten_names(per_label, MAX_LABEL_CHARS)
    width = max(len("weighted avg"), *map(len, names.values()))
    heads = f"{'precision':>10} {'recall':>10} {'f1-score':>10} {'support':>9}"
    yield f"{'':>{width}} {heads}  95% interval of F1"
    yield ""
    for label, row in per_label.items():
        ends = interval_text(ends_of.get(label, {}).get("f1"))
        yield f"{_row(names[label], width, row, row['support'])}  {ends}".rstrip()
    yield ""
    total = sum(row["support"] for row in per_label.values())
    rows = list(per_label.values())
    macro = {name: sum(row[name] for row in rows) / len(rows) for name in LABEL_FIGURES}
    weighted = {
        name: sum(row[name] * row["support"] for row in rows) / max(1, total) for name in LABEL_FIGURES
    }
    yield _row("macro avg", width, macro, total)
    yield _row("weighted avg", width, weighted, total)


def _row(name: str, width: int, row: Mapping[str, Any], support: int) -> str:
    figures = " ".join(f"{row[figure]:>10.4f}" for figure in LABEL_FIGURES)
    return f"{name:>{width}} {figures} {support:>9}"


def interval_text(ends: Sequence[float | None] | None) -> str:
    """Return an interval as text, empty if it is unknown."""
    if ends is None or ends[0] is None:
        return ""
    return f"{ends[0]:.4f} to {ends[1]:.4f}"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
