"""Several spellings of one label, labels without training rows, and spellings of a missing label."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.unit.label_files import notes, refusal, targets, write_csv, write_jsonl
from trainer.config import DataConfig
from trainer.data.read import read_data
from trainer.report import show_data

NFC, NFD = "caf\u00e9", "cafe\u0301"
MULTI: dict[str, Any] = {"task": "multi-label", "label_column": "label"}


@pytest.mark.parametrize(
    ("spellings", "label"),
    [
        (["ham", " ham", "ham ", "ham\u00a0", "ham\u200b", "\ufeffham", "\tham"], "ham"),
        (["new york", "new york", "new  york", "new\u00a0york", "new\nyork"], "new york"),
        ([NFC, NFD, NFC, NFD], NFC),
        ([NFD, NFD, NFC], NFD),
        (["0.0", "0", "0.00"], "0"),
        (["❤", "❤\ufe0f", "❤\ufe0f"], "❤\ufe0f"),
        (["mar\u00adket", "market", "market"], "market"),
        (["a\u202ab\u202c", "ab", "ab"], "ab"),
        (["True", "true", "true", "TRUE"], "true"),
    ],
)
def test_equal_labels_get_one_spelling(tmp_path: Path, spellings: list[str], label: str) -> None:
    path = write_jsonl(tmp_path / "data.jsonl", [*spellings, "other", "other", "other"])
    data = read_data(path)
    assert data.class_counts == {label: len(spellings), "other": 3}
    assert "labels with several spellings, white space or .0" in notes(data)
    many = read_data(write_jsonl(path, [[one, "other"] for one in spellings] + [["x"]]), DataConfig(**MULTI))
    assert many.class_counts == {label: len(spellings), "other": len(spellings), "x": 1}


@pytest.mark.parametrize("label", [NFD, "new  york", "a b", "Straße", "1.1", "001", "1e3", "-1", "❤\ufe0f"])
def test_a_label_with_one_spelling_is_unmodified(tmp_path: Path, label: str) -> None:
    data = read_data(write_csv(tmp_path / "data.csv", [label, "other"] * 3))
    assert data.class_counts == {label: 3, "other": 3}
    assert "spellings" not in notes(data)


def test_whole_numbers_with_a_decimal_point_are_whole_numbers(tmp_path: Path) -> None:
    stars = read_data(write_csv(tmp_path / "stars.csv", ["1.0", "2.0", "", "10.0"] * 3))
    assert stars.labels == ["1", "10", "2"]
    assert stars.no_label == [3, 7, 11]
    versions = read_data(write_csv(tmp_path / "versions.csv", ["1.0", "1.1", "2.0"] * 3))
    assert versions.labels == ["1.0", "1.1", "2.0"]


SIMILAR = [
    ["Ham", "ham"],
    ["HAM", "ham", "Ham"],
    ["STRASSE", "Straße"],
    ["01", "1"],
    ["1,000", "1000"],
    ["1.50", "1.5"],
    ["1e3", "1000"],
    ["+1", "1"],
    ["ﬁx", "fix"],
    ["None", "none"],
    ["\u22121", "-1"],
    ["1,5", "1.5"],
    ["1 000", "1000"],
    ["1\u202f000,50", "1000.5"],
    ["1'000", "1000"],
    ["İyi", "iyi"],
    ["IŞIK", "ışık"],
    ["0.10000000149011612", "0.1"],
    ["0.30000000000000004", "0.3"],
    ["A&amp;B", "A&B"],
    ["neg\u2013pos", "neg\u2011pos", "neg-pos"],
    ["it\u2019s", "it's"],
]


@pytest.mark.parametrize("spellings", SIMILAR, ids=["/".join(spellings) for spellings in SIMILAR])
def test_similar_labels_are_refused_merged_or_kept(tmp_path: Path, spellings: list[str]) -> None:
    path = write_csv(tmp_path / "data.csv", ["other", *spellings, spellings[-1]] * 3)
    error = refusal(path)
    assert "one label with several spellings" in error.message
    for row, spelling in enumerate(spellings, 2):
        assert f"{spelling!r} (" in error.message
        assert f"data.csv, row {row}" in error.message
    merged = read_data(path, DataConfig(similar_labels="merge"))
    assert merged.class_counts == {
        label: 3 * (1 + len(spellings)) if label != "other" else 3 for label in merged.labels
    }
    assert sorted(merged.labels) == sorted([spellings[-1], "other"])
    kept = read_data(path, DataConfig(similar_labels="keep"))
    assert sorted(kept.labels) == sorted([*spellings, "other"])
    assert "similar labels that are learnt as different ones" in notes(kept)


@pytest.mark.parametrize(("train", "test"), [("Ham", "ham"), ("1", "01"), ("1000", "1,000")])
def test_similar_labels_of_two_files_are_refused(tmp_path: Path, train: str, test: str) -> None:
    path = write_csv(tmp_path / "train.csv", [train, "7"] * 3)
    other = write_csv(tmp_path / "test.csv", ["7", test])
    error = refusal(path, test_file=other)
    assert f"{test!r} (1 rows, first in test.csv, row 2)" in error.message
    data = read_data(path, DataConfig(test_file=other, similar_labels="merge"))
    assert targets(data, "test") == ["7", train]


def test_equal_labels_of_two_files_get_one_spelling(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "train.csv", ["0.0", "1.0", NFC, "a b"] * 3)
    test = write_csv(tmp_path / "test.csv", ["0", "1", NFD, " a  b "])
    data = read_data(path, DataConfig(test_file=test))
    assert targets(data, "test") == ["0", "1", NFC, "a b"]
    assert data.class_counts == {"0": 4, "1": 4, "a b": 4, NFC: 4}


def test_long_numbers_that_a_float_would_round_are_different_labels(tmp_path: Path) -> None:
    ids = ["9007199254740993", "9007199254740992", "123456789012345678901", "123456789012345678902"]
    assert sorted(read_data(write_csv(tmp_path / "data.csv", ids * 3)).labels) == sorted(ids)


def test_flags_and_other_numbers_are_different_labels(tmp_path: Path) -> None:
    flags = ["\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e007f", "\U0001f3f4\U000e0067\U000e0062\U000e007f"]
    labels = [*flags, "0.125", "0.1250001", "-1", "1", "1,500", "1.5"]
    assert sorted(read_data(write_csv(tmp_path / "data.csv", labels * 3)).labels) == sorted(labels)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_label_without_training_rows_is_refused(tmp_path: Path, split: str) -> None:
    path = write_csv(tmp_path / "train.csv", ["ham", "spam"] * 3)
    other = write_csv(tmp_path / "other.csv", ["spam", "ham", "eggs"])
    error = refusal(path, **{f"{split}_file": other})
    assert f"labels that occur in {split} but in no training row: 'eggs'" in error.message
    assert "(first in other.csv, row 3)" in error.message
    assert "the training labels are: 'ham', 'spam'" in error.cause
    extra = write_csv(tmp_path / "extra.csv", ["eggs"])
    data = read_data(path, DataConfig(**{f"{split}_file": other, "extra_train": extra}))
    assert data.class_counts == {"eggs": 2, "ham": 4, "spam": 4}


def test_few_unknown_labels_of_multi_label_rows_are_noted_and_many_refused(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "train.jsonl", [["a"], ["b"], []])
    few = write_jsonl(tmp_path / "few.jsonl", [["a"], ["b"]] * 20 + [["c"]])
    data = read_data(path, DataConfig(**MULTI, test_file=few))
    assert "1 labels of test cannot be predicted, no training row has: 'c'" in data.notes
    many = write_jsonl(tmp_path / "many.jsonl", [["a"], ["b", "c"]])
    assert "many.jsonl, row 2" in refusal(path, test_file=many, **MULTI).message


def test_tags_without_training_rows_are_refused_by_type(tmp_path: Path) -> None:
    def write(name: str, tags: list[str]) -> Path:
        (tmp_path / name).write_text("".join(f"word {tag}\n" for tag in tags))
        return tmp_path / name

    path = write("train.conll", ["O", "B-x", "O"])
    data = read_data(path, DataConfig(task="token", test_file=write("test.conll", ["B-x", "I-x"])))
    assert targets(data, "test") == [("B-x", "I-x")]
    error = refusal(path, task="token", test_file=write("test.conll", ["O", "B-y", "O"]))
    assert "test.conll, row 1" in error.message
    assert "'y'" in error.message


def test_one_label_is_refused_in_the_whole_and_in_the_training_part(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "train.csv", ["ham"] * 6)
    assert "has 1 label(s) in 6 usable rows" in refusal(path).message
    both = write_csv(tmp_path / "test.csv", ["ham", "spam"])
    assert "has 1 label(s) in 6 usable training rows" in refusal(path, test_file=both).message
    same = write_jsonl(tmp_path / "same.jsonl", [["a", "b"], ["b", "a"]])
    assert "all 2 usable rows have the same labels: 'a', 'b'" in refusal(same, **MULTI).message


def test_labels_that_a_split_does_not_evaluate_are_noted(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "train.csv", ["ham", "spam", "eggs"] * 3)
    data = read_data(path, DataConfig(test_file=write_csv(tmp_path / "test.csv", ["ham", "ham"])))
    assert "labels without rows in test, which are not evaluated there: 'eggs', 'spam'" in data.notes
    assert "all rows of test have one label, 'ham': its figures say little" in data.notes


@pytest.mark.parametrize("null", ["NaN", "nan", "null", "NULL", "<NA>", "#N/A", "NaT", r"\N", "\u200b"])
def test_a_written_null_is_a_missing_label(tmp_path: Path, null: str) -> None:
    data = read_data(write_csv(tmp_path / "data.csv", ["ham", "spam", null] * 3))
    assert data.class_counts == {"ham": 3, "spam": 3}
    assert data.no_label == [3, 6, 9]
    assert f"{null!r} (3)" in notes(data)


@pytest.mark.parametrize("null", ["None", "N/A", "NA", "n/a", "#NAME?", "#REF!", "#DIV/0!"])
def test_an_ambiguous_null_is_a_label_and_noted(tmp_path: Path, null: str) -> None:
    data = read_data(write_csv(tmp_path / "data.csv", ["ham", "spam", null] * 3))
    assert data.class_counts[null] == 3
    assert data.no_label == []
    assert (
        f"{null!r} is learnt as a label (3 rows); leave the cell empty if the label is unknown" in data.notes
    )


def test_booleans_are_labels(tmp_path: Path) -> None:
    assert read_data(write_jsonl(tmp_path / "d.jsonl", [True, False, None] * 3)).class_counts == {
        "false": 3,
        "true": 3,
    }


def test_the_data_report_shows_the_notes_and_the_counts(tmp_path: Path) -> None:
    console = Console(width=200, record=True)
    show_data(console, read_data(write_csv(tmp_path / "data.csv", ["ham", " ham", "NaN", "", "x"] * 3)))
    output = console.export_text()
    assert "9 rows with text and label" in output
    assert "6 rows without label (rows 3, 4, 8, 9, 13, 14)" in output
    assert "cells that count as a missing label: 'NaN' (3)" in output
    assert "in 3 places: ' ham' → 'ham'" in output


def test_a_rare_label_is_refused_with_its_row(tmp_path: Path) -> None:
    error = refusal(write_csv(tmp_path / "data.csv", ["ham", "spam"] * 3 + ["hamm"]))
    assert "'hamm' (1)" in error.message
    assert "'hamm' is in data.csv, row 7" in error.cause


def test_a_label_of_all_training_rows_is_noted(tmp_path: Path) -> None:
    data = read_data(
        write_jsonl(tmp_path / "data.jsonl", [["a", "b"], ["b"], ["b", "c"]]), DataConfig(**MULTI)
    )
    assert "all training rows have: 'b'" in data.notes


def test_ordinal_labels_beside_missing_values_have_a_fix(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "data.csv", ["1", "2", "NA"] * 3)
    assert refusal(path, ordinal=True).fix == "leave these cells empty, so that their rows have no label"
    assert "leave --ordinal out" in refusal(write_csv(path, ["1", "2", "much"] * 3), ordinal=True).fix
