"""The report as bytes."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from trainer.evaluation import page
from trainer.evaluation.answers import confusion
from trainer.evaluation.evaluated_rows import EvaluatedRows
from trainer.evaluation.findings import Findings
from trainer.evaluation.page import sections
from trainer.evaluation.page.limits import MAX_BYTES, Limits
from trainer.evaluation.page.summary import comparison_table, highlights, metrics_table, tiles
from trainer.evaluation.page.thresholds import explored_curves, threshold_table
from trainer.evaluation.palette import DARK, LIGHT, PLACEHOLDERS
from trainer.evaluation.plots import make_plots
from trainer.evaluation.plots.drawing import Style, drawing, svg_element

TASKS = {
    "single-label": "one label per row",
    "multi-label": "any number of labels per row",
    "regression": "a number per row",
    "token": "spans of the text",
}


def render_page(
    rows: EvaluatedRows,
    metrics: Mapping[str, Any],
    findings: Findings,
    history: Sequence[Mapping[str, float]],
    about: Mapping[str, str],
) -> bytes:
    """Return the report; the arguments are those of `write_page`.

    A report of more than 5 MB is rendered again with fewer rows and shorter texts.
    """
    figures = _figures(rows, findings, history)
    limits = Limits()
    while True:
        found = _render(rows, metrics, findings, about, figures, limits)
        if len(found) <= MAX_BYTES or limits.smallest:
            return found
        limits = limits.halved()


def _figures(
    rows: EvaluatedRows, findings: Findings, history: Sequence[Mapping[str, float]]
) -> dict[str, Mapping[str, Any]]:
    """Return the title, the caption and the SVG element of each figure by its name."""
    style = Style(PLACEHOLDERS)
    figures: dict[str, Mapping[str, Any]] = {}
    with drawing(style):
        for plot in make_plots(rows, findings, history, style):
            svg = Markup(svg_element(plot.figure, plot.name, f"{plot.title}. {plot.caption}"))
            figures[plot.name] = {"title": plot.title, "caption": plot.caption, "svg": svg}
    return figures


def _render(
    rows: EvaluatedRows,
    metrics: Mapping[str, Any],
    findings: Findings,
    about: Mapping[str, str],
    figures: Mapping[str, Mapping[str, Any]],
    limits: Limits,
) -> bytes:
    environment = Environment(
        loader=PackageLoader(page.__name__, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = _asset("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    found = None if rows.head == "regression" else confusion(rows)
    errors = sum("error" in prediction for prediction in rows.predictions)
    text = environment.get_template("report.html").render(
        script=Markup(script),
        script_digest=digest,
        style=Markup(_asset("report.css")),
        light=LIGHT,
        dark=DARK,
        title=about.get("bundle", "evaluation"),
        task=TASKS[rows.head],
        row_count=len(rows.examples),
        label_count=0 if rows.head == "regression" else len(rows.labels),
        error_count=errors,
        about=about,
        figures=figures,
        tiles=tiles(metrics, findings.headline),
        highlights=highlights(findings, found),
        metrics=metrics_table(metrics),
        comparison=comparison_table(metrics),
        per_label=sections.label_table(metrics, limits),
        confusions=None if found is None else sections.confusion_table(found, limits),
        mistakes=sections.mistake_table(rows, findings, limits),
        has_words=any(mistake.words for mistake in findings.mistakes),
        has_spans=rows.head == "token",
        slices=sections.slice_table(findings, limits),
        suspicions=sections.suspicion_table(findings, limits),
        duplicates=sections.duplicate_table(findings, limits),
        thresholds=threshold_table(rows, findings, limits),
        curves=explored_curves(findings, limits),
        costs_apply=rows.head not in ("regression", "token"),
        notes=findings.notes,
    )
    # Texts of the data can contain half of a surrogate pair, which UTF-8 cannot.
    return text.encode("utf-8", "replace")


def _asset(name: str) -> str:
    return files(page).joinpath("templates", name).read_text(encoding="utf-8")
