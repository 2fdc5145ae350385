"""report.html as a file: everything escaped, nothing loaded from elsewhere, a bounded size, every task."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from stream.classify import Span
from stream.errors import UsageError
from tests.evaluation import (
    ABOUT,
    HISTORY,
    HOSTILE,
    label_names,
    make_findings,
    make_metrics,
    multi_rows,
    regression_rows,
    single_rows,
    token_rows,
)
from trainer.data.examples import Example
from trainer.evaluation.evaluated_rows import EvaluatedRows
from trainer.evaluation.findings import Findings, WordEffect
from trainer.evaluation.page import render, write_page
from trainer.evaluation.page.limits import MAX_BYTES, Limits
from trainer.evaluation.page.marked_text import mark_spans, mark_words
from trainer.evaluation.page.sections import label_table
from trainer.evaluation.page.summary import comparison_table

CLOSING = "</script><img src=x onerror=alert(1)>"


class Reader(HTMLParser):
    """The elements, the attributes and the texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        (self.scripts if self.tags and self.tags[-1][0] == "script" else self.texts).append(data)

    @property
    def identifiers(self) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get("id"))]


def write(
    rows: EvaluatedRows, folder: Path, findings: Findings | None = None, about: dict[str, str] = ABOUT
) -> str:
    """Write the report and return it."""
    file = folder / "report.html"
    write_page(rows, make_metrics(rows), findings or make_findings(rows), HISTORY, about, file)
    return file.read_text(encoding="utf-8")


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures out, which take most of the time."""
    monkeypatch.setattr(render, "make_plots", lambda *_: iter(()))


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report whose labels, texts, facts and notes are HTML and script."""
    rows = single_rows(30, [CLOSING, HOSTILE, 'x" onload="alert(1)', "{{ 7 * 7 }}", "var(--card)", "#010203"])
    examples = [replace(example, text=f"{CLOSING} \ud800 {HOSTILE}") for example in rows.examples]
    rows = replace(rows, examples=examples)
    return write(rows, tmp_path_factory.mktemp("hostile"), about={"bundle": HOSTILE, CLOSING: CLOSING})


def test_hostile_texts_stay_texts(hostile_page: str) -> None:
    page = Reader(hostile_page)
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert not {tag for tag, _ in page.tags} & {"img", "iframe", "object", "form"}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    text = "".join(page.texts)
    for expected in (HOSTILE, CLOSING, "{{ 7 * 7 }}", "var(--card)", "#010203"):
        assert expected in text


def test_the_data_in_the_script_element_are_the_labels(hostile_page: str) -> None:
    curves = json.loads(next(text for text in Reader(hostile_page).scripts if text.startswith("[")))
    assert [curve["label"] for curve in curves][:2] == [CLOSING, HOSTILE]
    assert len(curves[0]["thresholds"]) == len(curves[0]["costs"]) > 50


def test_the_policy_allows_only_the_reports_own_script(hostile_page: str) -> None:
    page = Reader(hostile_page)
    (policy,) = [a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a]
    script = next(text for text in page.scripts if "use strict" in text)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy is not None
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    links = [value for _, a in page.tags for name in ("src", "href", "xlink:href") if (value := a.get(name))]
    assert [link for link in links if not link.startswith(("#", "data:"))] == []


def test_identifiers_are_unique_and_references_have_a_target(hostile_page: str) -> None:
    page = Reader(hostile_page)
    assert len(page.identifiers) == len(set(page.identifiers))
    targets = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', hostile_page)
    assert {one or other for one, other in targets} <= set(page.identifiers)


def test_a_table_of_many_labels_has_all_of_them_or_says_where_they_are() -> None:
    rows = single_rows(20, label_names(77))
    metrics = make_metrics(rows)
    every = label_table(metrics, Limits())
    assert every is not None
    assert len(every.rows) == 77
    assert "Shown" not in every.caption
    part = label_table(metrics, replace(Limits(), labels=10))
    assert part is not None
    assert [float(row[3].number or 0) for row in part.rows] == sorted(
        figures["f1"] for figures in metrics["per_label"].values()
    )[:10]
    assert "Shown: the first 10 of 77 labels; classification_report.txt has all of them." in part.caption


@pytest.mark.usefixtures("no_figures")
def test_a_report_that_is_too_large_leaves_rows_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = single_rows(300, ["a", "b"])
    findings = make_findings(rows, 300)
    whole = len(write(rows, tmp_path, findings).encode())
    monkeypatch.setattr(render, "MAX_BYTES", whole - 100_000)
    part = write(rows, tmp_path, findings)
    assert len(part.encode()) <= whole - 100_000
    assert re.search(r"Shown: the first \d+ of 300 mistakes; errors.csv has all of them.", part)


@pytest.mark.slow
def test_1500_labels_and_10000_rows_fit_in_5_megabytes(tmp_path: Path) -> None:
    rows = single_rows(10_000, label_names(1500))
    page = write(rows, tmp_path, make_findings(rows, 2000))
    assert len(page.encode()) <= MAX_BYTES
    assert label_names(1500)[-1] in page
    assert "of 1500 labels with the most frequent confusions" in page


def test_other_tasks_have_their_sections(tmp_path: Path) -> None:
    pages = {rows.head: Reader(write(rows, tmp_path)) for rows in (regression_rows(30), token_rows(30))}
    pages["multi-label"] = Reader(write(multi_rows(40, ["a", "b", "c"]), tmp_path))
    sections = {head: {i for i in page.identifiers if i in SECTIONS} for head, page in pages.items()}
    assert sections["multi-label"] == SECTIONS - {"numbers"}
    assert sections["token"] == SECTIONS - {"numbers"}
    assert sections["regression"] == SECTIONS - {"classes", "confusion"}
    for head, page in pages.items():
        links = {a["href"] for tag, a in page.tags if tag == "a"} - {None}
        assert {f"#{name}" for name in sections[head]} <= links


SECTIONS = {
    *("summary", "classes", "confusion", "numbers", "scores", "mistakes", "slices", "labels", "duplicates"),
    *("thresholds", "learning", "notes", "about"),
}


@pytest.mark.usefixtures("no_figures")
def test_one_row_without_findings_is_a_report(tmp_path: Path) -> None:
    rows = single_rows(1, ["a", "b"])
    file = tmp_path / "report.html"
    write_page(
        rows, {"rows": 1, "accuracy": float("nan")}, Findings("accuracy", (), (), (), (), ()), [], {}, file
    )
    text = file.read_text(encoding="utf-8")
    assert "Evaluation of 1 row: one label per row, 2 labels." in text
    assert "No row was answered wrongly." in text
    assert "--cost false_positive=1,false_negative=5" in text


@pytest.mark.usefixtures("no_figures")
def test_rows_that_cannot_be_labelled_are_counted(tmp_path: Path) -> None:
    rows = single_rows(12, ["a", "b"])
    broken = [{"error": "the model failed"}, *rows.predictions[1:]]
    assert "1 of the rows could not be labelled" in write(replace(rows, predictions=broken), tmp_path)


@pytest.mark.usefixtures("no_figures")
def test_a_folder_that_does_not_exist_is_an_error_with_its_fix(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        write(regression_rows(3), tmp_path / "missing")
    assert "mkdir -p" in refused.value.fix


@pytest.mark.usefixtures("no_figures")
def test_the_second_text_of_a_pair_is_shown(tmp_path: Path) -> None:
    rows = single_rows(2, ["a", "b"])
    examples = [Example(1, "first text", "a", "second text"), Example(2, "x", "b", "y")]
    rows = replace(rows, examples=examples)
    findings = make_findings(rows, 1)
    assert "second text" in write(rows, tmp_path, findings)


def test_an_undefined_interval_is_left_out_and_a_comparison_shown() -> None:
    rows = single_rows(20, ["a", "b"])
    metrics = make_metrics(rows)
    found = label_table(metrics, Limits())
    assert found is not None
    assert [cell.text for cell in found.rows[0]] == ["a", "0.500", "0.500", "0.500 (0.400 to 0.580)", "3"]
    difference = {"value": 0.8, "other": 0.75, "difference": 0.05, "interval": [0.01, 0.09]}
    undefined = {"value": None, "other": None, "difference": None, "interval": [None, None]}
    differences = {"accuracy": difference, "roc_auc": undefined}
    comparison = {"bundle": "b@1", "differences": differences, "mcnemar": {"p_value": 0.012}}
    compared = comparison_table({**metrics, "comparison": comparison})
    assert compared is not None
    assert [cell.text for cell in compared.rows[0]] == [
        "accuracy",
        "0.800",
        "0.750",
        "+0.050 (+0.010 to +0.090)",
    ]
    # Rows of one label define no area under the curve.
    assert [cell.text for cell in compared.rows[1]] == ["ROC AUC", "–", "–", "–"]
    assert "b@1" in compared.caption
    assert "p = 0.012" in compared.caption
    assert comparison_table(metrics) is None


def test_words_are_marked_by_the_size_and_the_direction_of_their_effect() -> None:
    words = [WordEffect(0, 4, 0.4), WordEffect(5, 8, -0.1), WordEffect(9, 12, 0.01)]
    parts = mark_words("good bad end", words, 100)
    assert [(part.text, part.style, part.note) for part in parts] == [
        ("good", "raises level-4", "+0.400"),
        (" ", "", ""),
        ("bad", "lowers level-2", "-0.100"),
        (" end", "", ""),
    ]
    assert (
        "".join(part.text for part in mark_words("good bad end", words, 6)) == "good b … (6 more characters)"
    )


def test_no_word_is_marked_if_none_moves_the_score() -> None:
    words = [WordEffect(0, 4, 0.0004), WordEffect(5, 8, -0.0009)]
    assert [part.style for part in mark_words("good bad end", words, 100)] == [""]


def test_words_outside_the_text_and_overlapping_words_do_not_break_it() -> None:
    words = [WordEffect(0, 4, 0.4), WordEffect(2, 6, 0.4), WordEffect(9, 99, 0.3), WordEffect(3, 3, 0.3)]
    assert "".join(part.text for part in mark_words("good bad end", words, 100)) == "good bad end"


def test_overlapping_spans_are_marked_in_parts() -> None:
    parts = mark_spans("abcdef", [Span("X", 0, 4, 1.0)], [Span("Y", 2, 6, 0.9)], 100)
    assert [(part.text, part.style, part.note) for part in parts] == [
        ("ab", "actual", "actual: X"),
        ("cd", "actual predicted", "actual: X; predicted: Y"),
        ("ef", "predicted", "predicted: Y"),
    ]


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize(("rows", "applies"), [(single_rows(3, ["a", "b"]), True), (token_rows(3), False)])
def test_costs_are_advised_only_where_they_apply(rows: EvaluatedRows, applies: bool, tmp_path: Path) -> None:
    text = write(rows, tmp_path, Findings("accuracy", (), (), (), (), ()))
    assert ("--cost false_positive" in text) == applies
