"""Numbers of a regression: decimal marks, thousands separators, and cells that are no numbers."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.unit.label_files import refusal, targets, write_csv, write_ids, write_jsonl
from trainer.config import DataConfig, DecimalMark
from trainer.data.numbers import parse_number
from trainer.data.read import read_data
from trainer.data.splits import split_examples
from trainer.report import show_data
from trainer.training_facts import data_facts

NUMBER: dict[str, Any] = {"task": "regression", "label_column": "label"}


@pytest.mark.parametrize(
    ("cell", "plain", "comma", "point"),
    [
        ("1234.5", 1234.5, None, 1234.5),
        ("1234", 1234.0, 1234.0, 1234.0),
        ("-3", -3.0, -3.0, -3.0),
        ("\u22123", -3.0, -3.0, -3.0),
        (" 7 ", 7.0, 7.0, 7.0),
        (".5", 0.5, None, 0.5),
        ("1e3", 1000.0, 1000.0, 1000.0),
        ("3,5", None, 3.5, None),
        (",5", None, 0.5, None),
        ("-1.234,5", None, -1234.5, None),
        ("1.234.567", None, 1234567.0, None),
        ("1.234", 1.234, 1234.0, 1.234),
        ("1,234", None, 1.234, 1234.0),
        ("1,234.5", None, None, 1234.5),
        ("1,234,567", None, None, 1234567.0),
        ("1 234,5", None, 1234.5, None),
        ("1\u00a0234\u00a0567", None, 1234567.0, 1234567.0),
        ("1\u202f234,5", None, 1234.5, None),
        ("1'234.5", None, None, 1234.5),
        ("1,23,456", None, None, None),
        ("12 34", None, None, None),
        ("1_000", None, None, None),
        ("45%", None, None, None),
        ("$5", None, None, None),
        ("2024-01-02", None, None, None),
        ("inf", None, None, None),
        ("Infinity", None, None, None),
        ("1e999", None, None, None),
        ("true", None, None, None),
        ("4/5", None, None, None),
    ],
)
def test_a_text_is_read_by_its_decimal_mark(
    cell: str, plain: float | None, comma: float | None, point: float | None
) -> None:
    assert parse_number(cell, "score") == plain
    assert parse_number(cell, "score", ",") == comma
    assert parse_number(cell, "score", ".") == point


@given(
    st.decimals(-(10**9), 10**9, places=2),
    st.sampled_from([(",", "."), (",", " "), (",", "\u00a0"), (".", ","), (".", "'"), (".", "\u202f")]),
)
def test_grouped_numbers_are_read_back(number: Any, marks: tuple[DecimalMark, str]) -> None:
    mark, group = marks
    written = f"{number:,.2f}".replace(",", "G").replace(".", mark).replace("G", group)
    assert parse_number(written, "score", mark) == float(number)


@pytest.mark.parametrize("mark", [None, ",", "."])
def test_json_numbers_have_no_decimal_mark(tmp_path: Path, mark: DecimalMark | None) -> None:
    path = write_jsonl(tmp_path / "data.jsonl", [1.5, 2, 1234.25, None])
    data = read_data(path, DataConfig(**NUMBER, decimal=mark))
    assert targets(data) == [1.5, 2.0, 1234.25]
    assert (data.no_label, data.no_number) == ([4], [])


@pytest.mark.parametrize(
    ("cells", "fix", "numbers"),
    [
        (["1,5", "2,25", "3"], "--decimal ,", [1.5, 2.25, 3.0]),
        (["1.234,5", "2,0", "3"], "--decimal ,", [1234.5, 2.0, 3.0]),
        (["1,234.5", "2.5", "3"], "--decimal .", [1234.5, 2.5, 3.0]),
        (["1'234.5", "2", "3"], "--decimal .", [1234.5, 2.0, 3.0]),
    ],
)
def test_the_advised_decimal_mark_reads_the_column(
    tmp_path: Path, cells: list[str], fix: str, numbers: list[float]
) -> None:
    path = write_csv(tmp_path / "data.csv", cells * 10)
    error = refusal(path, **NUMBER)
    assert f"such as {cells[0]!r} (data.csv, row 1)" in error.message
    assert error.fix == fix
    data = read_data(path, DataConfig(**NUMBER, decimal=fix.split()[1]))
    assert targets(data) == numbers * 10
    assert data.no_label == []


def test_a_comma_with_two_meanings_is_explained(tmp_path: Path) -> None:
    error = refusal(write_csv(tmp_path / "data.csv", ["1,234", "5"] * 3), **NUMBER)
    assert "3 of 6 cells in column 'label' are not numbers, such as '1,234'" in error.message
    assert error.fix == "--decimal , if '1,234' is 1.234; --decimal . if it is 1234"


@pytest.mark.parametrize("cell", ["1,5", "45%", "$5", "2024-01-02", "inf", "1e999", "good", "1_000"])
def test_a_column_with_many_other_cells_is_refused(tmp_path: Path, cell: str) -> None:
    path = write_csv(tmp_path / "data.csv", ["1.5", "2.5", cell] * 10)
    error = refusal(path, **NUMBER)
    assert (
        f"10 of 30 cells in column 'label' are not numbers, such as {cell!r} (data.csv, row 3)"
        in error.message
    )
    assert "--decimal" not in error.fix
    every = refusal(write_csv(path, ["x", ""]), **NUMBER)
    assert "1 of 1 cells" in every.message


def test_points_under_a_decimal_comma_are_refused(tmp_path: Path) -> None:
    error = refusal(write_csv(tmp_path / "data.csv", ["1,5", "1.5", "2.5"] * 3), **NUMBER, decimal=",")
    assert "such as '1.5' (data.csv, row 2)" in error.message
    assert error.cause == "with --decimal , a point only separates thousands"
    points = write_csv(tmp_path / "points.csv", ["1.5", "2.5"] * 3)
    assert refusal(points, **NUMBER, decimal=",").fix == "--decimal ."
    assert targets(read_data(points, DataConfig(**NUMBER, decimal=".")))[:2] == [1.5, 2.5]


def test_the_second_file_is_named_with_its_own_row(tmp_path: Path) -> None:
    train = write_csv(tmp_path / "train.csv", ["1", "2", "3"] * 3)
    error = refusal(train, test_file=write_csv(tmp_path / "test.csv", ["1", "x", "y"]), **NUMBER)
    assert "2 of 12 cells in column 'label' are not numbers, such as 'x' (test.csv, row 2)" in error.message


def test_few_other_cells_are_counted_apart_from_missing_ones(tmp_path: Path) -> None:
    missing = ["", "NaN", "None", "N/A", "null", "-"]
    cells = [*missing, *map(str, range(200)), "much", "4%"]
    data = read_data(write_csv(tmp_path / "data.csv", cells), DataConfig(**NUMBER))
    assert targets(data) == [float(number) for number in range(200)]
    assert data.no_label == [1, 2, 3, 4, 5, 6, 207, 208]
    assert data.no_number == [207, 208]
    assert data.empty_labels == [1, 2, 3, 4, 5, 6]
    assert "first cell that is not a number: 'much' (data.csv, row 207)" in data.notes
    console = Console(width=200, record=True)
    show_data(console, data)
    output = console.export_text()
    assert "skipped: 6 rows without label (rows 1, 2, 3, 4, 5, 6)" in output
    assert "skipped: 2 rows whose label is not a number (rows 207, 208)" in output
    facts = data_facts(data, split_examples(data.examples, 1))
    assert facts["rows"] == 200
    assert facts["left_out"] == {"no_text": 0, "no_label": 6, "no_number": 2}


def test_a_single_label_has_no_decimal_mark(tmp_path: Path) -> None:
    error = refusal(write_csv(tmp_path / "data.csv", ["a", "b"] * 3), decimal=",")
    assert error.message == "--decimal cannot be combined with --task single-label"


def test_the_training_part_needs_two_numbers(tmp_path: Path) -> None:
    train = write_csv(tmp_path / "train.csv", ["1"] * 6)
    error = refusal(train, test_file=write_csv(tmp_path / "test.csv", ["1", "2"]), **NUMBER)
    assert "has 1 distinct number(s) in 6 usable training rows" in error.message


def test_withheld_numbers_are_missing(tmp_path: Path) -> None:
    path = write_ids(tmp_path / "data.parquet", [0, 1, -1], ["1", "5"])
    data = read_data(path, DataConfig(**NUMBER))
    assert targets(data) == [1.0, 5.0]
    assert data.no_label == [3]


@pytest.mark.parametrize("others", [3, 200])
def test_points_that_separate_thousands_are_named(tmp_path: Path, others: int) -> None:
    path = write_csv(
        tmp_path / "data.csv", [*(f"1.{number}" for number in range(200, 200 + others)), "1.234.567"]
    )
    error = refusal(path, **NUMBER)
    assert "such as '1.234.567'" in error.message
    assert error.cause == "the points in the cells separate thousands"
    assert error.fix == "--decimal ,"
    assert targets(read_data(path, DataConfig(**NUMBER, decimal=",")))[-1] == 1234567.0
    mixed = write_csv(path, ["1.5", *["2.25", "0.125"] * 20, "1.234.567"])
    assert read_data(mixed, DataConfig(**NUMBER)).no_label == [42]


def test_a_first_cell_that_no_mark_reads_has_a_fix(tmp_path: Path) -> None:
    error = refusal(write_csv(tmp_path / "data.csv", ["bad", *["1,234"] * 200]), **NUMBER)
    assert error.fix == "name the decimal mark: --decimal , or --decimal ."
