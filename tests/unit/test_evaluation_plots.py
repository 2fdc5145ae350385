"""The figures of an evaluation: what they count, which labels they show, and the files that they become."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import rcParams
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score

from stream.classify import Span
from stream.errors import UsageError
from tests.evaluation import (
    HISTORY,
    label_names,
    make_findings,
    multi_rows,
    regression_rows,
    single_rows,
    token_rows,
)
from tests.unit.test_page_colours import contrast
from trainer.data.examples import Example
from trainer.evaluation.answers import NO_LABEL, NO_SPAN, Confusion, confusion
from trainer.evaluation.evaluated_rows import EvaluatedRows
from trainer.evaluation.palette import DARK, HEAT, LIGHT
from trainer.evaluation.plots import write_plots
from trainer.evaluation.plots.confusion import OTHERS, WHITE_TEXT_FROM, confusion_plot, shown_labels
from trainer.evaluation.plots.costs import cost_at
from trainer.evaluation.plots.curves import joint_curve, ranked_curve
from trainer.evaluation.plots.drawing import Style, drawing
from trainer.evaluation.plots.label_names import shorten_labels
from trainer.evaluation.plots.learning import learning_plot
from trainer.evaluation.plots.lengths import row_errors
from trainer.evaluation.plots.scores import wilson_interval
from trainer.evaluation.plots.spans import span_outcomes

STYLE = Style(LIGHT)
LONG = "why was the card of the customer declined in the shop"
FILES = {
    "single": {
        "confusion_matrix",
        "pr_curves",
        "roc_curves",
        "reliability",
        "score_histogram",
        "length_histogram",
        "learning_curves",
        "cost_curves",
    },
    "regression": {"scatter", "residuals", "length_histogram", "learning_curves"},
    "token": {
        "confusion_matrix",
        "spans_by_type",
        "reliability",
        "score_histogram",
        "length_histogram",
        "learning_curves",
    },
}


def draw(rows: EvaluatedRows, folder: Path) -> set[str]:
    """Write the figures, check that each is a picture, and return their names."""
    files = write_plots(rows, make_findings(rows), HISTORY, folder)
    for file in files:
        with Image.open(file) as picture:
            assert len(picture.convert("RGB").getcolors(1 << 20) or ()) > 2, f"{file.name} is blank"
    return {file.stem for file in files}


@given(st.lists(st.text(max_size=60), unique=True, max_size=12), st.integers(8, 30))
def test_two_labels_never_look_alike(labels: list[str], width: int) -> None:
    texts = shorten_labels(labels, width)
    assert len({" ".join(text.split()) for text in texts}) == len(labels)
    assert all(text.isprintable() and text for text in texts)


def test_a_long_label_shows_where_it_differs() -> None:
    labels = [f"{LONG} in {place} and then it was sent back to the same bank" for place in ("Rome", "Oslo")]
    first, second = shorten_labels([*labels, "short"], 24)[:2]
    assert "Rome" in first
    assert "Oslo" in second
    assert max(len(first), len(second)) <= 24


def test_every_confusion_is_counted_once() -> None:
    rows = single_rows(4, ["a", "b"])
    targets = ["a", "a", "b", "b"]
    examples = [Example(at + 1, "t", target) for at, target in enumerate(targets)]
    predictions: list[dict[str, Any]] = [
        {"label": "a"},
        {"label": "b"},
        {"label": None, "abstained": True},
        {"error": "no"},
    ]
    found = confusion(replace(rows, examples=examples, predictions=predictions))
    named = {(found.names[a], found.names[p]): count for (a, p), count in found.cells.items()}
    assert named == {("a", "a"): 1, ("a", "b"): 1, ("b", NO_LABEL): 1}


def test_missed_labels_are_paired_with_wrong_ones() -> None:
    rows = multi_rows(3, ["a", "b", "c"])
    targets = [("a", "b"), (), ("c",)]
    examples = [Example(at + 1, "t", target) for at, target in enumerate(targets)]
    predictions: list[dict[str, Any]] = [{"labels": ["a", "c"]}, {"labels": ["a"]}, {"labels": []}]
    found = confusion(replace(rows, examples=examples, predictions=predictions))
    named = {(found.names[a], found.names[p]): count for (a, p), count in found.cells.items()}
    assert named == {("a", "a"): 1, ("b", "c"): 1, (NO_LABEL, "a"): 1, ("c", NO_LABEL): 1}


def test_spans_are_counted_by_type_and_outcome() -> None:
    actual = [Span("X", 0, 5, 1.0), Span("X", 10, 15, 1.0), Span("Y", 20, 25, 1.0), Span("Y", 30, 35, 1.0)]
    predicted = [Span("X", 0, 5, 0.9), Span("X", 11, 15, 0.9), Span("X", 20, 25, 0.9), Span("Y", 50, 55, 0.9)]
    assert span_outcomes(actual, predicted) == [
        ("X", "correct"),
        ("X", "other boundaries"),
        ("Y", "other type"),
        ("Y", "missed"),
        ("Y", "spurious"),
    ]


def test_spans_are_confused_with_the_span_that_they_share_most_with() -> None:
    found = confusion(token_rows(200))
    named = {(found.names[a], found.names[p]) for a, p in found.cells}
    assert {
        ("Chemical", "Chemical"),
        ("Chemical", "Disease"),
        ("Chemical", NO_SPAN),
        (NO_SPAN, "Chemical"),
    } <= named


def test_the_most_frequent_confusions_of_many_labels_are_shown() -> None:
    cells = Counter({(at, at): 5 for at in range(1500)} | {(700, 701): 9, (3, 4): 8, (50, 60): 1})
    found = Confusion([f"label {at}" for at in range(1500)] + [NO_LABEL], 1500, cells, "rows")
    shown = shown_labels(found)
    assert {700, 701, 3, 4, 50, 60} <= set(shown)
    assert len(shown) == 30


def test_a_caption_says_which_part_of_the_matrix_is_shown() -> None:
    with drawing(STYLE):
        plot = confusion_plot(single_rows(400, label_names(77)), STYLE)
    assert plot is not None
    assert "Shown are the 30 of 77 labels with the most frequent confusions" in plot.caption
    assert "predictions.csv" in plot.caption
    ticks = [text.get_text() for text in plot.figure.axes[0].get_yticklabels()]
    assert len(ticks) == 31
    assert ticks[-1] == OTHERS


def test_areas_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    scores = rng.random((600, 3)).round(2)
    flags = rng.random((600, 3)) < scores
    one = ranked_curve("a", scores[:, 0], flags[:, 0])
    assert one.average_precision == pytest.approx(average_precision_score(flags[:, 0], scores[:, 0]))
    assert one.area == pytest.approx(roc_auc_score(flags[:, 0], scores[:, 0]))
    joint = joint_curve(scores, flags)
    assert joint.average_precision == pytest.approx(average_precision_score(flags.ravel(), scores.ravel()))
    assert joint.area == pytest.approx(roc_auc_score(flags.ravel(), scores.ravel()))


def test_the_interval_of_a_share_is_wilsons() -> None:
    # Newcombe 1998, table I: 81 of 263.
    low, high = wilson_interval(np.array([81.0]), np.array([263.0]))
    assert (low[0], high[0]) == (pytest.approx(0.2553, abs=1e-4), pytest.approx(0.3662, abs=1e-4))


def test_wrong_rows_are_those_whose_published_answer_differs() -> None:
    rows = single_rows(3, ["a", "b"])
    examples = [Example(1, "t", "a"), Example(2, "t", "a"), Example(3, "t", "b")]
    predictions = [{"label": "a"}, {"label": "b"}, {"error": "no"}]
    assert row_errors(replace(rows, examples=examples, predictions=predictions)).tolist() == [0.0, 1.0]


def test_the_cost_of_a_threshold_is_that_of_the_nearest_point() -> None:
    curve = make_findings(single_rows(2, ["a", "b"])).cost_curves[0]
    assert cost_at(curve, curve.thresholds[7] + 0.001) == curve.costs[7]


def test_odd_labels_are_drawn_as_they_are(tmp_path: Path) -> None:
    labels = ["$x^2$", "_hidden", "日本語", "العربية", "a\nb", LONG + "1", LONG + "2", "%$"]
    before = dict(rcParams)
    assert draw(single_rows(120, labels, abstain=True), tmp_path) == FILES["single"]
    assert dict(rcParams) == before, "the settings of a notebook are restored"


def test_a_regression_and_spans_have_their_own_figures(tmp_path: Path) -> None:
    assert draw(regression_rows(80), tmp_path) == FILES["regression"]
    assert draw(token_rows(40), tmp_path) == FILES["token"]


@pytest.mark.parametrize("count", [0, 1])
def test_few_rows_are_no_error(tmp_path: Path, count: int) -> None:
    for rows in (
        single_rows(count, ["a", "b"]),
        multi_rows(count, ["a"]),
        regression_rows(count),
        token_rows(count),
    ):
        findings = replace(make_findings(rows), cost_curves=[], mistakes=[])
        write_plots(rows, findings, [], tmp_path)


def test_a_folder_that_does_not_exist_is_an_error_with_its_fix(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        draw(regression_rows(5), tmp_path / "missing")
    assert "mkdir -p" in refused.value.fix


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_curves_have_enough_contrast(palette: dict[str, str]) -> None:
    colours = {name: colour.removeprefix("#") for name, colour in palette.items()}
    for name in ("text", "muted", "accent", "good", "bad"):
        assert contrast(colours[name], colours["card"]) >= 4.5, name
        assert contrast(colours[name], colours["ground"]) >= 4.5, name
    for at in range(6):
        assert contrast(colours[f"series-{at + 1}"], colours["card"]) >= 4.5


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_the_counts_of_a_heat_map_are_legible(palette: dict[str, str]) -> None:
    for share in np.linspace(0, 1, 51).tolist():
        cell = blend(HEAT, palette["card"], share)
        text = "ffffff" if share >= WHITE_TEXT_FROM else palette["heat-text"].removeprefix("#")
        assert contrast(text, cell) >= 4.4, share


def blend(front: str, back: str, opacity: float) -> str:
    """Return the colour RRGGBB of a partly opaque colour on another."""
    pairs = [(int(front[at : at + 2], 16), int(back[at : at + 2], 16)) for at in (1, 3, 5)]
    return "".join(f"{round(opacity * one + (1 - opacity) * other):02x}" for one, other in pairs)


def test_the_epochs_of_a_short_training_are_whole_numbers() -> None:
    with drawing(STYLE):
        plot = learning_plot(HISTORY[:1], STYLE)
    assert plot is not None
    for axes in plot.figure.axes:
        low, high = axes.get_xlim()
        assert [at for at in axes.get_xticks() if low <= at <= high] == [1.0]
