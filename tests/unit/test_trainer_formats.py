"""Every supported data format: the examples read from it, and errors that name the line."""

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import UsageError
from trainer.config import DataConfig
from trainer.data.examples import Data
from trainer.data.files import ParseOptions, read_table
from trainer.data.read import data_digest, read_data
from trainer.data.sources import split_from_name

ROWS = [("paid twice", "billing"), ("where is it", "delivery")] * 3
CSV = "text,label\n" + "".join(f"{text},{label}\n" for text, label in ROWS)
CONLL = "-DOCSTART- O\n\nAnna B-person\nvan I-person\nDam I-person\nin O\nRome B-place\n\n\nHi O\n"


def write_file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def notes(data: Data) -> str:
    return "\n".join(data.notes)


@pytest.mark.parametrize(
    ("suffix", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_compressed_files_are_read_like_plain_ones(
    tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]
) -> None:
    plain = read_data(write_file(tmp_path, "data.csv", CSV))
    (tmp_path / f"data.csv{suffix}").write_bytes(compress(CSV.encode()))
    assert read_data(tmp_path / f"data.csv{suffix}").examples == plain.examples
    (tmp_path / f"cut.csv{suffix}").write_bytes(compress(CSV.encode() * 50)[:-20])
    with pytest.raises(UsageError, match="cannot"):
        read_data(tmp_path / f"cut.csv{suffix}")


def test_a_json_array_and_json_lines_give_the_same_examples(tmp_path: Path) -> None:
    rows = [{"text": text, "label": label} for text, label in ROWS]
    array = read_data(write_file(tmp_path, "array.json", json.dumps(rows, indent=1)))
    lines = read_data(write_file(tmp_path, "lines.json", "\n".join(map(json.dumps, rows))))
    assert array.examples == lines.examples
    with pytest.raises(UsageError) as error:
        read_data(write_file(tmp_path, "numbers.json", "[1]"))
    assert "element 1" in error.value.cause


def test_files_without_a_header_have_numbered_columns(tmp_path: Path) -> None:
    path = write_file(tmp_path, "data.tsv", "".join(f"{label}\t{text}\n" for text, label in ROWS))
    data = read_data(path, DataConfig(no_header=True, text_column="2", label_column="1"))
    assert len(data.examples) == len(ROWS)
    assert (data.examples[0].row, data.examples[0].text) == (1, "paid twice")


def test_quotes_can_be_read_as_text(tmp_path: Path) -> None:
    lines = ['say "no\tham', '"unclosed\tspam'] * 3
    path = write_file(tmp_path, "data.txt", "text\tlabel\n" + "".join(f"{line}\n" for line in lines))
    data = read_data(path, DataConfig(quoting="none"))
    assert [example.text for example in data.examples[:2]] == ['say "no', '"unclosed']
    with pytest.raises(UsageError) as error:
        read_data(path)
    assert "--quoting none" in error.value.fix


def test_conll_gives_words_tags_and_word_spans(tmp_path: Path) -> None:
    data = read_data(write_file(tmp_path, "data.conll", CONLL), DataConfig(task="token"))
    first, second = data.examples
    assert first.text == "Anna van Dam in Rome"
    assert [first.text[start:end] for start, end in first.word_spans] == ["Anna", "van", "Dam", "in", "Rome"]
    assert first.target == ("B-person", "I-person", "I-person", "O", "B-place")
    assert (second.row, second.text) == (2, "Hi")
    assert data.labels == ["O", "B-person", "I-person", "B-place", "I-place"]


@pytest.mark.parametrize(
    "name", ["data.conll", "data.iob", "data.bio", "data.tsv", "data.txt", "data.annotated"]
)
def test_words_of_tab_separated_conll_may_contain_spaces(tmp_path: Path, name: str) -> None:
    path = write_file(tmp_path, name, "New York\tNNP\tB-place\r\n.\t.\tO\r\n\r\n")
    (example,) = read_data(path, DataConfig(task="token")).examples
    assert (example.text, example.word_spans) == ("New York .", ((0, 8), (9, 10)))
    tagged = read_data(path, DataConfig(task="token", label_column="2"))
    assert tagged.labels == [".", "NNP"]


def test_the_error_for_a_conll_line_with_too_few_fields_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        read_data(write_file(tmp_path, "data.conll", "a O\nb O\n\nlonely\n"), DataConfig(task="token"))
    assert "line 4 has 1 fields, the first line has 2" in error.value.cause


word = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=6).filter(
    lambda text: not text.startswith(("#", "-DOCSTART-", "\ufeff"))
)
sentences = st.lists(
    st.lists(st.tuples(word, st.sampled_from(["O", "B-x", "B-y"])), min_size=1), min_size=1, max_size=5
)


@given(sentences, st.sampled_from("\t "), st.sampled_from(["\n", "\r\n"]), st.integers(1, 3))
def test_conll_files_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[list[tuple[str, str]]],
    separator: str,
    line_end: str,
    blanks: int,
) -> None:
    path = tmp_path_factory.mktemp("conll") / "data.conll"
    lines = (line_end.join(f"{token}{separator}{tag}" for token, tag in sentence) for sentence in drawn)
    path.write_bytes((line_end * (blanks + 1)).join(lines).encode())
    table = read_table(path, ParseOptions(prefer_conll=True))
    sentences_read = [list(zip(row["1"], row["2"], strict=True)) for row in table.rows]
    assert sentences_read == drawn


def test_a_folder_with_one_file_per_split_is_read(tmp_path: Path) -> None:
    for name in ("train.csv", "my-dev.csv", "test.csv.gz", "notes.csv"):
        content = CSV.encode()
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    write_file(tmp_path, "README.md", "about")
    data = read_data(tmp_path)
    assert [example.split for example in data.examples] == ["train"] * 6 + ["validation"] * 6 + ["test"] * 6
    assert [example.row for example in data.examples] == list(range(1, 19))
    assert "my-dev.csv: rows 7 to 12 (validation)" in notes(data)
    assert "not read: notes.csv" in notes(data)
    assert len(data.files) == 3
    before = data_digest(data)
    write_file(tmp_path, "my-dev.csv", CSV + "late,billing\n")
    assert data_digest(read_data(tmp_path)) != before


def test_a_folder_without_a_training_file_or_with_a_split_in_two_formats_is_rejected(tmp_path: Path) -> None:
    write_file(tmp_path, "test.csv", CSV)
    with pytest.raises(UsageError) as error:
        read_data(tmp_path)
    assert "test.csv" in error.value.cause
    write_file(tmp_path, "train.csv", CSV)
    write_file(tmp_path, "train.tsv", CSV)
    with pytest.raises(UsageError, match="its train split in several formats"):
        read_data(tmp_path)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("wnut17train", "train"),
        ("SICK_test_annotated", "test"),
        ("emerging.dev", "validation"),
        ("train-00000-of-00002", "train"),
        ("training", "train"),
        ("contest", None),
        ("trainers", None),
        ("train_test", None),
    ],
)
def test_the_split_is_recognised_in_a_file_name(name: str, split: str | None) -> None:
    assert split_from_name(name) == split


def test_validation_and_test_files_can_be_named_by_flag(tmp_path: Path) -> None:
    path, test = write_file(tmp_path, "all.csv", CSV), write_file(tmp_path, "later.csv", CSV)
    data = read_data(path, DataConfig(test_file=test))
    assert [example.split for example in data.examples] == ["train"] * 6 + ["test"] * 6
    write_file(tmp_path, "train.csv", CSV)
    write_file(tmp_path, "test.csv", CSV)
    with pytest.raises(UsageError, match="two test splits"):
        read_data(tmp_path, DataConfig(test_file=test))
    write_file(tmp_path, "other.csv", CSV.replace("label", "team"))
    with pytest.raises(UsageError, match=r"other.csv has no column 'label'"):
        read_data(path, DataConfig(validation_file=tmp_path / "other.csv"))


def hub_dataset(**columns: Any) -> Any:
    import datasets

    names = datasets.ClassLabel(names=["spam", "ham", "never"])
    features = datasets.Features({"text": datasets.Value("string"), "label": names})
    return datasets.Dataset.from_dict(
        {"text": [f"text {n}" for n in range(6)], "label": [1, 0] * 3, **columns}, features=features
    )


def test_a_saved_data_set_keeps_splits_and_label_names(tmp_path: Path) -> None:
    import datasets

    splits = datasets.DatasetDict(
        train=hub_dataset(), validation=hub_dataset(label=[0, 1, 0, 1, 0, -1]), unsupervised=hub_dataset()
    )
    splits.save_to_disk(tmp_path / "set")
    data = read_data(tmp_path / "set")
    assert data.labels == ["spam", "ham"]
    assert [example.split for example in data.examples] == ["train"] * 6 + ["validation"] * 5
    assert data.examples[0].target == "ham"
    assert data.no_label == [12]
    assert "not read: unsupervised" in notes(data)
    assert data_digest(data) == data_digest(read_data(tmp_path / "set"))
    hub_dataset().save_to_disk(tmp_path / "alone")
    assert {example.split for example in read_data(tmp_path / "alone").examples} == {None}
    (tmp_path / "alone/state.json").unlink()
    with pytest.raises(UsageError, match="cannot be read as a saved data set"):
        read_data(tmp_path / "alone")


def test_parquet_files_of_the_datasets_library_keep_label_names(tmp_path: Path) -> None:
    hub_dataset().to_parquet(tmp_path / "data.parquet")
    assert read_data(tmp_path / "data.parquet").labels == ["spam", "ham"]


def test_integer_tags_of_a_data_set_become_their_names(tmp_path: Path) -> None:
    import datasets

    tags = datasets.Sequence(datasets.ClassLabel(names=["O", "B-place", "I-place"]))
    features = datasets.Features({"tokens": datasets.Sequence(datasets.Value("string")), "ner_tags": tags})
    rows = {"tokens": [["in", "New", "York"], ["Hi"]], "ner_tags": [[0, 1, 2], [0]]}
    whole = datasets.Dataset.from_dict(rows, features=features)
    whole.save_to_disk(tmp_path / "set")
    whole.to_parquet(tmp_path / "set.parquet")
    for path in (tmp_path / "set", tmp_path / "set.parquet"):
        data = read_data(path, DataConfig(task="token"))
        assert data.examples[0].target == ("O", "B-place", "I-place")
        assert data.labels == ["O", "B-place", "I-place"]


def test_the_data_subfolder_of_a_repository_is_read(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_file(tmp_path, "README.md", "about")
    for name in ("train-00000-of-00002.csv", "train-00001-of-00002.csv", "test-00000-of-00001.csv"):
        write_file(tmp_path / "data", name, CSV)
    data = read_data(tmp_path)
    assert [example.split for example in data.examples] == ["train"] * 12 + ["test"] * 6


def test_a_hub_id_is_loaded_through_the_datasets_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the library's loading function is replaced by a local one, since the Hub is not reachable."""
    import datasets

    loaded: list[tuple[str, str | None]] = []

    def load(path: str, name: str | None = None) -> Any:
        loaded.append((path, name))
        if path != "someone/set":
            raise FileNotFoundError(f"Dataset '{path}' doesn't exist on the Hub")
        return datasets.DatasetDict(train=hub_dataset(), test=hub_dataset())

    monkeypatch.setattr(datasets, "load_dataset", load)
    data = read_data("someone/set:plain")
    assert loaded == [("someone/set", "plain")]
    assert [example.split for example in data.examples] == ["train"] * 6 + ["test"] * 6
    assert data.labels == ["spam", "ham"]
    by_flag = DataConfig(dataset_name="someone/set", dataset_config="plain")
    assert read_data(by_flag.source(None), by_flag).examples == data.examples
    assert loaded.pop() == ("someone/set", "plain")
    with pytest.raises(UsageError) as error:
        read_data("someone/other")
    assert "neither a local file or folder" in error.value.message
    assert "doesn't exist on the Hub" in error.value.cause
    for file in ("folder/missing.csv", "./missing", "missing"):
        with pytest.raises(UsageError, match="cannot read"):
            read_data(file)
    assert len(loaded) == 2
