"""The targets of every task: labels, numbers, pairs, tagged words, ordinal labels; and metadata."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.bundle import CategoricalColumn, NumericColumn
from stream.classify import MetadataEncoder
from stream.errors import UsageError
from trainer.config import DataConfig
from trainer.data.examples import Data, Example, fit_metadata, missing_shares
from trainer.data.labels import ordinal_values
from trainer.data.read import read_data
from trainer.data.tag_spelling import tag_scheme
from trainer.data.tags import repair_bio, tag_order


def write_jsonl(folder: Path, rows: list[dict[str, Any]], name: str = "data.jsonl") -> Path:
    path = folder / name
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def write_text(folder: Path, text: str, name: str = "data.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def targets(data: Data) -> list[Any]:
    return [example.target for example in data.examples]


@pytest.mark.parametrize("separator", [",", "|", ";"])
def test_labels_in_one_cell_are_separated_and_the_guess_is_noted(tmp_path: Path, separator: str) -> None:
    rows = [("a b", ["x", "y"]), ("c", ["y"]), ("d", ["x ", " z", "x"]), ("e", [])]
    written = [{"text": text, "labels": separator.join(labels)} for text, labels in rows]
    data = read_data(write_jsonl(tmp_path, written), DataConfig(task="multi-label"))
    assert targets(data) == [("x", "y"), ("y",), ("x", "z")]
    assert data.labels == ["x", "y", "z"]
    assert data.class_counts == {"x": 2, "y": 2, "z": 1}
    assert data.no_label == [4]
    assert f"guessed label separator: {separator!r}" in data.notes
    named = read_data(
        write_jsonl(tmp_path, written), DataConfig(task="multi-label", label_separator=separator)
    )
    assert targets(named) == targets(data)
    assert not any("separator" in note for note in named.notes)


def test_lists_of_labels_are_read_from_json_and_from_csv_cells(tmp_path: Path) -> None:
    data = read_data(
        write_text(tmp_path, 'text,labels\na,"[\'x\', \'y\']"\nb,"[""y""]"\nc,[]\nd,\n'),
        DataConfig(task="multi-label"),
    )
    assert targets(data) == [("x", "y"), ("y",), ()]
    assert data.no_label == [4]
    with pytest.raises(UsageError, match="row 1: column 'labels' holds a list that cannot be parsed"):
        read_data(write_text(tmp_path, "text,labels\na,[x y]\n"), DataConfig(task="multi-label"))


def test_label_columns_of_0_and_1(tmp_path: Path) -> None:
    path = write_text(tmp_path, "text,rude,funny,never\na,1,0,0\nb,1.0,TRUE,0\nc,0,false,0\nd,,,\n")
    data = read_data(path, DataConfig(task="multi-label", label_columns=["rude", "funny", "never"]))
    assert targets(data) == [("rude",), ("rude", "funny"), ()]
    assert data.labels == ["rude", "funny"]
    assert data.no_label == [4]
    with pytest.raises(UsageError, match="row 1: column 'text' holds 'a'"):
        read_data(path, DataConfig(task="multi-label", text_column="never", label_columns=["text"]))


def test_names_of_integer_labels_are_read_from_a_file(tmp_path: Path) -> None:
    names = write_text(tmp_path, "zero\none\ntwo\n", "labels.txt")
    rows = [{"text": f"t{n}", "labels": label} for n, label in enumerate(["0,2", "2", "-1", "0"])]
    data = read_data(write_jsonl(tmp_path, rows), DataConfig(task="multi-label", label_names=names))
    assert targets(data) == [("zero", "two"), ("two",), (), ("zero",)]
    assert data.labels == ["zero", "two"]
    wrong = write_jsonl(tmp_path, [{"text": "t", "labels": "3"}], "wrong.jsonl")
    with pytest.raises(UsageError) as error:
        read_data(wrong, DataConfig(task="multi-label", label_names=names))
    assert "row 1: '3'" in error.value.message
    assert "0 to 2" in error.value.cause
    for invalid in ("a\na\n", "a\n\nb\n"):
        with pytest.raises(UsageError, match="names a label twice, or has an empty line"):
            read_data(
                wrong,
                DataConfig(task="multi-label", label_names=write_text(tmp_path, invalid, "invalid.txt")),
            )


def test_numbers_are_parsed_and_other_cells_have_no_label(tmp_path: Path) -> None:
    data = read_data(
        write_text(tmp_path, "text,score\na,1.5\nb,-2\nc,much\nd,\ne,nan\n"), DataConfig(task="regression")
    )
    assert targets(data) == [1.5, -2.0]
    assert data.labels == ["score"]
    assert data.class_counts == {}
    assert data.no_label == [3, 4, 5]
    with pytest.raises(UsageError, match=r"has 1 distinct number\(s\) in 2 usable rows"):
        read_data(write_text(tmp_path, "text,score\na,1\nb,1\n"), DataConfig(task="regression"))


@pytest.mark.parametrize(
    ("columns", "guessed"),
    [
        (("sentence_A", "sentence_B"), ("sentence_A", "sentence_B")),
        (("premise", "hypothesis"), ("premise", "hypothesis")),
        (("question1", "question2"), ("question1", "question2")),
    ],
)
def test_pair_columns_are_guessed_by_common_names(
    tmp_path: Path, columns: tuple[str, str], guessed: tuple[str, str]
) -> None:
    rows: list[dict[str, Any]] = [
        {columns[0]: f"a{n}", columns[1]: f"b{n}", "label": "xy"[n % 2]} for n in range(6)
    ]
    rows.append({columns[0]: "a", columns[1]: None, "label": "x"})
    data = read_data(write_jsonl(tmp_path, rows), DataConfig(task="pair"))
    assert (data.columns.text, data.columns.text_pair) == guessed
    assert (data.examples[1].text, data.examples[1].text_pair) == ("a1", "b1")
    row = data.examples[1].input
    assert (row.text, row.text_pair) == ("a1", "b1")
    assert data.no_text == [7]
    with pytest.raises(UsageError, match="cannot guess the two text columns of a pair"):
        read_data(write_jsonl(tmp_path, [{"text": "a", "label": "b"}]), DataConfig(task="pair"))


def test_other_tasks_accept_a_named_second_text(tmp_path: Path) -> None:
    path = write_text(tmp_path, "one,two,score\na,b,1\nc,d,2\n")
    data = read_data(path, DataConfig(task="regression", text_column="one", text_pair_column="two"))
    assert [example.text_pair for example in data.examples] == ["b", "d"]


def test_ordinal_labels_are_ordered_as_numbers(tmp_path: Path) -> None:
    rows = "".join(f"t{n},{stars}\n" for n, stars in enumerate(["10", "9", "1.5"] * 3))
    data = read_data(write_text(tmp_path, "text,label\n" + rows), DataConfig(ordinal=True))
    assert data.labels == ["1.5", "9", "10"]
    assert ordinal_values(data.labels) == [1.5, 9.0, 10.0]
    with pytest.raises(UsageError, match="1 labels are not numbers: 'much'"):
        ordinal_values(["1", "much"])


def test_tagged_words_are_read_from_lists_and_from_texts(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"tokens": ["New", "", "York"], "ner_tags": ["B-place", "O", "I-place"]},
        {"tokens": "Hi  there", "ner_tags": "O O"},
        {"tokens": [], "ner_tags": []},
        {"tokens": ["x"], "ner_tags": [None]},
    ]
    data = read_data(write_jsonl(tmp_path, rows), DataConfig(task="token"))
    first, second = data.examples
    assert (first.text, first.word_spans, first.target) == (
        "New York",
        ((0, 3), (4, 8)),
        ("B-place", "I-place"),
    )
    assert (second.text, second.word_spans) == ("Hi  there", ((0, 2), (4, 9)))
    assert (data.no_text, data.no_label) == ([3], [4])
    assert "1 empty words were skipped" in data.notes
    rows = [{"tokens": ["a", "b"], "tags": ["O"]}]
    with pytest.raises(UsageError, match="row 1 has 2 words and 1 tags"):
        read_data(write_jsonl(tmp_path, rows), DataConfig(task="token"))


def test_span_tags_are_converted_to_valid_bio_and_changes_are_noted(tmp_path: Path) -> None:
    rows = [
        {"tokens": ["a", "b", "c", "d"], "tags": ["I-x", "I-x", "I-y", "O"]},
        {"tokens": ["a", "b"], "tags": ["B-x", "I-x"]},
    ]
    data = read_data(write_jsonl(tmp_path, rows), DataConfig(task="token"))
    assert targets(data) == [("B-x", "I-x", "B-y", "O"), ("B-x", "I-x")]
    assert any(note.startswith("2 tags I-X in 1 sentences") for note in data.notes)
    rows = [{"tokens": ["a", "b", "c"], "tags": ["S-x", "B-y", "E-y"]}]
    data = read_data(write_jsonl(tmp_path, rows), DataConfig(task="token"))
    assert targets(data) == [("B-x", "B-y", "I-y")]
    assert any("BIOES" in note for note in data.notes)


tags = st.lists(st.sampled_from(["O", "B-x", "I-x", "B-y", "I-y"]))


@given(tags)
def test_repaired_tags_are_valid_and_valid_tags_are_unmodified(drawn: list[str]) -> None:
    repaired = repair_bio(drawn)
    for previous, tag in zip(("O", *repaired), repaired, strict=False):
        assert not tag.startswith("I-") or previous[2:] == tag[2:]
    assert repair_bio(repaired) == repaired
    assert [tag[2:] for tag in repaired] == [tag[2:] for tag in drawn]


def test_tag_scheme_and_tag_order() -> None:
    assert tag_scheme(["O", "I-x", "B-y"]) == "bio"
    assert tag_scheme(["NOUN", "O"]) == tag_scheme(["O"]) == "word"
    assert tag_order(["I-b", "O", "B-a"], "bio") == ["O", "B-a", "I-a", "B-b", "I-b"]
    assert tag_order(["VERB", "NOUN"], "word") == ["NOUN", "VERB"]


def test_metadata_is_unmodified_and_cannot_be_the_label(tmp_path: Path) -> None:
    rows = "".join(f"t{n},{'xy'[n % 2]},{n},\n" for n in range(6))
    path = write_text(tmp_path, "text,label,age,shop\n" + rows)
    data = read_data(path, DataConfig(metadata_columns=["age", "shop"]))
    assert data.examples[3].metadata == {"age": "3", "shop": ""}
    assert data.columns.metadata == ("age", "shop")
    with pytest.raises(UsageError, match="'label' cannot be used for two roles"):
        read_data(path, DataConfig(label_column="label", metadata_columns=["label"]))


def with_metadata(values: list[Any]) -> list[Example]:
    return [Example(row, f"t{row}", "x", metadata={"m": value}) for row, value in enumerate(values, 1)]


def test_numeric_metadata_is_standardised_and_other_values_are_missing() -> None:
    values = [*(str(n / 2) for n in range(39)), "many", ""]
    examples = with_metadata(values)
    (column,) = fit_metadata(examples, ["m"])
    assert isinstance(column, NumericColumn)
    numbers = np.arange(39) / 2
    assert (column.mean, column.std) == pytest.approx((numbers.mean(), numbers.std()))
    encoded = MetadataEncoder([column]).encode([example.metadata for example in examples])
    assert encoded[:39, 0].std() == pytest.approx(1, abs=1e-6)
    assert encoded[39:].tolist() == [[0, 1], [0, 1]]
    assert missing_shares(examples, [column]) == [pytest.approx(2 / 41)]


def test_a_constant_numeric_column_has_a_standard_deviation_of_one() -> None:
    (column,) = fit_metadata(with_metadata([0.5] * 4), ["m"])
    assert isinstance(column, NumericColumn)
    assert (column.mean, column.std) == (0.5, 1.0)


def test_categories_of_one_row_are_encoded_as_unseen() -> None:
    examples = with_metadata(["shop", "shop", "web", "web", "web", "once", None])
    (column,) = fit_metadata(examples, ["m"])
    assert isinstance(column, CategoricalColumn)
    assert column.values == ["shop", "web"]
    encoded = MetadataEncoder([column]).encode([example.metadata for example in examples])
    assert encoded.ravel().tolist() == [2, 2, 3, 3, 3, 1, 0]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([*range(21)], "numeric"),
        ([*range(20)] * 2, "categorical"),
        ([0.5, 1.5], "numeric"),
        ([True, False], "categorical"),
        ([*map(str, range(30)), "a"], "numeric"),
        ([*map(str, range(30)), "a", "b"], "categorical"),
        ([None, ""], "categorical"),
    ],
)
def test_column_types(values: list[Any], kind: str) -> None:
    (column,) = fit_metadata(with_metadata(values), ["m"])
    assert column.kind == kind


def test_the_thousand_most_frequent_categories_are_kept() -> None:
    values = [f"n{n:04}" for n in range(1200) for _ in range(3 if n >= 300 else 2)]
    (column,) = fit_metadata(with_metadata(values), ["m"])
    assert isinstance(column, CategoricalColumn)
    assert len(column.values) == 1000
    assert {f"n{n:04}" for n in range(300, 1200)} <= set(column.values)


@pytest.mark.parametrize(
    ("task", "settings", "message"),
    [
        ("nothing", {}, "--task nothing is not valid"),
        (
            "single-label",
            {"label_columns": ["a"]},
            "--label-columns cannot be combined with --task single-label",
        ),
        (
            "multi-label",
            {"label_columns": ["a"], "label_column": "b"},
            "--label-columns cannot be combined with --label-column",
        ),
        ("regression", {"ordinal": True}, "--ordinal cannot be combined with --task regression"),
        ("token", {"text_pair_column": "a"}, "--text-pair-column cannot be combined with --task token"),
    ],
)
def test_settings_that_conflict_with_the_task_are_rejected(
    task: Any, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as error:
        read_data("never-opened.csv", DataConfig(task=task, **settings))
    assert error.value.message == message


def test_extra_rows_are_for_training_only_and_add_no_labels(tmp_path: Path) -> None:
    rows = "".join(f"t{n},{'xy'[n % 2]}\n" for n in range(6))
    path = write_text(tmp_path, "text,label\n" + rows)
    data = read_data(path, DataConfig(extra_train=write_text(tmp_path, "text,label\nmade,x\n", "made.csv")))
    assert (data.examples[-1].split, data.examples[-1].extra, data.examples[-1].row) == ("train", True, 7)
    assert "made.csv: rows 7 to 7 (extra, for training only)" in data.notes
    with pytest.raises(UsageError, match="labels that occur only in --extra-train: 'z'"):
        read_data(path, DataConfig(extra_train=write_text(tmp_path, "text,label\nmade,z\n", "made.csv")))
