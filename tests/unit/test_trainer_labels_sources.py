"""Label names of several files: each file's ids have the names that this file stores."""

import json
from pathlib import Path

import pytest

from tests.unit.label_files import notes, refusal, targets, write_csv, write_ids, write_jsonl, write_names
from trainer.config import DataConfig
from trainer.data.read import read_data

SIX = ["ham", "spam"] * 3


def test_each_file_has_the_names_that_it_stores(tmp_path: Path) -> None:
    write_ids(tmp_path / "train.parquet", [0, 1, 0, 1], ["ham", "spam"])
    write_ids(tmp_path / "test.parquet", [1, 0, 0], ["spam", "ham"])
    data = read_data(tmp_path)
    assert targets(data, "train") == ["ham", "spam", "ham", "spam"]
    assert targets(data, "test") == ["ham", "spam", "spam"]
    assert data.labels == ["ham", "spam"]
    assert data.class_counts == {"ham": 3, "spam": 4}
    assert "the files number their labels differently" in notes(data)


def test_the_splits_of_a_saved_data_set_have_their_own_names(tmp_path: Path) -> None:
    import datasets

    def split(ids: list[int], names: list[str]) -> datasets.Dataset:
        features = datasets.Features(
            {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)}
        )
        texts = [f"{names[0]} {row}" for row in range(len(ids))]
        return datasets.Dataset.from_dict({"text": texts, "label": ids}, features=features)

    split([0, 1, 0], ["ham", "spam"]).save_to_disk(tmp_path / "train")
    split([0, 1], ["spam", "ham"]).save_to_disk(tmp_path / "test")
    (tmp_path / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    data = read_data(tmp_path)
    assert targets(data) == ["ham", "spam", "ham", "spam", "ham"]
    assert data.labels == ["ham", "spam"]


def test_lists_of_ids_have_the_names_of_their_file(tmp_path: Path) -> None:
    write_ids(tmp_path / "train.parquet", [[0], [1, 0], [2]], ["a", "b", "c"], "labels")
    write_ids(tmp_path / "test.parquet", [[0], [1, 2]], ["c", "a", "b"], "labels")
    data = read_data(tmp_path, DataConfig(task="multi-label"))
    assert targets(data) == [("a",), ("b", "a"), ("c",), ("c",), ("a", "b")]
    assert data.labels == ["a", "b", "c"]


def test_a_list_feature_that_is_described_by_an_array_has_names(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    label = [{"_type": "ClassLabel", "names": ["a", "b"]}]
    described = json.dumps({"info": {"features": {"labels": label}}})
    table = pa.table({"text": ["x", "y", "z"], "labels": [[0], [1], [0, 1]]})
    pq.write_table(
        table.replace_schema_metadata({b"huggingface": described.encode()}), tmp_path / "d.parquet"
    )
    data = read_data(tmp_path / "d.parquet", DataConfig(task="multi-label"))
    assert targets(data) == [("a",), ("b",), ("a", "b")]


def test_a_file_of_names_and_a_file_of_ids_with_names_mix(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", SIX)
    write_ids(tmp_path / "test.parquet", [1, 0, 0], ["spam", "ham"])
    data = read_data(tmp_path)
    assert targets(data, "test") == ["ham", "spam", "spam"]
    assert data.class_counts == {"ham": 4, "spam": 5}


@pytest.mark.parametrize("ids_in", ["train", "test", "extra"])
def test_ids_without_names_beside_names_are_refused(tmp_path: Path, ids_in: str) -> None:
    names, ids = write_csv(tmp_path / "names.csv", SIX), write_csv(tmp_path / "ids.csv", [0, 1] * 3)
    flag = "extra_train" if ids_in == "extra" else "test_file"
    first, second = (ids, names) if ids_in == "train" else (names, ids)
    error = refusal(first, **{flag: second})
    assert "ids.csv, row 1: the label '0' is a number, and names.csv has names" in error.message
    assert "--label-names FILE" in error.fix
    listed = write_names(tmp_path / "labels.txt", ["spam", "ham"])
    data = read_data(first, DataConfig(label_names=listed, **{flag: second}))
    assert data.labels == ["spam", "ham"]
    assert sorted(targets(data)) == sorted([*SIX, *["spam", "ham"] * 3])


def test_numbers_that_are_labels_of_the_other_file_too_are_names(tmp_path: Path) -> None:
    train = write_csv(tmp_path / "train.csv", ["0", "1", "unknown"] * 2)
    data = read_data(train, DataConfig(test_file=write_csv(tmp_path / "test.csv", ["1", "0"])))
    assert targets(data, "test") == ["1", "0"]


def test_a_class_that_only_the_test_file_has_is_refused(tmp_path: Path) -> None:
    write_ids(tmp_path / "train.parquet", [0, 1, 0], ["ham", "spam"])
    write_ids(tmp_path / "test.parquet", [0, 1, 2], ["ham", "spam", "eggs"])
    error = refusal(tmp_path)
    assert "in test but in no training row: 'eggs' (first in test.parquet, row 3)" in error.message


def test_a_name_that_no_row_has_is_no_label(tmp_path: Path) -> None:
    write_ids(tmp_path / "train.parquet", [1, 0, 1], ["spam", "ham", "never"])
    write_ids(tmp_path / "test.parquet", [3, 2], ["never", "other", "ham", "spam"])
    assert read_data(tmp_path).labels == ["spam", "ham"]


def test_label_names_rename_stored_names_but_cannot_renumber_them(tmp_path: Path) -> None:
    path = write_ids(tmp_path / "data.parquet", [0, 1] * 3, ["neg", "pos"])
    renamed = read_data(path, DataConfig(label_names=write_names(tmp_path / "new.txt", ["bad", "good"])))
    assert renamed.class_counts == {"bad": 3, "good": 3}
    error = refusal(path, label_names=write_names(tmp_path / "swapped.txt", ["pos", "neg"]))
    assert "--label-names and data.parquet disagree about the number of 'pos'" in error.message
    other = write_ids(tmp_path / "test.parquet", [0, 1], ["pos", "neg"])
    error = refusal(path, label_names=tmp_path / "new.txt", test_file=other)
    assert "cannot rename the labels of both data.parquet and test.parquet" in error.message


@pytest.mark.parametrize(
    ("stars", "expected"),
    [([1, 2, 5], ["1", "2", "5"]), ([0, 1, 4], ["1", "2", "5"]), ([1, 2, 3], None)],
)
def test_numeric_label_names_are_names_or_ids_but_never_both(
    tmp_path: Path, stars: list[int], expected: list[str] | None
) -> None:
    names = write_names(tmp_path / "stars.txt", ["1", "2", "3", "4", "5"])
    path = write_csv(tmp_path / "data.csv", stars * 3)
    if expected is None:
        error = refusal(path, label_names=names)
        assert "data.csv, row 1: column 'label' holds numbers that are both names and ids" in error.message
    else:
        assert targets(read_data(path, DataConfig(label_names=names)))[:3] == expected


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ([True, False], ["True", "FALSE"]),
        ([0, 1], ["0.0", "1.0"]),
        ([0.0, 1.0, None], ["0", "1"]),
        ([0.0, 1.0], ["0.0", "1.0"]),
    ],
)
def test_one_class_has_one_name_in_json_and_csv(tmp_path: Path, train: list[object], test: list[str]) -> None:
    path = write_jsonl(tmp_path / "train.jsonl", train * 3)
    data = read_data(path, DataConfig(test_file=write_csv(tmp_path / "test.csv", test)))
    first, second = ("true", "false") if train[0] is True else ("0", "1")
    assert targets(data, "test") == [first, second]
    assert data.class_counts == {first: 4, second: 4}


def test_booleans_and_0_and_1_in_two_files_are_refused(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "train.jsonl", [True, False] * 3)
    test = write_csv(tmp_path / "test.csv", ["1", "0"])
    error = refusal(path, test_file=test)
    assert (
        "'true' (3 rows, first in train.jsonl, row 1), '1' (1 rows, first in test.csv, row 1)"
        in error.message
    )
    merged = read_data(path, DataConfig(test_file=test, similar_labels="merge"))
    assert targets(merged, "test") == ["true", "false"]


def test_a_split_whose_labels_are_withheld_is_cut_from_the_training_rows(tmp_path: Path) -> None:
    write_ids(tmp_path / "train.parquet", [0, 1] * 3, ["ham", "spam"])
    write_ids(tmp_path / "test.parquet", [-1, -1], ["ham", "spam"])
    data = read_data(tmp_path)
    assert data.no_label == [7, 8]
    assert "cells that count as a missing label: '-1' (2)" in data.notes
    assert "no row of test has a label: test rows are cut from the training rows" in data.notes


@pytest.mark.parametrize("train", [["0", "1"], ["ham", "spam"]])
@pytest.mark.parametrize("withheld", ["-1", "-1.0"])
def test_a_file_whose_labels_are_withheld_is_refused(tmp_path: Path, train: list[str], withheld: str) -> None:
    write_csv(tmp_path / "train.csv", train * 3)
    write_csv(tmp_path / "test.csv", [withheld] * 4)
    error = refusal(tmp_path)
    assert error.message == "the labels of test.csv are withheld: all 4 are -1"
    assert "leave test.csv out" in error.fix
    (tmp_path / "test.csv").unlink()
    assert read_data(tmp_path).labels == train


def test_withheld_numbers_are_refused_and_true_ones_are_not(tmp_path: Path) -> None:
    test = write_csv(tmp_path / "test.csv", [-1, -1])
    settings = {"task": "regression", "label_column": "label", "test_file": test}
    error = refusal(write_csv(tmp_path / "train.csv", [0.5, 2.5, 5]), **settings)
    assert "the labels of test.csv are withheld" in error.message
    data = read_data(write_csv(tmp_path / "train.csv", [-1, 0.5, 1]), DataConfig(**settings))
    assert targets(data, "test") == [-1.0, -1.0]
    polarity = write_csv(tmp_path / "train.csv", [-1, 0, 1] * 3)
    assert targets(read_data(polarity, DataConfig(test_file=test)), "test") == ["-1", "-1"]


def test_label_columns_of_ids_have_the_meaning_of_their_names(tmp_path: Path) -> None:
    rude = [1, 0, 0]
    path = write_ids(tmp_path / "data.parquet", [0, 1, 0], ["yes", "no"], "funny", rude=rude)
    settings = DataConfig(task="multi-label", label_columns=("funny", "rude"))
    assert targets(read_data(path, settings)) == [("funny",), ("rude",), ("funny", "rude")]


def test_metadata_that_two_files_number_differently_are_refused(tmp_path: Path) -> None:
    train = write_ids(tmp_path / "train.parquet", [0, 1, 0], ["a", "b"], channel=[0, 1, 1])
    test = write_ids(tmp_path / "test.parquet", [0, 1, 0], ["b", "a"], channel=[0, 1, 1])
    error = refusal(train, test_file=test, metadata_columns=("channel",))
    assert "number the values of column 'channel' differently" in error.message


def test_a_regression_learns_the_numbers_that_ids_stand_for(tmp_path: Path) -> None:
    settings = DataConfig(task="regression", label_column="label")
    stars = write_ids(tmp_path / "stars.parquet", [0, 1, 2], ["1", "2.5", "5"])
    assert targets(read_data(stars, settings)) == [1.0, 2.5, 5.0]
    words = write_ids(tmp_path / "words.parquet", [0, 1, 0], ["low", "high"])
    data = read_data(words, settings)
    assert targets(data) == [0.0, 1.0, 0.0]
    assert "the numbers are ids of labels; 0 is 'low'" in data.notes
    swapped = write_ids(tmp_path / "swapped.parquet", [0, 1], ["high", "low"])
    error = refusal(words, task="regression", label_column="label", test_file=swapped)
    assert "words.parquet and swapped.parquet number their labels differently" in error.message


def test_tags_have_the_names_of_their_file(tmp_path: Path) -> None:
    import datasets

    def write(name: str, tags: list[str], ids: list[list[int]]) -> Path:
        features = datasets.Features(
            {
                "tokens": datasets.Sequence(datasets.Value("string")),
                "ner_tags": datasets.Sequence(datasets.ClassLabel(names=tags)),
            }
        )
        words = [[f"w{at}" for at in range(len(row))] for row in ids]
        table = datasets.Dataset.from_dict({"tokens": words, "ner_tags": ids}, features=features)
        table.to_parquet(tmp_path / name)
        return tmp_path / name

    train = write("train.parquet", ["O", "B-x", "I-x"], [[0, 1, 2], [0]])
    test = write("test.parquet", ["B-x", "I-x", "O"], [[2, 0, 1]])
    data = read_data(train, DataConfig(task="token", test_file=test))
    assert targets(data) == [("O", "B-x", "I-x"), ("O",), ("O", "B-x", "I-x")]
    ids = tmp_path / "ids.jsonl"
    ids.write_text(json.dumps({"tokens": ["a", "b"], "ner_tags": [0, 1]}))
    error = refusal(train, task="token", test_file=ids)
    assert "ids.jsonl, row 1: the label '0' is a number, and train.parquet has names" in error.message
    data = read_data(train, DataConfig(task="token", test_file=ids, label_names=_tag_names(tmp_path)))
    assert targets(data, "test") == [("O", "B-x")]


def _tag_names(folder: Path) -> Path:
    return write_names(folder / "tags.txt", ["O", "B-x", "I-x"])
