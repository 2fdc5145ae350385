"""The data report that is shown before training, for every task."""

from pathlib import Path

import pytest
from rich.console import Console

from stream.bundle import CategoricalColumn, MetadataColumn, NumericColumn
from trainer.data.columns import Columns
from trainer.data.duplicates import find_leaks
from trainer.data.examples import Data, Example, Splits, Target
from trainer.data.read import read_data
from trainer.report import (
    show_data,
    show_leaks,
    show_lengths,
    show_metadata,
    show_per_label,
    show_splits,
)


@pytest.fixture
def console() -> Console:
    return Console(width=160, record=True)


def cells(output: str, first: str) -> list[str]:
    """Return the other cells of the table row whose first cell starts with a text."""
    line = next(line for line in output.splitlines() if line.strip("│ ").startswith(first))
    return [cell.strip() for cell in line.strip("│").split("│")][1:]


def splits_output(console: Console, task: str, labels: list[str], targets: list[list[Target]]) -> str:
    word_spans = ((0, 1), (2, 3), (4, 5)) if task == "token" else ()
    examples = [[Example(1, "a b c", target, word_spans=word_spans) for target in split] for split in targets]
    all_examples = [example for split in examples for example in split]
    columns = Columns("text", "score" if task == "regression" else "label")
    data = Data(Path("x"), task, columns, all_examples, labels, [], [])  # type: ignore[arg-type]
    show_splits(console, data, Splits(*examples))
    return console.export_text()


def test_read_guessed_and_skipped_rows_are_shown(console: Console, tmp_path: Path) -> None:
    rows = "".join(f"t {n},{'xy'[n % 2]},2026-01-0{n + 1}\n" for n in range(6))
    path = tmp_path / "[odd].csv"
    path.write_text("text,label,time\n" + rows + ",x,\nT  1,x,\nt,,\n")
    show_data(console, read_data(path))
    output = console.export_text()
    assert "[odd].csv: 7 rows with text and label" in output
    assert "guessed columns: text = text, label = label, time = time" in output
    assert "from 2026-01-01 to 2026-01-06" in output
    assert "1 rows without text (rows 7)" in output
    assert "1 rows without label (rows 9)" in output
    assert "1 rows repeat an earlier text" in output
    assert "1 texts occur with conflicting labels" in output


def test_label_counts_by_split(console: Console) -> None:
    output = splits_output(console, "multi-label", ["a", "b"], [[("a", "b"), ("a",), ()], [("a",)], [("b",)]])
    assert cells(output, "a") == ["3", "60.0%", "2", "1", "0"]
    assert cells(output, "b") == ["2", "40.0%", "1", "0", "1"]
    assert cells(output, "rows") == ["5", "", "3", "1", "1"]


def test_span_counts_by_split(console: Console) -> None:
    spans: list[list[Target]] = [
        [("B-x", "I-x", "B-x"), ("O", "O", "B-y")],
        [("O", "O", "O")],
        [("O", "B-x", "O")],
    ]
    output = splits_output(console, "token", ["O", "B-x", "I-x", "B-y", "I-y"], spans)
    assert cells(output, "x") == ["3", "75.0%", "2", "0", "1"]
    assert cells(output, "y") == ["1", "25.0%", "1", "0", "0"]


def test_distribution_of_numbers_by_split(console: Console) -> None:
    output = splits_output(console, "regression", ["score"], [[1.0, 3.0], [5.0], []])
    assert cells(output, "mean") == ["3", "2", "5", ""]
    assert cells(output, "max") == ["5", "3", "5", ""]
    assert cells(output, "rows") == ["3", "2", "1", "0"]


def test_dropped_extra_rows_and_leaks(console: Console) -> None:
    long = "the parcel came a week late and the door of the cupboard was broken when I opened it"
    splits = Splits(
        train=[Example(1, "paid twice", "a"), Example(2, long, "a", text_pair="[b]")],
        validation=[Example(3, "Paid twice", "a")],
        test=[Example(4, long + "!", "a", text_pair="[b]")],
        dropped=[Example(5, "paid  twice", "a", extra=True)],
    )
    data = Data(Path("x"), "single-label", Columns("text", "label"), splits.train, ["a"], [], [])
    show_splits(console, data, splits)
    show_leaks(console, find_leaks(splits))
    output = console.export_text()
    assert "dropped: 1 extra rows whose text occurs in validation or test (rows 5)" in output
    assert "1 validation texts also occur in train" in output
    assert "1 test texts have near duplicates (similarity 0.8 or more) in train" in output
    assert "row 3 (validation): Paid twice" in output
    assert f"row 4 (test): {long}! /" in output
    assert f"row 2 (train): {long} / [b]" in output


def test_types_and_missing_values_of_metadata(console: Console) -> None:
    rows = [
        Example(row, "t", "a", metadata={"age": age, "shop": "x"})
        for row, age in enumerate([1.5, None, "?", 2])
    ]
    columns: list[MetadataColumn] = [
        NumericColumn(name="age", mean=1.75, std=0.25),
        CategoricalColumn(name="shop", values=["x"]),
    ]
    show_metadata(console, Splits(rows, [], rows[:1]), columns)
    output = console.export_text()
    assert cells(output, "age") == ["numeric", "mean 1.75, std 0.25", "50.0%", "0.0%", "0.0%"]
    assert cells(output, "shop") == ["categorical", "1 categories", "0.0%", "0.0%", "0.0%"]
    show_metadata(console, Splits(rows, [], []), [])
    assert console.export_text() == ""


def test_text_lengths_and_the_share_of_truncated_texts(console: Console) -> None:
    show_lengths(console, [4] * 8 + [30, 100], 32)
    output = console.export_text()
    assert "max 100; truncated to 32" in output
    assert "10.0% of the texts are truncated; a larger --max-length keeps more" in output


LONG_LABELS = [f"a_very_long_label_of_a_customer_support_team_{end}_as_written" for end in ("one", "two")]


@pytest.mark.parametrize("width", [80, 120])
def test_long_labels_stay_distinct_in_narrow_tables(width: int) -> None:
    console = Console(width=width, record=True)
    targets: list[list[Target]] = [[label] for label in (*LONG_LABELS, LONG_LABELS[0])]
    tables = splits_output(console, "single-label", LONG_LABELS, targets)
    scores = {"precision": 1.0, "recall": 0.5, "f1": 0.75, "support": 4}
    test = {"per_label": dict.fromkeys(LONG_LABELS, scores), "confusion_cells": [(0, 1, 3), (1, 0, 2)]}
    show_per_label(console, test)
    rows = [line.split("│") for line in (tables + console.export_text()).splitlines() if "a_v" in line]
    first, second, one, two = ([cell.strip() for cell in row if "a_v" in cell] for row in rows)
    assert first != second
    assert [len(one), len(two)] == [2, 2]
    assert [one[0], two[0]] == [two[1].removesuffix(" (3)").removesuffix(" (2)"), one[1].removesuffix(" (3)")]


def test_a_column_name_with_brackets_is_no_markup(console: Console) -> None:
    columns = Columns("text", "[bold]stars")
    examples = [[Example(1, "a", 0.5)], [], []]
    data = Data(Path("x"), "regression", columns, examples[0], ["stars"], [], [])
    show_splits(console, data, Splits(*examples))
    assert "[bold]stars" in console.export_text()
