"""The data report: what a reader must be told before a training, for every task."""

from pathlib import Path

import pytest
from rich.console import Console

from stream.bundle import CategoricalColumn, NumericColumn
from trainer.data.columns import Columns
from trainer.data.duplicates import leaks
from trainer.data.read import Data, Example, Target, read_data
from trainer.data.report import show_data, show_leaks, show_lengths, show_metadata, show_splits
from trainer.data.splits import Splits


@pytest.fixture
def console() -> Console:
    return Console(width=160, record=True)


def cells(shown: str, first: str) -> list[str]:
    """The numbers of the table's row that begins so."""
    line = next(line for line in shown.splitlines() if line.strip("│ ").startswith(first))
    return [cell.strip() for cell in line.strip("│").split("│")][1:]


def shown_splits(console: Console, task: str, labels: list[str], parts: list[list[Target]]) -> str:
    words = ((0, 1), (2, 3), (4, 5)) if task == "token" else ()
    examples = [[Example(1, "a b c", target, words=words) for target in part] for part in parts]
    everything = [example for part in examples for example in part]
    columns = Columns("text", "score" if task == "regression" else "label")
    data = Data(Path("x"), task, columns, everything, labels, [], [])  # type: ignore[arg-type]
    show_splits(console, data, Splits(*examples))
    return console.export_text()


def test_what_was_read_guessed_and_left_out(console: Console, tmp_path: Path) -> None:
    rows = "".join(f"t {n},{'xy'[n % 2]},2026-01-0{n + 1}\n" for n in range(6))
    path = tmp_path / "[odd].csv"
    path.write_text("text,label,time\n" + rows + ",x,\nT  1,x,\nt,,\n")
    show_data(console, read_data(path))
    shown = console.export_text()
    assert "[odd].csv: 7 rows with text and label" in shown
    assert "guessed: text = text, label = label, time = time" in shown
    assert "from 2026-01-01 to 2026-01-06" in shown
    assert "1 rows without text (rows 7)" in shown
    assert "1 rows without label (rows 9)" in shown
    assert "1 rows repeat an earlier text" in shown
    assert "1 texts bear more than one label" in shown


def test_counts_of_labels_by_part(console: Console) -> None:
    shown = shown_splits(console, "multi-label", ["a", "b"], [[("a", "b"), ("a",), ()], [("a",)], [("b",)]])
    assert cells(shown, "a") == ["3", "60.0%", "2", "1", "0"]
    assert cells(shown, "b") == ["2", "40.0%", "1", "0", "1"]
    assert cells(shown, "rows") == ["5", "", "3", "1", "1"]


def test_counts_of_spans_by_part(console: Console) -> None:
    spans: list[list[Target]] = [
        [("B-x", "I-x", "B-x"), ("O", "O", "B-y")],
        [("O", "O", "O")],
        [("O", "B-x", "O")],
    ]
    shown = shown_splits(console, "token", ["O", "B-x", "I-x", "B-y", "I-y"], spans)
    assert cells(shown, "x") == ["3", "75.0%", "2", "0", "1"]
    assert cells(shown, "y") == ["1", "25.0%", "1", "0", "0"]


def test_spread_of_numbers_by_part(console: Console) -> None:
    shown = shown_splits(console, "regression", ["score"], [[1.0, 3.0], [5.0], []])
    assert cells(shown, "mean") == ["3", "2", "5", ""]
    assert cells(shown, "most") == ["5", "3", "5", ""]
    assert cells(shown, "rows") == ["3", "2", "1", "0"]


def test_extra_rows_that_were_dropped_and_leaks(console: Console) -> None:
    long = "the parcel came a week late and the door of the cupboard was broken when I opened it"
    splits = Splits(
        train=[Example(1, "paid twice", "a"), Example(2, long, "a", text_pair="[b]")],
        validation=[Example(3, "Paid twice", "a")],
        test=[Example(4, long + "!", "a", text_pair="[b]")],
        dropped=[Example(5, "paid  twice", "a", extra=True)],
    )
    data = Data(Path("x"), "single-label", Columns("text", "label"), splits.train, ["a"], [], [])
    show_splits(console, data, splits)
    show_leaks(console, leaks(splits))
    shown = console.export_text()
    assert "left out: 1 extra rows whose text stands in validation or test (rows 5)" in shown
    assert "1 validation texts stand also in train" in shown
    assert "1 test texts stand nearly (similarity 0.8 or more) in train" in shown
    assert "row 3 (validation): Paid twice" in shown
    assert f"row 4 (test): {long}! /" in shown
    assert f"row 2 (train): {long} / [b]" in shown


def test_kinds_and_missing_values_of_metadata(console: Console) -> None:
    rows = [
        Example(at, "t", "a", metadata={"age": age, "shop": "x"})
        for at, age in enumerate([1.5, None, "?", 2])
    ]
    columns = [NumericColumn(name="age", mean=1.75, std=0.25), CategoricalColumn(name="shop", values=["x"])]
    show_metadata(console, Splits(rows, [], rows[:1]), columns)
    shown = console.export_text()
    assert cells(shown, "age") == ["numbers", "mean 1.75, std 0.25", "50.0%", "0.0%", "0.0%"]
    assert cells(shown, "shop") == ["names", "1 names", "0.0%", "0.0%", "0.0%"]
    show_metadata(console, Splits(rows, [], []), [])
    assert console.export_text() == ""


def test_lengths_and_the_share_that_is_cut(console: Console) -> None:
    show_lengths(console, [4] * 8 + [30, 100], 32)
    shown = console.export_text()
    assert "longest 100; cut after 32" in shown
    assert "10.0% of the texts are cut; --max-length takes more" in shown
