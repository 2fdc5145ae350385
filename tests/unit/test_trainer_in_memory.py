"""Rows in memory are read as those of a file."""

from pathlib import Path
from typing import Any

import pytest

from stream.errors import UsageError
from trainer.config import Samples
from trainer.data.in_memory import NAME, tables_of
from trainer.data.limits import limit_splits
from trainer.data.read import read_data
from trainer.data.splits import split_examples

ROWS = [{"text": f"text {n}", "label": "ab"[n % 2]} for n in range(12)]


def _frame(rows: list[dict[str, Any]]) -> Any:
    return pytest.importorskip("pandas").DataFrame(rows)


def _dataset(rows: list[dict[str, Any]]) -> Any:
    return pytest.importorskip("datasets").Dataset.from_list(rows)


@pytest.mark.parametrize(
    "convert",
    [
        list,
        tuple,
        _frame,
        _dataset,
        lambda rows: {name: [row[name] for row in rows] for name in rows[0]},
        lambda rows: pytest.importorskip("pyarrow").Table.from_pylist(rows),
    ],
)
def test_rows_in_memory_are_read_as_those_of_a_file(tmp_path: Path, convert: Any) -> None:
    (tmp_path / "data.csv").write_text("text,label\n" + "".join(f"{r['text']},{r['label']}\n" for r in ROWS))
    expected = read_data(tmp_path / "data.csv")
    found = read_data(NAME, tables=tables_of(convert(ROWS)))
    assert found.examples == expected.examples
    assert found.labels == expected.labels


@pytest.mark.parametrize("convert", [list, _frame, _dataset])
def test_a_mapping_of_splits_keeps_them(convert: Any) -> None:
    splits = {"train": convert(ROWS[:8]), "validation": convert(ROWS[8:10]), "test": convert(ROWS[10:])}
    examples = read_data(NAME, tables=tables_of(splits)).examples
    assert [example.split for example in examples] == ["train"] * 8 + ["validation"] * 2 + ["test"] * 2


def test_a_missing_cell_of_a_data_frame_is_empty() -> None:
    data = read_data(NAME, tables=tables_of(_frame([*ROWS, {"text": None, "label": "a"}])))
    assert data.no_text == [13]


def test_samples_have_each_label_and_leave_other_splits() -> None:
    rows = [{"text": f"text number {n}", "label": f"l{n % 40 if n < 120 else 0}"} for n in range(400)]
    splits = split_examples(read_data(NAME, tables=tables_of(rows)).examples, 1)
    labels = {example.target for example in splits.train}
    limited, notes = limit_splits(splits, Samples(train=50, test=9), 1)
    assert (len(limited.train), len(limited.test)) == (50, 9)
    assert limited.validation == splits.validation
    assert {example.target for example in limited.train} == labels
    assert limited == limit_splits(splits, Samples(train=50, test=9), 1)[0]
    assert notes == [
        f"train: a sample of 50 of {len(splits.train)} rows",
        f"test: a sample of 9 of {len(splits.test)} rows",
    ]
    with pytest.raises(UsageError) as refused:
        limit_splits(splits, Samples(train=3), 1)
    needed = int(refused.value.fix.rsplit(" ", 1)[1])
    assert len(limit_splits(splits, Samples(train=needed), 1)[0].train) == needed
