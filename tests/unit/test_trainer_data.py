"""Reading labelled texts: unmodified values, counts of skipped rows, and errors that name the line."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import UsageError
from trainer.config import DataConfig
from trainer.data.columns import Columns, RequestedColumns, choose_columns
from trainer.data.duplicates import count_repeats
from trainer.data.examples import Example
from trainer.data.read import read_data

PAIRS = [("paid twice", "billing"), ("where is it", "delivery")] * 3


def write_csv(folder: Path, text: str, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def to_csv(rows: list[tuple[str, str]]) -> str:
    return "text,label\n" + "".join(f'"{text}",{label}\n' for text, label in rows)


def test_labels_are_sorted_and_texts_unmodified(tmp_path: Path) -> None:
    path = write_csv(tmp_path, to_csv([*PAIRS, ("  two\nlines, ☕ ", "billing")]))
    data = read_data(path)
    assert data.labels == ["billing", "delivery"]
    assert data.class_counts == {"billing": 4, "delivery": 3}
    assert data.examples[-1] == Example(7, "  two\nlines, ☕ ", "billing")


def test_rows_without_text_or_label_are_reported_by_number(tmp_path: Path) -> None:
    path = write_csv(tmp_path, to_csv([("  ", "billing"), *PAIRS, ("no label", ""), ("", "")]))
    data = read_data(path)
    assert (data.no_text, data.no_label) == ([1, 9], [8])
    assert [example.row for example in data.examples] == [2, 3, 4, 5, 6, 7]


def test_id_time_and_group_are_kept(tmp_path: Path) -> None:
    rows = [
        {"id": n, "time": f"2026-01-0{n}", "body": text, "intent": label, "customer": n % 2}
        for n, (text, label) in enumerate(PAIRS, 1)
    ]
    path = write_csv(tmp_path, "\n".join(map(json.dumps, rows)), "data.jsonl")
    data = read_data(path, DataConfig(group_column="customer"))
    assert data.columns == Columns("body", "intent", id="id", time="time", group="customer")
    assert data.examples[0] == Example(1, "paid twice", "billing", id="1", time="2026-01-01", group="1")


def test_parquet_and_numeric_labels(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "data.parquet"
    pq.write_table(
        pa.table(
            {"text": ["a", "b", "c", "d", "e", "f", "g"], "label": [0.0, 1.0, 0.0, 1.0, 0.0, 1.0, None]}
        ),
        path,
    )
    data = read_data(path)
    assert data.labels == ["0", "1"]
    assert data.no_label == [7]


def test_semicolons_and_a_byte_order_mark(tmp_path: Path) -> None:
    rows = "".join(f"{text};{label}\n" for text, label in PAIRS)
    data = read_data(write_csv(tmp_path, "\ufefftext;label\n" + rows))
    assert data.columns.text == "text"
    assert len(data.examples) == 6


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("data.csv", "text,label\na,b\n", "1 label(s)"),
        ("data.csv", to_csv([*PAIRS, ("once", "rare"), ("twice", "rare")]), "'rare' (2)"),
        ("data.csv", "text,label\n", "no rows"),
        ("data.csv", "text,label\na,b,c\n", "line 2 has 3 fields, the header has 2"),
        ("data.csv", "text,text\na,b\n", "same name"),
        ("data.jsonl", '{"text": "a", "label": "b"}\n{"text": \n', "line 2 is not JSON"),
        ("data.jsonl", "[1]\n", "line 1 is not a JSON object"),
        ("data.jsonl", '{"text": "a", "label": ["b", "c"]}\n', "row 1: column 'label' holds a list"),
        ("data.xlsx", "", "supported: .csv"),
    ],
)
def test_invalid_files_are_rejected_with_their_position(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    with pytest.raises(UsageError) as error:
        read_data(write_csv(tmp_path, text, name))
    assert message in f"{error.value.message} {error.value.cause}"
    assert error.value.fix


def test_non_utf8_bytes_and_a_missing_file_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes("text,label\nmüde,a\n".encode("latin-1"))
    with pytest.raises(UsageError, match="not UTF-8"):
        read_data(tmp_path / "latin.csv")
    with pytest.raises(UsageError, match="cannot read"):
        read_data(tmp_path / "nowhere.csv")


@pytest.mark.parametrize(
    ("available", "chosen"),
    [
        (["id", "text", "label"], ("text", "label")),
        (["Body", "INTENT"], ("Body", "INTENT")),
        (["message", "text", "category", "label"], ("text", "label")),
        (["review", "sentiment", "stars"], ("review", "sentiment")),
    ],
)
def test_columns_are_guessed_if_exactly_one_guess_is_possible(
    available: list[str], chosen: tuple[str, str]
) -> None:
    columns = choose_columns(available)
    assert (columns.text, columns.label) == chosen


@pytest.mark.parametrize("available", [["message", "body", "label"], ["a", "b"], ["text", "team"]])
def test_an_ambiguous_guess_is_rejected_with_all_columns(available: list[str]) -> None:
    with pytest.raises(UsageError) as error:
        choose_columns(available)
    assert ", ".join(available) in error.value.cause
    assert "-column NAME" in error.value.fix


def test_the_error_for_a_missing_column_names_all_columns_and_the_most_similar() -> None:
    with pytest.raises(UsageError) as error:
        choose_columns(["text", "intent"], RequestedColumns(label="intents"))
    assert "text, intent" in error.value.cause
    assert error.value.fix == "--label-column intent"


def test_one_column_cannot_be_both_text_and_label() -> None:
    with pytest.raises(UsageError, match="both text and label"):
        choose_columns(["text", "label"], RequestedColumns(text="text", label="text"))


@given(st.lists(st.tuples(st.sampled_from(["a", "A ", "b", "c"]), st.sampled_from("xy"))))
def test_count_repeats_counts_repeats_and_conflicts(rows: list[tuple[str, str]]) -> None:
    examples = [Example(row, text, label) for row, (text, label) in enumerate(rows)]
    normalised = [text.strip().lower() for text, _ in rows]
    repeated, conflicting = count_repeats(examples)
    assert repeated == len(normalised) - len(set(normalised))
    labels_by_text = [
        {label for text, label in rows if text.strip().lower() == key} for key in set(normalised)
    ]
    assert conflicting == sum(len(labels) == 2 for labels in labels_by_text)
