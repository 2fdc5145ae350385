"""Multi-hot cells: position N is the label in line N of `--label-names`; without names they are refused."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.label_files import refusal, targets, write_csv, write_ids, write_jsonl, write_names
from trainer.config import DataConfig
from trainer.data.read import read_data

NAMES = ["anger", "joy", "fear", "love"]
MULTI = {"task": "multi-label", "label_column": "label"}

CELLS: list[tuple[Any, Any]] = [
    ([0, 1, 0, 0], [1, 0, 0, 1]),
    ([0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 1.0]),
    ([False, True, False, False], [True, False, False, True]),
    (["0", "1", "0", "0"], ["1", "0", "0", "1"]),
    ([0, 1, None, 0], [1, None, 0, 1]),
    ("[0 1 0 0]", "[1 0 0 1]"),
    ("[0. 1. 0. 0.]", "[1. 0. 0. 1.]"),
    ("[False  True False False]", "[ True False False  True]"),
    ("[0, 1, 0, 0]", "[1, 0, 0, 1]"),
    ("array([0, 1, 0, 0])", "array([1, 0, 0, 1])"),
    ("(0, 1, 0, 0)", "(1, 0, 0, 1)"),
    ("0 1 0 0", "1 0 0 1"),
    ("0,1,0,0", "1,0,0,1"),
    ("0|1|0|0", "1|0|0|1"),
    ("0; 1; 0; 0", "1; 0; 0; 1"),
    ("0.0,1.0,0.0,0.0", "1.0,0.0,0.0,1.0"),
    ("False,True,False,False", "True,False,False,True"),
    ("N,Y,N,N", "Y,N,N,Y"),
    (["no", "yes", "no", "no"], ["yes", "no", "no", "yes"]),
]


@pytest.mark.parametrize("cells", CELLS, ids=[str(cells[0]) for cells in CELLS])
def test_positions_have_the_names_of_the_list_and_are_refused_without_it(
    tmp_path: Path, cells: tuple[Any, Any]
) -> None:
    path = write_jsonl(tmp_path / "data.jsonl", [*cells, None])
    names = write_names(tmp_path / "names.txt", NAMES)
    data = read_data(path, DataConfig(**MULTI, label_names=names))
    assert targets(data) == [("joy",), ("anger", "love")]
    assert data.labels == ["anger", "joy", "love"]
    assert data.class_counts == {"anger": 1, "joy": 1, "love": 1}
    assert data.no_label == [3]
    error = refusal(path, **MULTI)
    assert "data.jsonl, row 1: column 'label' holds one 0 or 1 for each of 4 labels" in error.message
    assert "--label-names FILE, with 4 lines" in error.fix


@pytest.mark.parametrize(
    "cells", [([0, 1], [1, 0]), ([0, 1], [1, 1]), ("1,0", "0,1"), ([True, False], [False, True])]
)
def test_two_positions_are_multi_hot_if_all_rows_have_two(tmp_path: Path, cells: tuple[Any, Any]) -> None:
    path = write_jsonl(tmp_path / "data.jsonl", cells)
    assert "for each of 2 labels" in refusal(path, **MULTI).message
    data = read_data(
        write_jsonl(path, [*cells, [0, 0]]),
        DataConfig(**MULTI, label_names=write_names(tmp_path / "names.txt", ["x", "y"])),
    )
    assert set(targets(data)) <= {("x",), ("y",), ("x", "y"), ()}
    assert targets(data)[-1] == ()


@pytest.mark.parametrize("labels", [[[0], [1], [0]], [[0], [0, 1], []], ["0", "0,1", "1"]])
def test_ids_that_differ_within_a_row_are_not_multi_hot(tmp_path: Path, labels: list[Any]) -> None:
    data = read_data(write_jsonl(tmp_path / "data.jsonl", labels), DataConfig(**MULTI))
    assert data.labels == ["0", "1"]
    names = write_names(tmp_path / "names.txt", ["a", "b"])
    named = read_data(tmp_path / "data.jsonl", DataConfig(**MULTI, label_names=names))
    assert targets(named)[0] == ("a",)
    assert named.labels == ["a", "b"]


def test_ids_with_stored_names_are_not_multi_hot(tmp_path: Path) -> None:
    path = write_ids(tmp_path / "data.parquet", [[0, 1], [1, 0], [0, 2]], ["a", "b", "c"])
    assert targets(read_data(path, DataConfig(**MULTI))) == [("a", "b"), ("b", "a"), ("a", "c")]


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ([1, 0, 0], "holds 3 flags, and there are 4 label names"),
        ([1, 0, 0, 0, 1], "holds 5 flags, and there are 4 label names"),
        ([1, 0, 2, 0], "holds '[1, 0, 2, 0]', and other rows hold lists of 0 and 1"),
        ([], "holds '[]', and other rows hold lists of 0 and 1"),
        (["joy"], "and other rows hold lists of 0 and 1"),
        ("joy", "holds 'joy', and other rows hold lists of 0 and 1"),
    ],
)
def test_one_odd_row_is_refused_by_number(tmp_path: Path, odd: Any, message: str) -> None:
    path = write_jsonl(tmp_path / "data.jsonl", [[0, 1, 0, 0]] * 20 + [odd])
    error = refusal(path, label_names=write_names(tmp_path / "names.txt", NAMES), **MULTI)
    assert error.message.startswith("data.jsonl, row 21: ")
    assert message in error.message


@pytest.mark.parametrize(
    ("cells", "cause"),
    [
        ([[0.1, 0.9], [0.5, 0.5]], "a number has a fraction"),
        (["0.1,0.9", "0.5,0.5"], "a number has a fraction"),
        (["[0.1 0.9]", "[0.5 0.5]"], "a number has a fraction"),
        ([[2, 0, 2], [0, 3, 5]], "a number occurs twice"),
    ],
)
def test_scores_and_counts_are_refused(tmp_path: Path, cells: list[Any], cause: str) -> None:
    error = refusal(write_jsonl(tmp_path / "data.jsonl", cells), **MULTI)
    assert "data.jsonl, row 1" in error.message
    assert "scores or counts, not labels" in error.message
    assert error.cause == cause


def test_numbers_that_spaces_separate_need_a_flag(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "data.csv", ["3", "3 7", "7"])
    error = refusal(path, **MULTI)
    assert "data.csv, row 2: column 'label' holds several numbers, '3 7'" in error.message
    assert error.fix == '--label-separator " "'
    data = read_data(path, DataConfig(**MULTI, label_separator=" "))
    assert targets(data) == [("3",), ("3", "7"), ("7",)]


def test_a_single_pair_of_ids_is_no_multi_hot_list(tmp_path: Path) -> None:
    train = write_jsonl(tmp_path / "train.jsonl", [[0, 1], [2, 3], [1]])
    test = write_jsonl(tmp_path / "test.jsonl", [[0, 1]])
    assert targets(read_data(train, DataConfig(**MULTI, test_file=test)), "test") == [("0", "1")]
    hot = write_jsonl(tmp_path / "hot.jsonl", [[0, 0], [1, 1], [1, 0]])
    names = write_names(tmp_path / "names.txt", ["x", "y"])
    data = read_data(hot, DataConfig(**MULTI, test_file=test, label_names=names))
    assert targets(data, "test") == [("y",)]


def test_a_multi_hot_file_and_a_file_of_names_mix(tmp_path: Path) -> None:
    train = write_jsonl(tmp_path / "train.jsonl", [[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]])
    test = write_jsonl(tmp_path / "test.jsonl", [["joy", "love"], []])
    settings = DataConfig(**MULTI, label_names=write_names(tmp_path / "names.txt", NAMES), test_file=test)
    data = read_data(train, settings)
    assert targets(data) == [("anger", "love"), ("joy",), (), ("joy", "love"), ()]


@pytest.mark.parametrize("cells", [["0100", "1001", "0011"], ["01", "11"], ["1000", "1100"]])
def test_texts_of_bits_are_multi_hot(tmp_path: Path, cells: list[str]) -> None:
    train = write_csv(tmp_path / "data.csv", [*cells, ""])
    test = write_csv(tmp_path / "test.csv", [cells[0]])
    error = refusal(train, **MULTI)
    assert f"row 1: column 'label' holds one 0 or 1 for each of {len(cells[0])} labels" in error.message
    names = write_names(tmp_path / "names.txt", NAMES[: len(cells[0])])
    data = read_data(train, DataConfig(**MULTI, label_names=names, test_file=test))
    expected = [tuple(n for n, bit in zip(NAMES, cell, strict=False) if bit == "1") for cell in cells]
    assert targets(data) == [*expected, expected[0]]
    assert data.no_label == [len(cells) + 1]


def test_a_text_of_bits_with_another_length_is_refused(tmp_path: Path) -> None:
    names = write_names(tmp_path / "names.txt", NAMES)
    path = write_csv(tmp_path / "data.csv", ["010", "100", "110"])
    error = refusal(path, label_names=names, **MULTI)
    assert "holds 3 flags, and there are 4 label names" in error.message
    path = write_csv(path, ["0100", "1001", "0001", "100"])
    error = refusal(path, label_names=names, **MULTI)
    assert "row 4: column 'label' holds 3 flags, and there are 4 label names" in error.message
    error = refusal(write_csv(path, ["0100", "1001", "0001", "joy"]), label_names=names, **MULTI)
    assert "row 4: column 'label' holds 'joy', and other rows hold lists of 0 and 1" in error.message


@pytest.mark.parametrize("cells", [["10", "11"], ["0", "1", "10"], ["0101", "ham"], ["101", "ab"]])
def test_numbers_of_zeros_and_ones_may_be_labels(tmp_path: Path, cells: list[str]) -> None:
    assert targets(read_data(write_csv(tmp_path / "data.csv", cells), DataConfig(**MULTI))) == [
        (cell,) for cell in cells
    ]
