"""The quality program's command lines, its parts by row number, and its small files."""

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
    thinned,
    womens_clothing,
)
from benchmarks.quality.sets import SEED, SETS
from benchmarks.quality.training import FailedError, command, earlier, flags, resolved


def test_every_fifth_row_is_a_test_row_whatever_is_missing_between() -> None:
    parts = by_row_number([(0, "a"), (1, "b"), (4, "c"), (5, "d"), (11, "e")])
    assert parts == {"train": ["b", "c", "e"], "test": ["a", "d"]}


@given(st.lists(st.integers()), st.integers(1, 50))
def test_thinning_keeps_the_first_and_the_order_and_no_more_than_asked_for(
    units: list[int], most: int
) -> None:
    kept = thinned([*enumerate(units)], most)
    assert len(kept) <= most
    assert kept == sorted(kept)
    assert bool(kept) == bool(units)
    assert kept[:1] == [*enumerate(units)][:1]


def test_flags_are_spelled_as_the_command_line_has_them() -> None:
    options = {
        "max_length": 64,
        "no_header": True,
        "windows": False,
        "metadata_columns": ("Age", "Shop Name"),
    }
    assert flags(options) == ["--max-length", "64", "--no-header", "--metadata-columns", "Age,Shop Name"]


def test_a_command_says_data_and_work_in_place_of_folders() -> None:
    wanted = SETS["goemotions"]
    words = command(wanted, wanted.runs[0], wanted.source)
    assert words[:3] == ["labelstream", "train", "DATA/goemotions"]
    assert words[words.index("--seed") + 1] == str(SEED)
    real = resolved(words, Path("/data"), Path("/kept"))
    assert real[2] == "/data/goemotions"
    assert real[real.index("--label-names") + 1] == "/data/goemotions/labels.txt"
    assert real[real.index("--bundle-store") + 1] == "/kept/bundles"
    assert not [word for word in real if word.startswith(("DATA", "WORK"))]


def test_words_that_only_begin_like_a_folder_stay() -> None:
    assert resolved(["DATABASE/x", "DATA"], Path("/d"), Path("/w")) == ["DATABASE/x", "/d"]


def test_a_quick_run_has_one_epoch() -> None:
    wanted = SETS["banking77"]
    words = command(wanted, wanted.runs[0], "WORK/banking77", quick=True)
    assert words[words.index("--epochs") + 1] == "1"


def test_bundle_names_are_unique_and_the_rating_is_never_read() -> None:
    names = [run.name for wanted in SETS.values() for run in wanted.runs]
    assert len(names) == len(set(names))
    for run in SETS["womens_clothing"].runs:
        assert "Rating" not in " ".join(command(SETS["womens_clothing"], run, "DATA/x"))


def test_reviews_without_text_are_left_out_but_keep_their_numbers(tmp_path: Path) -> None:
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


def test_quotes_in_messages_are_text(tmp_path: Path) -> None:
    (tmp_path / "sms_spam").mkdir()
    text = 'Label\tSMS\nham\t"Go\nspam\tWin a "car"\tnow\n'
    (tmp_path / "sms_spam" / "SMSSpamCollection").write_text(text)
    parts = sms_spam(tmp_path)
    assert parts["test"] == [{"text": '"Go', "label": "ham"}]
    assert parts["train"] == [{"text": 'Win a "car"\tnow', "label": "spam"}]


def test_comments_of_several_labels_are_no_part_of_the_imbalanced_set(tmp_path: Path) -> None:
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


def test_prepared_files_lie_in_the_work_folder_and_the_data_stay(tmp_path: Path) -> None:
    data, work = tmp_path / "data", tmp_path / "work"
    (data / "sms_spam").mkdir(parents=True)
    (data / "sms_spam" / "SMSSpamCollection").write_text("Label\tSMS\nham\ta\nspam\tb\n")
    assert prepare("sms_spam", "WORK/sms_spam", data, work, quick=False) == "WORK/sms_spam"
    assert read_rows(work / "sms_spam" / "train.jsonl") == [{"text": "b", "label": "spam"}]
    assert [file.name for file in (data / "sms_spam").iterdir()] == ["SMSSpamCollection"]


def test_a_set_with_parts_of_its_own_is_read_where_it_lies(tmp_path: Path) -> None:
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


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NoDataError, match="banking77"):
        prepare("banking77", "DATA/banking77", tmp_path, tmp_path / "work", quick=False)
    with pytest.raises(NoDataError, match="SMSSpamCollection"):
        prepare("sms_spam", "WORK/sms_spam", tmp_path, tmp_path / "work", quick=False)
    with pytest.raises(FailedError, match="not trained yet"):
        earlier(SETS["sick"].runs[0], tmp_path)
