"""Tests of the quality program: command lines, splits by row number, and small samples."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.quality.prepare import (
    NoDataError,
    by_row_number,
    imbalance,
    prepare,
    read_rows,
    sms_spam,
    thin,
    womens_clothing,
)
from benchmarks.quality.sets import SEED, SETS
from benchmarks.quality.training import (
    FailedError,
    flags,
    load_record,
    resolve_folders,
    skipped_variants,
    train_command,
)


def test_every_fifth_row_number_is_a_test_row_despite_gaps() -> None:
    parts = by_row_number([(0, "a"), (1, "b"), (4, "c"), (5, "d"), (11, "e")])
    assert parts == {"train": ["b", "c", "e"], "test": ["a", "d"]}


@given(st.lists(st.integers()), st.integers(1, 50))
def test_thin_keeps_the_first_unit_the_order_and_the_limit(units: list[int], limit: int) -> None:
    selected = thin([*enumerate(units)], limit)
    assert len(selected) <= limit
    assert selected == sorted(selected)
    assert bool(selected) == bool(units)
    assert selected[:1] == [*enumerate(units)][:1]


def test_only_skipped_variants_are_noted_and_not_the_variant_of_the_evaluation() -> None:
    skipped = "variant int8 is skipped: same label for 97.1% of 1030 texts"
    assert skipped_variants([skipped, "variant    int8-static on openvino"]) == [skipped]


def test_options_become_command_line_flags() -> None:
    options = {
        "max_length": 64,
        "no_header": True,
        "windows": False,
        "metadata_columns": ("Age", "Shop Name"),
    }
    assert flags(options) == ["--max-length", "64", "--no-header", "--metadata-columns", "Age,Shop Name"]


def test_a_command_contains_placeholders_for_the_folders() -> None:
    quality_set = SETS["goemotions"]
    words = train_command(quality_set, quality_set.runs[0], quality_set.source)
    assert words[:3] == ["labelstream", "train", "DATA/goemotions"]
    assert words[words.index("--seed") + 1] == str(SEED)
    resolved = resolve_folders(words, Path("/data"), Path("/kept"))
    assert resolved[2] == "/data/goemotions"
    assert resolved[resolved.index("--label-names") + 1] == "/data/goemotions/labels.txt"
    assert resolved[resolved.index("--bundle-store") + 1] == "/kept/bundles"
    assert not [word for word in resolved if word.startswith(("DATA", "WORK"))]


def test_words_that_only_start_like_a_placeholder_are_unchanged() -> None:
    assert resolve_folders(["DATABASE/x", "DATA"], Path("/d"), Path("/w")) == ["DATABASE/x", "/d"]


def test_a_quick_run_has_one_epoch() -> None:
    quality_set = SETS["banking77"]
    words = train_command(quality_set, quality_set.runs[0], "WORK/banking77", quick=True)
    assert words[words.index("--epochs") + 1] == "1"


def test_bundle_names_are_unique_and_the_rating_is_not_an_input() -> None:
    names = [run.name for quality_set in SETS.values() for run in quality_set.runs]
    assert len(names) == len(set(names))
    for run in SETS["womens_clothing"].runs:
        assert "Rating" not in " ".join(train_command(SETS["womens_clothing"], run, "DATA/x"))


def test_reviews_without_text_are_skipped_but_count_in_row_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "womens_clothing"
    folder.mkdir()
    head = ",Clothing ID,Age,Title,Review Text,Rating,Recommended IND,Positive Feedback Count,"
    lines = [
        f"{head}Division Name,Department Name,Class Name",
        '0,1,33,,"Two\nlines",4,1,0,General,Tops,Knits',
        "1,1,34,Nice,,4,1,0,General,Tops,Knits",
        *(f"{n},1,35,Nice,Text {n},4,0,0,General,Tops,Knits" for n in range(2, 7)),
    ]
    (folder / "reviews.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    parts = womens_clothing(tmp_path)
    assert [row["text"] for row in parts["test"]] == ["Two\nlines", "Nice Text 5"]
    assert [row["text"][-1] for row in parts["train"]] == ["2", "3", "4", "6"]
    assert parts["test"][0]["recommended"] == "1"
    assert "Rating" not in parts["test"][0]


def test_quotation_marks_in_messages_are_text(tmp_path: Path) -> None:
    (tmp_path / "sms_spam").mkdir()
    text = 'Label\tSMS\nham\t"Go\nspam\tWin a "car"\tnow\n'
    (tmp_path / "sms_spam" / "SMSSpamCollection").write_text(text)
    parts = sms_spam(tmp_path)
    assert parts["test"] == [{"text": '"Go', "label": "ham"}]
    assert parts["train"] == [{"text": 'Win a "car"\tnow', "label": "spam"}]


def test_the_imbalanced_set_excludes_comments_with_several_labels(tmp_path: Path) -> None:
    folder = tmp_path / "goemotions"
    folder.mkdir()
    (folder / "labels.txt").write_text("joy\ngrief\n")
    rows = [f"text {n}\t{n % 2}\tid" for n in range(12)]
    (folder / "train.tsv").write_text("\n".join(["both\t0,1\tid", *rows]))
    (folder / "dev.tsv").write_text("one\t1\tid\nboth\t0,1\tid\n")
    (folder / "test.tsv").write_text("two\t0\tid\n")
    assert imbalance(tmp_path) == {
        "train": [{"text": "text 0", "label": "joy"}, {"text": "text 6", "label": "joy"}],
        "validation": [{"text": "one", "label": "grief"}],
        "test": [{"text": "two", "label": "joy"}],
    }


def test_prepare_writes_to_the_work_folder_and_leaves_the_data_unchanged(tmp_path: Path) -> None:
    data, work = tmp_path / "data", tmp_path / "work"
    (data / "sms_spam").mkdir(parents=True)
    (data / "sms_spam" / "SMSSpamCollection").write_text("Label\tSMS\nham\ta\nspam\tb\n")
    assert prepare("sms_spam", "WORK/sms_spam", data, work, quick=False) == "WORK/sms_spam"
    assert read_rows(work / "sms_spam" / "train.jsonl") == [{"text": "b", "label": "spam"}]
    assert [file.name for file in (data / "sms_spam").iterdir()] == ["SMSSpamCollection"]


def test_a_set_with_published_splits_is_read_directly(tmp_path: Path) -> None:
    (tmp_path / "wnut17").mkdir()
    sentences = "".join(f"word{n}\tO\nend\tO\n\n" for n in range(2000))
    (tmp_path / "wnut17" / "wnut17train.conll.gz").write_bytes(gzip.compress(sentences.encode()))
    work = tmp_path / "work"
    assert prepare("wnut17", "DATA/wnut17", tmp_path, work, quick=False) == "DATA/wnut17"
    assert not work.exists()
    assert prepare("wnut17", "DATA/wnut17", tmp_path, work, quick=True) == "WORK/wnut17"
    few = (work / "wnut17" / "wnut17train.conll").read_text().strip().split("\n\n")
    assert 0 < len(few) <= 900
    assert all(sentence.strip().endswith("end\tO") for sentence in few)


def test_missing_data_and_records_are_reported(tmp_path: Path) -> None:
    with pytest.raises(NoDataError, match="banking77"):
        prepare("banking77", "DATA/banking77", tmp_path, tmp_path / "work", quick=False)
    with pytest.raises(NoDataError, match="SMSSpamCollection"):
        prepare("sms_spam", "WORK/sms_spam", tmp_path, tmp_path / "work", quick=False)
    with pytest.raises(FailedError, match="not trained yet"):
        load_record(SETS["sick"].runs[0], tmp_path)
