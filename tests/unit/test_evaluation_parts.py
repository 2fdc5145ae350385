"""The parts of an evaluation without a model: labels, requirements, comparison, tables and folder."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from stream.bundle import Bundle
from stream.errors import UsageError
from tests.evaluation import make_findings, single_rows
from tests.unit.small_bundle import partial_manifest
from trainer.data.evaluation_data import read_evaluation_data
from trainer.data.examples import Example
from trainer.data.known_labels import match_labels
from trainer.evaluation.comparison import check_comparable, compare_rows, mcnemar
from trainer.evaluation.csv_tables import FailedRows, free_names, write_flips, write_predictions
from trainer.evaluation.evaluated_rows import EvaluatedRows
from trainer.evaluation.finding_tables import write_findings
from trainer.evaluation.findings import Findings
from trainer.evaluation.page.limits import Limits
from trainer.evaluation.page.sections import suspicion_table
from trainer.evaluation.requirements import (
    RequirementError,
    check_requirements,
    parse_requirements,
    refuse_unmet,
)
from trainer.evaluation.row_metrics import ScoredRows
from trainer.results_folder import results_folder

FIGURES = ["accuracy", "macro_f1", "log_loss"]
LABELS = ["billing", "a=b]", "ham"]
LOCATE = "row {}".format


def examples(*targets: Any) -> list[Example]:
    return [Example(row, f"text {row}", target) for row, target in enumerate(targets, 1)]


def manifest(task: str, labels: list[str]) -> Any:
    return partial_manifest(task=task, labels=labels, text_pair=False, spans=None)


def scored(gold: list[int], predicted: list[int], columns: dict[str, list[str]] | None = None) -> ScoredRows:
    probabilities = np.full((len(gold), 3), 0.1)
    probabilities[np.arange(len(gold)), predicted] = 0.8
    members = [{"label": LABELS[at], "score": 0.8} for at in predicted]
    rows = examples(*(LABELS[at] for at in gold))
    logits = np.log(probabilities).astype(np.float32)
    return ScoredRows(
        EvaluatedRows(
            "single-label", LABELS, None, rows, logits, probabilities, members, None, None, columns or {}
        )
    )


@pytest.mark.parametrize(
    ("minima", "maxima", "message"),
    [
        (["macro_f2=0.9"], [], "did you mean macro_f1"),
        (["f1[billin]=0.9"], [], "did you mean billing"),
        (["f2[ham]=0.9"], [], "precision, recall, f1"),
        (["accuracy"], [], "NAME=NUMBER"),
        (["accuracy=high"], [], "NAME=NUMBER"),
        (["accuracy=nan"], [], "NAME=NUMBER"),
        (["log_loss=0.3"], [], "--max log_loss=0.3"),
        ([], ["accuracy=0.3"], "--min accuracy=0.3"),
        (["zebra=1"], [], "accuracy, macro_f1, log_loss"),
    ],
)
def test_a_wrong_requirement_is_refused_with_the_names_or_the_right_flag(
    minima: list[str], maxima: list[str], message: str
) -> None:
    with pytest.raises(UsageError) as refused:
        parse_requirements(minima, maxima, FIGURES, LABELS)
    assert message in f"{refused.value.cause} {refused.value.fix}"


def test_requirements_of_figures_and_of_labels_are_checked() -> None:
    metrics = scored([0, 0, 1, 1], [0, 1, 1, 1]).metrics(resamples=0)
    texts = ["accuracy=0.75", "f1[a=b]]=0.8", "recall[billing]=0.9", "f1[ham]=0"]
    outcomes = check_requirements(parse_requirements(texts, ["log_loss=9"], FIGURES, LABELS), metrics)
    # A label without rows has no figure, so that its requirement cannot be met.
    assert [outcome.met for outcome in outcomes] == [True, True, False, False, True]
    with pytest.raises(RequirementError) as refused:
        refuse_unmet(outcomes, "results")
    assert refused.value.exit_code == 8
    assert "recall[billing] = 0.5, required >= 0.9" in refused.value.cause
    refuse_unmet(outcomes[:2], "results")


def test_rows_with_a_label_that_the_bundle_does_not_know_are_left_out_and_listed() -> None:
    found = match_labels(
        examples("ham", "new", "ham "), manifest("single-label", ["ham", "spam"]), "refuse", LOCATE
    )
    assert [example.target for example in found.examples] == ["ham", "ham"]
    assert (found.unknown, found.left_out, found.without_rows) == ({"new": 1}, [2], ["spam"])
    assert any("does not know: 'new'; 1 rows" in note for note in found.notes)
    assert any("without rows" in note and "'spam'" in note for note in found.notes)


def test_unknown_labels_of_many_leave_their_row() -> None:
    found = match_labels(examples(("a", "x"), ()), manifest("multi-label", ["a", "b"]), "refuse", LOCATE)
    assert [example.target for example in found.examples] == [("a",), ()]
    assert found.unknown == {"x": 1}


def test_words_of_an_unknown_span_type_are_outside() -> None:
    rows = [Example(1, "a b c", ("B-per", "B-org", "I-org"), word_spans=((0, 1), (2, 3), (4, 5)))]
    found = match_labels(rows, manifest("token", ["O", "B-per", "I-per"]), "refuse", LOCATE)
    assert found.examples[0].target == ("B-per", "O", "O")
    assert found.unknown == {"org": 1}


@pytest.mark.parametrize("labels", [["0", "1"], ["1", "1"]])
def test_ids_beside_names_are_refused_with_the_flag_that_names_them(labels: list[str]) -> None:
    with pytest.raises(UsageError) as refused:
        match_labels(examples(*labels), manifest("single-label", ["ham", "spam"]), "refuse", LOCATE)
    assert "--label-names FILE" in refused.value.fix
    numbers = manifest("single-label", ["0", "1"])
    assert len(match_labels(examples(*labels), numbers, "refuse", LOCATE).examples) == 2


def test_a_similar_label_is_refused_merged_or_kept_by_the_policy() -> None:
    rows, bundle = examples("HAM", "spam"), manifest("single-label", ["ham", "spam"])
    with pytest.raises(UsageError, match="almost a label of the bundle, 'ham'"):
        match_labels(rows, bundle, "refuse", LOCATE)
    merged = match_labels(rows, bundle, "merge", LOCATE)
    assert [example.target for example in merged.examples] == ["ham", "spam"]
    assert match_labels(rows, bundle, "keep", LOCATE).left_out == [1]


def test_data_without_a_label_of_the_bundle_are_refused() -> None:
    with pytest.raises(UsageError, match="no row has a label of the bundle"):
        match_labels(examples("x", "y"), manifest("single-label", ["ham", "spam"]), "refuse", LOCATE)


def test_mcnemar_is_exact_for_few_rows_and_chi_squared_for_many() -> None:
    right, wrong = np.ones(40, dtype=bool), np.zeros(40, dtype=bool)
    few = mcnemar(np.r_[right[:9], wrong[:2]], np.r_[wrong[:9], right[:2]])
    assert (few["only_this"], few["only_other"], few["test"]) == (9, 2, "exact")
    assert few["p_value"] == pytest.approx(binomtest(9, 11).pvalue)
    # Edwards 1948: (|30 - 12| - 1)² / 42 = 6.88, p = 0.0087.
    many = mcnemar(np.r_[right[:30], wrong[:12]], np.r_[wrong[:30], right[:12]])
    assert many["test"] == "chi-squared"
    assert many["p_value"] == pytest.approx(0.0087, abs=1e-4)
    assert mcnemar(right, right)["p_value"] == 1.0


def test_a_comparison_is_paired_and_names_the_flipped_rows(tmp_path: Path) -> None:
    gold = [0, 1, 2] * 20
    ours, theirs = list(gold), list(gold)
    theirs[:15] = [(at + 1) % 3 for at in gold[:15]]
    ours[59], theirs[58] = 0, 0
    ours[58] = 2
    found = compare_rows(scored(gold, ours), scored(gold, theirs), "old@1", resamples=200)
    accuracy = found.metrics["differences"]["accuracy"]
    assert accuracy["difference"] == pytest.approx(accuracy["value"] - accuracy["other"])
    low, high = accuracy["interval"]
    assert 0 < low < accuracy["difference"] < high
    assert (accuracy["better"], found.metrics["differences"]["log_loss"]["better"]) == ("this", "this")
    assert found.metrics["flips"] == {"fixed": 15, "broken": 1, "changed": 1}
    write_flips(tmp_path / "flips.csv", found)
    flips = pd.read_csv(tmp_path / "flips.csv")
    assert flips["change"].value_counts().to_dict() == found.metrics["flips"]
    assert flips.iloc[-1].to_dict()["row"] == 60
    same = compare_rows(scored(gold, ours), scored(gold, ours), "old@1", resamples=50)
    assert same.metrics["differences"]["accuracy"]["better"] == "unclear"
    assert not same.flips


def test_bundles_with_other_labels_or_another_task_are_not_compared() -> None:
    own = manifest("single-label", LABELS)
    for task, labels in (("regression", ["score"]), ("single-label", ["billing", "ham"])):
        with pytest.raises(UsageError, match="cannot be compared"):
            check_comparable(own, manifest(task, labels), "other@1")
    check_comparable(own, manifest("single-label", LABELS[::-1]), "other@1")


def test_predictions_keep_every_cell_and_column_of_the_input(tmp_path: Path) -> None:
    odd = ['a\r\nb "c", d', "=1+1", "  é\u2028 ", "x\ry"]
    columns = {"label": odd, "p:ham": ["1", "", "NA", "007"]}
    rows = scored([0, 1, 2, 0], [0, 1, 1, 2], columns).rows
    renamed = write_predictions(tmp_path / "p.csv", rows, FailedRows())
    assert renamed == {"label": "labelstream_label", "p:ham": "labelstream_p:ham"}
    table = pd.read_csv(tmp_path / "p.csv", dtype=str, keep_default_na=False)
    assert list(table.columns) == [
        *("label", "p:ham", "gold", "labelstream_label", "score", "p:billing", "p:a=b]", "labelstream_p:ham")
    ]
    assert table["label"].tolist() == odd
    assert table["p:ham"].tolist() == ["1", "", "NA", "007"]
    assert table["gold"].tolist() == ["billing", "a=b]", "ham", "billing"]
    assert pd.read_csv(tmp_path / "p.csv")["p:billing"].tolist() == [0.8, 0.1, 0.1, 0.1]
    with (tmp_path / "p.csv").open(newline="", encoding="utf-8") as file:
        assert [row["label"] for row in csv.DictReader(file)] == odd


def test_rows_without_an_answer_stay_in_their_place_with_the_error(tmp_path: Path) -> None:
    rows = scored([0, 1], [0, 1]).rows
    failed = FailedRows([Example(0, "first", "ham")], ["model: no logits"])
    write_predictions(tmp_path / "p.csv", rows, failed)
    table = pd.read_csv(tmp_path / "p.csv", keep_default_na=False)
    assert table["error"].tolist() == ["model: no logits", "", ""]
    assert table["text"].tolist() == ["first", "text 1", "text 2"]
    assert table["label"].tolist() == ["", "billing", "a=b]"]


def test_names_of_columns_never_clash() -> None:
    assert free_names(["label"], ["label", "labelstream_label"]) == {"label": "labelstream_label_2"}


def test_an_error_keeps_the_old_results_and_leaves_nothing_behind(tmp_path: Path) -> None:
    output, bundle = tmp_path / "results" / "a" / "1", tmp_path / "bundle"
    bundle.mkdir()
    for number in ("1", "2"):
        with results_folder(output, bundle) as folder:
            (folder / "metrics.json").write_text(number)
    with pytest.raises(KeyboardInterrupt), results_folder(output, bundle) as folder:
        (folder / "metrics.json").write_text("3")
        raise KeyboardInterrupt
    assert (output / "metrics.json").read_text() == "2"
    assert [path.name for path in output.parent.iterdir()] == ["1"]


def test_a_folder_with_other_files_and_the_bundle_are_not_replaced(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (tmp_path / "photo.png").touch()
    (tmp_path / "file").touch()
    for output in (tmp_path, bundle, bundle / "results", tmp_path / "file"):
        with pytest.raises(UsageError, match="cannot write"), results_folder(output, bundle):
            pytest.fail("the block must not run")
    assert (tmp_path / "photo.png").exists()


def test_the_training_rows_of_data_with_splits_are_those_of_the_training_split(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("train", "test"):
        (folder / f"{name}.csv").write_text(f"text,label\n{name} one,ham\n{name} two,spam\n")
    whole = tmp_path / "whole.csv"
    whole.write_text("text,label\nother one,ham\nother two,spam\n")
    known = manifest("single-label", ["ham", "spam"])
    bundle = Bundle(tmp_path, known, "sha256:0")
    for train_data, texts in ((folder, ["train one", "train two"]), (whole, ["other one", "other two"])):
        data = read_evaluation_data(bundle, folder / "test.csv", {}, train_data=train_data)
        assert [example.text for example in data.training] == texts
        assert [example.text for example in data.examples] == ["test one", "test two"]
    (folder / "train.csv").rename(folder / "validation.csv")
    with pytest.raises(UsageError, match="no training split"):
        read_evaluation_data(bundle, whole, {}, train_data=folder)


def test_each_kind_of_finding_has_a_file_with_all_of_them(tmp_path: Path) -> None:
    findings = make_findings(single_rows(500, ["a", "b"]))
    findings = replace(findings, suspicions=[*findings.suspicions] * 30)
    write_findings(tmp_path, findings)
    tables = {file.name: pd.read_csv(file) for file in tmp_path.iterdir()}
    assert {name: len(table) for name, table in tables.items()} == {
        "slices.csv": 4,
        "label_errors.csv": 900,
        "duplicates.csv": 8,
        "thresholds.csv": 2,
    }
    assert tables["slices.csv"].loc[0, "accuracy"] == 0.612
    caption = suspicion_table(findings, Limits()).caption
    assert caption.endswith("Shown: the first 400 of 900 rows; label_errors.csv has all of them.")
    empty = tmp_path / "empty"
    empty.mkdir()
    write_findings(empty, Findings("accuracy", (), (), (), (), ()))
    assert not list(empty.iterdir())
