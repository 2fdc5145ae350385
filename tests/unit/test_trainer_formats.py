"""Every form that labelled data comes in: what is read from it, and what is refused with the place."""

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
from trainer.data.files import Layout
from trainer.data.read import Data, data_digest, read_data
from trainer.data.sources import split_of
from trainer.data.tables import read_table

ROWS = [("paid twice", "billing"), ("where is it", "delivery")] * 3
CSV = "text,label\n" + "".join(f"{text},{label}\n" for text, label in ROWS)
CONLL = "-DOCSTART- O\n\nAnna B-person\nvan I-person\nDam I-person\nin O\nRome B-place\n\n\nHi O\n"


def file_of(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def told(data: Data) -> str:
    return "\n".join(data.notes)


@pytest.mark.parametrize(
    ("ending", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_packed_files_read_like_plain_ones(
    tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]
) -> None:
    plain = read_data(file_of(tmp_path, "data.csv", CSV))
    (tmp_path / f"data.csv{ending}").write_bytes(pack(CSV.encode()))
    assert read_data(tmp_path / f"data.csv{ending}").examples == plain.examples
    (tmp_path / f"cut.csv{ending}").write_bytes(pack(CSV.encode() * 50)[:-20])
    with pytest.raises(UsageError, match="cannot"):
        read_data(tmp_path / f"cut.csv{ending}")


def test_one_json_array_and_lines_of_objects_are_the_same(tmp_path: Path) -> None:
    rows = [{"text": text, "label": label} for text, label in ROWS]
    array = read_data(file_of(tmp_path, "array.json", json.dumps(rows, indent=1)))
    lines = read_data(file_of(tmp_path, "lines.json", "\n".join(map(json.dumps, rows))))
    assert array.examples == lines.examples
    with pytest.raises(UsageError) as refused:
        read_data(file_of(tmp_path, "numbers.json", "[1]"))
    assert "element 1" in refused.value.cause


def test_files_without_a_header_have_numbered_columns(tmp_path: Path) -> None:
    path = file_of(tmp_path, "data.tsv", "".join(f"{label}\t{text}\n" for text, label in ROWS))
    data = read_data(path, no_header=True, text_column="2", label_column="1")
    assert len(data.examples) == len(ROWS)
    assert (data.examples[0].row, data.examples[0].text) == (1, "paid twice")


def test_quotes_can_be_text(tmp_path: Path) -> None:
    lines = ['say "no\tham', '"unclosed\tspam'] * 3
    path = file_of(tmp_path, "data.txt", "text\tlabel\n" + "".join(f"{line}\n" for line in lines))
    data = read_data(path, quoting="none")
    assert [example.text for example in data.examples[:2]] == ['say "no', '"unclosed']
    with pytest.raises(UsageError) as refused:
        read_data(path)
    assert "--quoting none" in refused.value.fix


def test_conll_words_and_tags_with_their_places(tmp_path: Path) -> None:
    data = read_data(file_of(tmp_path, "data.conll", CONLL), task="token")
    first, second = data.examples
    assert first.text == "Anna van Dam in Rome"
    assert [first.text[start:end] for start, end in first.words] == ["Anna", "van", "Dam", "in", "Rome"]
    assert first.target == ("B-person", "I-person", "I-person", "O", "B-place")
    assert (second.row, second.text) == (2, "Hi")
    assert data.labels == ["O", "B-person", "I-person", "B-place", "I-place"]


@pytest.mark.parametrize(
    "name", ["data.conll", "data.iob", "data.bio", "data.tsv", "data.txt", "data.annotated"]
)
def test_conll_takes_tabs_too_words_with_spaces_then(tmp_path: Path, name: str) -> None:
    path = file_of(tmp_path, name, "New York\tNNP\tB-place\r\n.\t.\tO\r\n\r\n")
    (example,) = read_data(path, task="token").examples
    assert (example.text, example.words) == ("New York .", ((0, 8), (9, 10)))
    tagged = read_data(path, task="token", label_column="2")
    assert tagged.labels == [".", "NNP"]


def test_a_conll_line_with_too_few_fields_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        read_data(file_of(tmp_path, "data.conll", "a O\nb O\n\nlonely\n"), task="token")
    assert "line 4 has 1 fields, the first line has 2" in refused.value.cause


word = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=6).filter(
    lambda text: not text.startswith(("#", "-DOCSTART-", "\ufeff"))
)
sentences = st.lists(
    st.lists(st.tuples(word, st.sampled_from(["O", "B-x", "B-y"])), min_size=1), min_size=1, max_size=5
)


@given(sentences, st.sampled_from("\t "), st.sampled_from(["\n", "\r\n"]), st.integers(1, 3))
def test_conll_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[list[tuple[str, str]]],
    between: str,
    end: str,
    blanks: int,
) -> None:
    path = tmp_path_factory.mktemp("conll") / "data.conll"
    lines = (end.join(f"{token}{between}{tag}" for token, tag in sentence) for sentence in drawn)
    path.write_bytes((end * (blanks + 1)).join(lines).encode())
    table = read_table(path, Layout(tokens=True))
    found = [list(zip(row["1"], row["2"], strict=True)) for row in table.rows]
    assert found == drawn


def test_a_folder_with_a_file_per_split(tmp_path: Path) -> None:
    for name in ("train.csv", "my-dev.csv", "test.csv.gz", "notes.csv"):
        data = CSV.encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    file_of(tmp_path, "README.md", "about")
    data = read_data(tmp_path)
    assert [example.split for example in data.examples] == ["train"] * 6 + ["validation"] * 6 + ["test"] * 6
    assert [example.row for example in data.examples] == list(range(1, 19))
    assert "my-dev.csv: rows 7 to 12 (validation)" in told(data)
    assert "not read: notes.csv" in told(data)
    assert len(data.files) == 3
    before = data_digest(data)
    file_of(tmp_path, "my-dev.csv", CSV + "late,billing\n")
    assert data_digest(read_data(tmp_path)) != before


def test_a_folder_without_a_training_file_or_with_two_forms_is_refused(tmp_path: Path) -> None:
    file_of(tmp_path, "test.csv", CSV)
    with pytest.raises(UsageError) as refused:
        read_data(tmp_path)
    assert "test.csv" in refused.value.cause
    file_of(tmp_path, "train.csv", CSV)
    file_of(tmp_path, "train.tsv", CSV)
    with pytest.raises(UsageError, match="several forms of its train part"):
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
def test_what_a_name_says_of_its_split(name: str, split: str | None) -> None:
    assert split_of(name) == split


def test_files_named_by_flag(tmp_path: Path) -> None:
    path, test = file_of(tmp_path, "all.csv", CSV), file_of(tmp_path, "later.csv", CSV)
    data = read_data(path, test_file=test)
    assert [example.split for example in data.examples] == ["train"] * 6 + ["test"] * 6
    file_of(tmp_path, "train.csv", CSV)
    file_of(tmp_path, "test.csv", CSV)
    with pytest.raises(UsageError, match="two test parts"):
        read_data(tmp_path, test_file=test)
    file_of(tmp_path, "other.csv", CSV.replace("label", "team"))
    with pytest.raises(UsageError, match=r"other.csv has no column 'label'"):
        read_data(path, validation_file=tmp_path / "other.csv")


def hub_set(**columns: Any) -> Any:
    import datasets

    names = datasets.ClassLabel(names=["spam", "ham", "never"])
    features = datasets.Features({"text": datasets.Value("string"), "label": names})
    return datasets.Dataset.from_dict(
        {"text": [f"text {n}" for n in range(6)], "label": [1, 0] * 3, **columns}, features=features
    )


def test_a_saved_data_set_keeps_splits_and_label_names(tmp_path: Path) -> None:
    import datasets

    splits = datasets.DatasetDict(
        train=hub_set(), validation=hub_set(label=[0, 1, 0, 1, 0, -1]), unsupervised=hub_set()
    )
    splits.save_to_disk(tmp_path / "set")
    data = read_data(tmp_path / "set")
    assert data.labels == ["spam", "ham"]
    assert [example.split for example in data.examples] == ["train"] * 6 + ["validation"] * 5
    assert data.examples[0].target == "ham"
    assert data.no_label == [12]
    assert "not read: unsupervised" in told(data)
    assert data_digest(data) == data_digest(read_data(tmp_path / "set"))
    hub_set().save_to_disk(tmp_path / "alone")
    assert {example.split for example in read_data(tmp_path / "alone").examples} == {None}
    (tmp_path / "alone/state.json").unlink()
    with pytest.raises(UsageError, match="cannot be read as a saved data set"):
        read_data(tmp_path / "alone")


def test_parquet_of_the_datasets_library_keeps_label_names(tmp_path: Path) -> None:
    hub_set().to_parquet(tmp_path / "data.parquet")
    assert read_data(tmp_path / "data.parquet").labels == ["spam", "ham"]


def test_numbered_tags_of_a_data_set_are_named(tmp_path: Path) -> None:
    import datasets

    tags = datasets.Sequence(datasets.ClassLabel(names=["O", "B-place", "I-place"]))
    features = datasets.Features({"tokens": datasets.Sequence(datasets.Value("string")), "ner_tags": tags})
    rows = {"tokens": [["in", "New", "York"], ["Hi"]], "ner_tags": [[0, 1, 2], [0]]}
    whole = datasets.Dataset.from_dict(rows, features=features)
    whole.save_to_disk(tmp_path / "set")
    whole.to_parquet(tmp_path / "set.parquet")
    for path in (tmp_path / "set", tmp_path / "set.parquet"):
        data = read_data(path, task="token")
        assert data.examples[0].target == ("O", "B-place", "I-place")
        assert data.labels == ["O", "B-place", "I-place"]


def test_a_repository_with_its_files_in_a_subfolder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    file_of(tmp_path, "README.md", "about")
    for name in ("train-00000-of-00002.csv", "train-00001-of-00002.csv", "test-00000-of-00001.csv"):
        file_of(tmp_path / "data", name, CSV)
    data = read_data(tmp_path)
    assert [example.split for example in data.examples] == ["train"] * 12 + ["test"] * 6


def test_a_hub_id_goes_through_the_datasets_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """A local stand-in for the Hub: only the library's loading function is replaced."""
    import datasets

    asked: list[tuple[str, str | None]] = []

    def load(path: str, name: str | None = None) -> Any:
        asked.append((path, name))
        if path != "someone/set":
            raise FileNotFoundError(f"Dataset '{path}' doesn't exist on the Hub")
        return datasets.DatasetDict(train=hub_set(), test=hub_set())

    monkeypatch.setattr(datasets, "load_dataset", load)
    data = read_data("someone/set:plain")
    assert asked == [("someone/set", "plain")]
    assert [example.split for example in data.examples] == ["train"] * 6 + ["test"] * 6
    assert data.labels == ["spam", "ham"]
    with pytest.raises(UsageError) as refused:
        read_data("someone/other")
    assert "neither a file or folder here" in refused.value.message
    assert "doesn't exist on the Hub" in refused.value.cause
    for file in ("folder/missing.csv", "./missing", "missing"):
        with pytest.raises(UsageError, match="cannot read"):
            read_data(file)
    assert len(asked) == 2
