"""The file of `--label-names`: each line is a name and nothing else, or the file is JSON."""

import json
from pathlib import Path
from typing import Any

import pytest

from stream.tables import read_label_names
from tests.unit.label_files import notes, refusal, targets, write_csv, write_ids, write_names
from trainer.config import DataConfig
from trainer.data.read import read_data

NAMES = ["ham", "spam", "eggs"]
IDS = [0, 1, 2] * 3


@pytest.mark.parametrize(
    "value",
    [NAMES, {"0": "ham", "1": "spam", "2": "eggs"}, {"spam": 1, "ham": 0, "eggs": 2}],
    ids=["list", "names by id", "ids by name"],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_names_in_json_have_their_ids(tmp_path: Path, value: Any, indent: int | None) -> None:
    file = tmp_path / "names.json"
    file.write_text(json.dumps(value, indent=indent))
    data = read_data(write_csv(tmp_path / "data.csv", IDS), DataConfig(label_names=file))
    assert targets(data)[:3] == NAMES


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("['ham', 'spam', 'eggs']", "is no JSON list"),
        ('[\n  "ham",\n  "spam"\n', "is no JSON list"),
        ('{"1": "ham", "2": "spam"}', "is no JSON list"),
        ('{"id2label": {"0": "ham"}}', "is no JSON list"),
        ("label\nham\nspam\neggs", "has a header in line 1: 'label'"),
        ("Class Name\nham\nspam", "has a header in line 1"),
        ("id\tname\n0\tham\n1\tspam", "has a number and a name in line 2: '0\\tham'"),
        ("id,label\n1,ham\n2,spam", "has a number and a name in line 2"),
        ("names:\n  0: ham\n  1: spam", "has a number and a name in line 2"),
        ("names:\n- ham\n- spam", "has a header in line 1"),
        ("# labels\nham\nspam", "has a comment in line 1"),
        ("0,ham\n1,spam", "has a number and a name in line 1"),
        ("0 ham\n1 spam", "has a number and a name in line 1"),
        ("[0] ham\n[1] spam", "has a number and a name in line 1"),
        ("sentiment\nham\nspam", "has a header in line 1"),
        ("1. ham\n2. spam", "has a number and a name in line 1"),
        ("ham,0\nspam,1", "has a number and a name in line 1"),
        ("ham\t0\nspam\t1", "has a number and a name in line 1"),
        ("ham\tA\nspam\tB", "has several columns in line 1"),
        ('"ham"\n"spam"', "has a name in quotes in line 1"),
        ('ham\n"spam, eggs"', "has a name in quotes in line 2"),
        ("'ham',\n'spam',", "has a name in quotes in line 1"),
        ("- ham\n- spam", "has a list mark in line 1"),
    ],
)
def test_lines_that_are_not_names_are_refused(tmp_path: Path, text: str, finding: str) -> None:
    file = tmp_path / "names.txt"
    file.write_text(text)
    error = refusal(write_csv(tmp_path / "data.csv", [0, 1] * 3), label_names=file)
    assert finding in error.message
    assert str(file) in error.message
    (tmp_path / "names.json").write_text('["label", "0 ham"]')
    assert read_label_names(tmp_path / "names.json") == ["label", "0 ham"]


@pytest.mark.parametrize(
    "names",
    [
        ["1 star", "2 stars", "3 stars"],
        ["0 stars", "1 star", "2 stars"],
        ["1", "2", "5"],
        ["[PAD]", "O", "B-x"],
        ["{x}", "y"],
        ["#food", "#drink"],
        ["rock 'n' roll", "it's"],
        ["food, drink", "travel"],
        ["a: b", "c: d"],
        ["ham", "label"],
        ["2020 news", "2021 news"],
    ],
)
def test_plain_names_may_hold_numbers_and_marks(tmp_path: Path, names: list[str]) -> None:
    assert read_label_names(write_names(tmp_path / "names.txt", names)) == names


def test_names_that_no_row_has_are_noted(tmp_path: Path) -> None:
    file = write_names(tmp_path / "names.txt", [*NAMES, "never"])
    data = read_data(write_csv(tmp_path / "data.csv", IDS), DataConfig(label_names=file))
    assert data.labels == NAMES
    assert "label names that no row has: 'never'" in notes(data)
    stored = read_data(write_ids(tmp_path / "data.parquet", IDS, [*NAMES, "never"]))
    assert "label names that no row has: 'never'" in notes(stored)
