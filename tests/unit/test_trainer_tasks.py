"""Targets of every task: several labels, numbers, pairs, tagged words, ordered labels; and metadata."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.bundle.manifest import CategoricalColumn, NumericColumn
from stream.classify.metadata import MetadataEncoder
from stream.errors import UsageError
from trainer.data.bio import repaired, scheme_of, tag_order
from trainer.data.metadata import fit_metadata, missing_shares
from trainer.data.read import Data, Example, ordinal_values, read_data


def lines(folder: Path, rows: list[dict[str, Any]], name: str = "data.jsonl") -> Path:
    path = folder / name
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def table(folder: Path, text: str, name: str = "data.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def targets(data: Data) -> list[Any]:
    return [example.target for example in data.examples]


@pytest.mark.parametrize("separator", [",", "|", ";"])
def test_labels_in_one_cell_are_parted_and_the_guess_is_told(tmp_path: Path, separator: str) -> None:
    rows = [("a b", ["x", "y"]), ("c", ["y"]), ("d", ["x ", " z", "x"]), ("e", [])]
    written = [{"text": text, "labels": separator.join(labels)} for text, labels in rows]
    data = read_data(lines(tmp_path, written), task="multi-label")
    assert targets(data) == [("x", "y"), ("y",), ("x", "z")]
    assert data.labels == ["x", "y", "z"]
    assert data.class_counts == {"x": 2, "y": 2, "z": 1}
    assert data.no_label == [4]
    assert f"guessed: labels in one cell stand between {separator!r}" in data.notes
    named = read_data(lines(tmp_path, written), task="multi-label", label_separator=separator)
    assert targets(named) == targets(data)
    assert not any("stand between" in note for note in named.notes)


def test_lists_of_labels_also_as_they_are_printed_into_csv(tmp_path: Path) -> None:
    data = read_data(
        table(tmp_path, 'text,labels\na,"[\'x\', \'y\']"\nb,"[""y""]"\nc,[]\nd,\n'), task="multi-label"
    )
    assert targets(data) == [("x", "y"), ("y",), ()]
    assert data.no_label == [4]
    with pytest.raises(UsageError, match="row 1: column 'labels' holds a list that cannot be read"):
        read_data(table(tmp_path, "text,labels\na,[x y]\n"), task="multi-label")


def test_columns_of_zeros_and_ones(tmp_path: Path) -> None:
    path = table(tmp_path, "text,rude,funny,never\na,1,0,0\nb,1.0,TRUE,0\nc,0,false,0\nd,,,\n")
    data = read_data(path, task="multi-label", label_columns=["rude", "funny", "never"])
    assert targets(data) == [("rude",), ("rude", "funny"), ()]
    assert data.labels == ["rude", "funny"]
    assert data.no_label == [4]
    with pytest.raises(UsageError, match="row 1: column 'text' holds 'a'"):
        read_data(path, task="multi-label", text_column="never", label_columns=["text"])


def test_names_of_numbered_labels_come_from_a_file(tmp_path: Path) -> None:
    names = table(tmp_path, "zero\none\ntwo\n", "labels.txt")
    rows = [{"text": f"t{n}", "labels": label} for n, label in enumerate(["0,2", "2", "-1", "0"])]
    data = read_data(lines(tmp_path, rows), task="multi-label", label_names=names)
    assert targets(data) == [("zero", "two"), ("two",), (), ("zero",)]
    assert data.labels == ["zero", "two"]
    wrong = lines(tmp_path, [{"text": "t", "labels": "3"}], "wrong.jsonl")
    with pytest.raises(UsageError) as refused:
        read_data(wrong, task="multi-label", label_names=names)
    assert "row 1: '3'" in refused.value.message
    assert "0 to 2" in refused.value.cause
    for unfit in ("a\na\n", "a\n\nb\n"):
        with pytest.raises(UsageError, match="names a label twice, or has an empty line"):
            read_data(wrong, task="multi-label", label_names=table(tmp_path, unfit, "unfit.txt"))


def test_numbers_and_those_that_are_none(tmp_path: Path) -> None:
    data = read_data(table(tmp_path, "text,score\na,1.5\nb,-2\nc,much\nd,\ne,nan\n"), task="regression")
    assert targets(data) == [1.5, -2.0]
    assert data.labels == ["score"]
    assert data.class_counts == {}
    assert data.no_label == [3, 4, 5]
    with pytest.raises(UsageError, match=r"has 1 different number\(s\) in 2 usable rows"):
        read_data(table(tmp_path, "text,score\na,1\nb,1\n"), task="regression")


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (("sentence_A", "sentence_B"), ("sentence_A", "sentence_B")),
        (("premise", "hypothesis"), ("premise", "hypothesis")),
        (("question1", "question2"), ("question1", "question2")),
    ],
)
def test_pairs_are_guessed_by_their_usual_names(
    tmp_path: Path, columns: tuple[str, str], found: tuple[str, str]
) -> None:
    rows: list[dict[str, Any]] = [
        {columns[0]: f"a{n}", columns[1]: f"b{n}", "label": "xy"[n % 2]} for n in range(6)
    ]
    rows.append({columns[0]: "a", columns[1]: None, "label": "x"})
    data = read_data(lines(tmp_path, rows), task="pair")
    assert (data.columns.text, data.columns.text_pair) == found
    assert (data.examples[1].text, data.examples[1].text_pair) == ("a1", "b1")
    row = data.examples[1].input
    assert (row.text, row.text_pair) == ("a1", "b1")
    assert data.no_text == [7]
    with pytest.raises(UsageError, match="two texts of a pair is not clear"):
        read_data(lines(tmp_path, [{"text": "a", "label": "b"}]), task="pair")


def test_a_second_text_goes_with_other_tasks_where_it_is_named(tmp_path: Path) -> None:
    path = table(tmp_path, "one,two,score\na,b,1\nc,d,2\n")
    data = read_data(path, task="regression", text_column="one", text_pair_column="two")
    assert [example.text_pair for example in data.examples] == ["b", "d"]


def test_ordered_labels_are_ordered_as_numbers(tmp_path: Path) -> None:
    rows = "".join(f"t{n},{stars}\n" for n, stars in enumerate(["10", "9", "1.5"] * 3))
    data = read_data(table(tmp_path, "text,label\n" + rows), ordinal=True)
    assert data.labels == ["1.5", "9", "10"]
    assert ordinal_values(data.labels) == [1.5, 9.0, 10.0]
    with pytest.raises(UsageError, match="1 labels are no numbers: 'much'"):
        ordinal_values(["1", "much"])


def test_tagged_words_from_lists_and_from_texts(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"tokens": ["New", "", "York"], "ner_tags": ["B-place", "O", "I-place"]},
        {"tokens": "Hi  there", "ner_tags": "O O"},
        {"tokens": [], "ner_tags": []},
        {"tokens": ["x"], "ner_tags": [None]},
    ]
    data = read_data(lines(tmp_path, rows), task="token")
    first, second = data.examples
    assert (first.text, first.words, first.target) == ("New York", ((0, 3), (4, 8)), ("B-place", "I-place"))
    assert (second.text, second.words) == ("Hi  there", ((0, 2), (4, 9)))
    assert (data.no_text, data.no_label) == ([3], [4])
    assert "1 empty words were left out" in data.notes
    rows = [{"tokens": ["a", "b"], "tags": ["O"]}]
    with pytest.raises(UsageError, match="row 1 has 2 words and 1 tags"):
        read_data(lines(tmp_path, rows), task="token")


def test_spans_that_do_not_begin_are_counted_and_begun(tmp_path: Path) -> None:
    rows = [
        {"tokens": ["a", "b", "c", "d"], "tags": ["I-x", "I-x", "I-y", "O"]},
        {"tokens": ["a", "b"], "tags": ["B-x", "I-x"]},
    ]
    data = read_data(lines(tmp_path, rows), task="token")
    assert targets(data) == [("B-x", "I-x", "B-y", "O"), ("B-x", "I-x")]
    assert any(note.startswith("2 tags I-X in 1 sentences") for note in data.notes)
    rows = [{"tokens": ["a", "b", "c"], "tags": ["S-x", "B-y", "E-y"]}]
    data = read_data(lines(tmp_path, rows), task="token")
    assert targets(data) == [("B-x", "B-y", "I-y")]
    assert any("BIOES" in note for note in data.notes)


tags = st.lists(st.sampled_from(["O", "B-x", "I-x", "B-y", "I-y"]))


@given(tags)
def test_repaired_tags_are_sound_and_sound_tags_stay(drawn: list[str]) -> None:
    found = repaired(drawn)
    for before, tag in zip(("O", *found), found, strict=False):
        assert not tag.startswith("I-") or before[2:] == tag[2:]
    assert repaired(found) == found
    assert [tag[2:] for tag in found] == [tag[2:] for tag in drawn]


def test_schemes_and_the_order_of_tags() -> None:
    assert scheme_of(["O", "I-x", "B-y"]) == "bio"
    assert scheme_of(["NOUN", "O"]) == scheme_of(["O"]) == "word"
    assert tag_order(["I-b", "O", "B-a"], "bio") == ["O", "B-a", "I-a", "B-b", "I-b"]
    assert tag_order(["VERB", "NOUN"], "word") == ["NOUN", "VERB"]


def test_metadata_is_kept_raw_and_may_not_be_the_label(tmp_path: Path) -> None:
    rows = "".join(f"t{n},{'xy'[n % 2]},{n},\n" for n in range(6))
    path = table(tmp_path, "text,label,age,shop\n" + rows)
    data = read_data(path, metadata_columns=["age", "shop"])
    assert data.examples[3].metadata == {"age": "3", "shop": ""}
    assert data.columns.metadata == ("age", "shop")
    with pytest.raises(UsageError, match="'label' cannot be two things at once"):
        read_data(path, label_column="label", metadata_columns=["label"])


def with_metadata(values: list[Any]) -> list[Example]:
    return [Example(at, f"t{at}", "x", metadata={"m": value}) for at, value in enumerate(values, 1)]


def test_numbers_are_standardised_and_the_rest_is_missing() -> None:
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


def test_a_constant_number_has_a_standard_deviation() -> None:
    (column,) = fit_metadata(with_metadata([0.5] * 4), ["m"])
    assert isinstance(column, NumericColumn)
    assert (column.mean, column.std) == (0.5, 1.0)


def test_names_of_one_row_teach_what_unseen_means() -> None:
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
def test_kinds_of_columns(values: list[Any], kind: str) -> None:
    (column,) = fit_metadata(with_metadata(values), ["m"])
    assert column.kind == kind


def test_the_thousand_most_frequent_names_are_kept() -> None:
    values = [f"n{n:04}" for n in range(1200) for _ in range(3 if n >= 300 else 2)]
    (column,) = fit_metadata(with_metadata(values), ["m"])
    assert isinstance(column, CategoricalColumn)
    assert len(column.values) == 1000
    assert {f"n{n:04}" for n in range(300, 1200)} <= set(column.values)


@pytest.mark.parametrize(
    ("task", "flags", "said"),
    [
        ("nothing", {}, "is not known"),
        ("single-label", {"label_columns": ["a"]}, "--label-columns"),
        ("multi-label", {"label_columns": ["a"], "label_column": "b"}, "--label-columns"),
        ("regression", {"ordinal": True}, "--ordinal"),
        ("token", {"text_pair_column": "a"}, "--text-pair-column"),
    ],
)
def test_flags_that_do_not_go_with_the_task(task: Any, flags: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_data("never-opened.csv", task=task, **flags)
    assert said in refused.value.message or task in refused.value.message


def test_extra_rows_are_for_training_and_bring_no_labels_of_their_own(tmp_path: Path) -> None:
    rows = "".join(f"t{n},{'xy'[n % 2]}\n" for n in range(6))
    path = table(tmp_path, "text,label\n" + rows)
    data = read_data(path, extra_train=table(tmp_path, "text,label\nmade,x\n", "made.csv"))
    assert (data.examples[-1].split, data.examples[-1].extra, data.examples[-1].row) == ("train", True, 7)
    assert "made.csv: rows 7 to 7 (extra, for training only)" in data.notes
    with pytest.raises(UsageError, match="only the rows of --extra-train have: 'z'"):
        read_data(path, extra_train=table(tmp_path, "text,label\nmade,z\n", "made.csv"))
