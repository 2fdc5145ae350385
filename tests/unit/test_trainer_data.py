"""Reading labelled texts: what is kept, what is counted, what is refused and how it says so."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import UsageError
from trainer.data.columns import Columns, Wanted, choose_columns
from trainer.data.duplicates import repeats
from trainer.data.read import Example, read_data

PAIRS = [("paid twice", "billing"), ("where is it", "delivery")] * 3


def write_csv(folder: Path, text: str, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def csv_of(rows: list[tuple[str, str]]) -> str:
    return "text,label\n" + "".join(f'"{text}",{label}\n' for text, label in rows)


def test_labels_are_sorted_and_texts_kept_as_they_stand(tmp_path: Path) -> None:
    path = write_csv(tmp_path, csv_of([*PAIRS, ("  two\nlines, ☕ ", "billing")]))
    data = read_data(path)
    assert data.labels == ["billing", "delivery"]
    assert data.class_counts == {"billing": 4, "delivery": 3}
    assert data.examples[-1] == Example(7, "  two\nlines, ☕ ", "billing")


def test_rows_without_text_or_label_are_counted_by_number(tmp_path: Path) -> None:
    path = write_csv(tmp_path, csv_of([("  ", "billing"), *PAIRS, ("no label", ""), ("", "")]))
    data = read_data(path)
    assert (data.no_text, data.no_label) == ([1, 9], [8])
    assert [example.row for example in data.examples] == [2, 3, 4, 5, 6, 7]


def test_id_time_and_group_are_kept(tmp_path: Path) -> None:
    rows = [
        {"id": n, "time": f"2026-01-0{n}", "body": text, "intent": label, "customer": n % 2}
        for n, (text, label) in enumerate(PAIRS, 1)
    ]
    path = write_csv(tmp_path, "\n".join(map(json.dumps, rows)), "data.jsonl")
    data = read_data(path, group_column="customer")
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
    ("name", "text", "said"),
    [
        ("data.csv", "text,label\na,b\n", "1 label(s)"),
        ("data.csv", csv_of([*PAIRS, ("once", "rare"), ("twice", "rare")]), "'rare' (2)"),
        ("data.csv", "text,label\n", "no rows"),
        ("data.csv", "text,label\na,b,c\n", "line 2 has 3 fields, the header has 2"),
        ("data.csv", "text,text\na,b\n", "same name"),
        ("data.jsonl", '{"text": "a", "label": "b"}\n{"text": \n', "line 2 is not JSON"),
        ("data.jsonl", "[1]\n", "line 1 is not a JSON object"),
        ("data.jsonl", '{"text": "a", "label": ["b", "c"]}\n', "row 1: column 'label' holds a list"),
        ("data.xlsx", "", "known: .csv"),
    ],
)
def test_unfit_files_are_refused_with_the_place(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_data(write_csv(tmp_path, text, name))
    assert said in f"{refused.value.message} {refused.value.cause}"
    assert refused.value.fix


def test_bytes_that_are_not_utf8_and_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes("text,label\nmüde,a\n".encode("latin-1"))
    with pytest.raises(UsageError, match="not UTF-8"):
        read_data(tmp_path / "latin.csv")
    with pytest.raises(UsageError, match="cannot read"):
        read_data(tmp_path / "nowhere.csv")


@pytest.mark.parametrize(
    ("present", "found"),
    [
        (["id", "text", "label"], ("text", "label")),
        (["Body", "INTENT"], ("Body", "INTENT")),
        (["message", "text", "category", "label"], ("text", "label")),
        (["review", "sentiment", "stars"], ("review", "sentiment")),
    ],
)
def test_columns_are_guessed_where_only_one_guess_is_possible(
    present: list[str], found: tuple[str, str]
) -> None:
    columns = choose_columns(present)
    assert (columns.text, columns.label) == found


@pytest.mark.parametrize("present", [["message", "body", "label"], ["a", "b"], ["text", "team"]])
def test_a_guess_that_would_be_a_gamble_is_refused_with_all_columns(present: list[str]) -> None:
    with pytest.raises(UsageError) as refused:
        choose_columns(present)
    assert ", ".join(present) in refused.value.cause
    assert "-column NAME" in refused.value.fix


def test_a_missing_column_names_those_that_exist_and_the_nearest() -> None:
    with pytest.raises(UsageError) as refused:
        choose_columns(["text", "intent"], Wanted(label="intents"))
    assert "text, intent" in refused.value.cause
    assert refused.value.fix == "--label-column intent"


def test_one_column_cannot_be_both() -> None:
    with pytest.raises(UsageError, match="both text and label"):
        choose_columns(["text", "label"], Wanted(text="text", label="text"))


@given(st.lists(st.tuples(st.sampled_from(["a", "A ", "b", "c"]), st.sampled_from("xy"))))
def test_repeats_counts_repeats_and_contradictions(rows: list[tuple[str, str]]) -> None:
    examples = [Example(at, text, label) for at, (text, label) in enumerate(rows)]
    folded = [text.strip().lower() for text, _ in rows]
    repeated, contradictory = repeats(examples)
    assert repeated == len(folded) - len(set(folded))
    both = [{label for text, label in rows if text.strip().lower() == key} for key in set(folded)]
    assert contradictory == sum(len(labels) == 2 for labels in both)
