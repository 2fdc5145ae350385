"""Compressed files, standard input, and formats that are refused by name."""

import io
import pickle
import random
import shlex
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from stream.errors import UsageError
from stream.predict.row_reader import Columns, RowReader
from tests.unit.table_files import COMPRESS, both, predict_rows, refused, set_stdin, train_rows, write
from trainer.config import DataConfig
from trainer.data.read import data_digest, read_data

CSV = "text,label\nmy card,a\nrefund,b\n"
ROWS = [{"text": "my card", "label": "a"}, {"text": "refund", "label": "b"}]
PACKED = [suffix for suffix in COMPRESS if suffix]


@pytest.mark.parametrize("suffix", PACKED)
@pytest.mark.parametrize("name", ["a.csv{}", "A.CSV{}", "a.csv", "a", "a{}"])
def test_compressed_files_are_recognised(tmp_path: Path, name: str, suffix: str) -> None:
    path = write(tmp_path, name.format(suffix), COMPRESS[suffix](CSV.encode()))
    assert both(path, "label") == ROWS


@pytest.mark.parametrize("suffix", PACKED)
def test_several_compressed_parts_are_read_as_one_file(tmp_path: Path, suffix: str) -> None:
    data = COMPRESS[suffix](CSV[:15].encode()) + COMPRESS[suffix](CSV[15:].encode())
    assert both(write(tmp_path, f"a.csv{suffix}", data), "label") == ROWS


def test_a_zstandard_file_may_begin_with_a_frame_that_is_skipped(tmp_path: Path) -> None:
    skipped = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"size"
    assert both(write(tmp_path, "a.csv", skipped + COMPRESS[".zst"](CSV.encode())), "label") == ROWS


@pytest.mark.parametrize("suffix", PACKED)
def test_damaged_files_are_refused(tmp_path: Path, suffix: str) -> None:
    # Random letters, so that the compressed file is longer than one block of the decompressor.
    letters = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz", k=400_000))
    whole = COMPRESS[suffix](f"text\n{letters}\n{letters}\n".encode())
    middle = len(whole) // 2
    changed = whole[:middle] + b"\0" * 64 + whole[middle + 64 :]
    # The frames of this compressor have no checksum, so only a missing end shows.
    for damaged in (whole[:-6], whole[:20], *([changed] if suffix != ".zst" else [])):
        error = refused(write(tmp_path, f"a.csv{suffix}", damaged))
        assert "cannot be unpacked" in error.message
        assert "truncated or damaged" in error.cause
        # The command of the fix reports the damage too.
        command = error.fix.partition("check it with ")[2]
        assert subprocess.run(command, shell=True, capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize("suffix", PACKED)
def test_a_suffix_of_another_compression_is_refused_and_the_fix_works(tmp_path: Path, suffix: str) -> None:
    for other in {*COMPRESS} - {suffix}:
        path = write(tmp_path, f"a.csv{suffix}", COMPRESS[other](CSV.encode()))
        command = refused(path).fix.partition(", or")[0]
        subprocess.run(command, shell=True, check=True)
        assert both(tmp_path / f"a.csv{other}", "label") == ROWS


def test_progress_follows_the_bytes_of_the_file(tmp_path: Path) -> None:
    for suffix in ("", ".gz"):
        path = write(tmp_path, f"a.csv{suffix}", COMPRESS[suffix](b"text\n" + b"some text\n" * 60_000))
        reader = RowReader(path, Columns())
        positions = [reader.position for _ in reader.rows()]
        assert positions == sorted(positions)
        assert positions[-1] == reader.size == path.stat().st_size
        if not suffix:
            assert positions[0] < path.stat().st_size / 2


def zip_file(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, CSV)
    return file.getvalue()


def tar_file() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.csv"))
    return file.getvalue()


FOREIGN = {
    "a.zip": (zip_file("a.csv"), "zip archive"),
    "a.xlsx": (zip_file("[Content_Types].xml", "xl/workbook.xml"), "spreadsheet"),
    "a.xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "spreadsheet"),
    "a.tar": (tar_file(), "tar archive"),
    "a.pkl": (pickle.dumps({"text": ["a"]}), "pickle"),
    "a.feather": (b"ARROW1\0\0", "Arrow file"),
    "a.db": (b"SQLite format 3\0", "SQLite database"),
    "a.lz4": (b"\x04\x22\x4d\x18", "lz4"),
    "a.7z": (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    "a.pdf": (b"%PDF-1.7\n", "PDF"),
    "a.h5": (b"\x89HDF\r\n", "HDF5"),
    "a.html": (b"\n<!DOCTYPE html><html>", "web page"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_other_formats_are_refused_by_name_under_any_suffix(tmp_path: Path, name: str) -> None:
    content, what = FOREIGN[name]
    for given in (name, "a.csv", "a.jsonl", "a.txt", "a", "a.csv.gz"):
        data = COMPRESS[".gz"](content) if given.endswith(".gz") else content
        path = write(tmp_path, given, data)
        for read in (predict_rows, train_rows):
            with pytest.raises(UsageError, match="cannot read") as error:
                read(path)
            assert what in error.value.cause
            assert "supported: .csv" in error.value.cause
            assert error.value.fix


@pytest.mark.parametrize("text", ["PAR123 is late", "BZh9 is my code", "FEA1 broke", "PK code lost"])
def test_texts_that_begin_like_another_format_are_texts(tmp_path: Path, text: str) -> None:
    assert predict_rows(write(tmp_path, "a.txt", text)) == [{"text": text}]


def test_a_file_of_html_texts_can_be_read(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "<html>one</html>\n<html>two</html>\n")
    with pytest.raises(UsageError) as error:
        predict_rows(path)
    assert "--format text" in error.value.fix
    assert len(predict_rows(path, format="text")) == 2


def test_a_folder_is_not_read_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(UsageError, match="cannot read") as error:
        predict_rows(tmp_path / "a.csv")
    assert "directory" in error.value.cause


def test_a_pointer_of_git_lfs_is_refused(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    assert "git lfs pull" in refused(write(tmp_path, "a.csv", pointer)).fix


def test_the_conversions_of_binary_tables_work(tmp_path: Path) -> None:
    import datasets
    import pandas

    frame = pandas.DataFrame(ROWS)
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_feather(tmp_path / "b b.feather")
    frame.to_pickle(tmp_path / "c.pkl")
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "set")
    (stream,) = (tmp_path / "set").glob("*.arrow")
    renamed = (tmp_path / "a.parquet").rename(tmp_path / "a.csv")
    for path in (renamed, tmp_path / "b b.feather", tmp_path / "c.pkl", stream):
        with pytest.raises(UsageError, match="cannot read") as error:
            predict_rows(path)
        command = error.value.fix[error.value.fix.index("python -c") :]
        exec(shlex.split(command)[2], {})
        assert both(path.with_suffix(".jsonl"), "label") == ROWS
    assert "Parquet" in refused(renamed).cause


def test_compressed_parquet_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a.parquet.gz", COMPRESS[".gz"](b"PAR1"))
    with pytest.raises(UsageError, match="cannot") as error:
        train_rows(path)
    assert "unpack" in error.value.cause


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize(
    "content",
    [
        CSV,
        CSV.replace(",", "\t"),
        '{"text": "my card", "label": "a"}\n{"text": "refund", "label": "b"}\n',
        '[{"text": "my card", "label": "a"},\n{"text": "refund", "label": "b"}]',
    ],
)
def test_standard_input_is_recognised_by_its_first_lines(
    monkeypatch: pytest.MonkeyPatch, content: str, suffix: str
) -> None:
    for read in (predict_rows, train_rows):
        path = set_stdin(monkeypatch, COMPRESS[suffix](content.encode()))
        assert read(path, "label") == ROWS


def test_predict_reads_texts_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["[URGENT] my card, please", "", "{refund}"]
    assert [row["text"] for row in predict_rows(set_stdin(monkeypatch, "\n".join(texts)))] == texts
    forced = set_stdin(monkeypatch, "text,label\na,b\n")
    assert [row["text"] for row in predict_rows(forced, format="text")] == ["text,label", "a,b"]


def test_errors_name_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    for content, options in (("text,label\na,b,c\n", {}), ("text\n", {}), ("a", {"format": "json"})):
        for read in (predict_rows, train_rows):
            path = set_stdin(monkeypatch, content)
            with pytest.raises(UsageError, match="standard input"):
                read(path, **options)


def test_train_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    csv = "text,label\n" + "paid twice,billing\nwhere is it,delivery\n" * 3
    data = read_data(set_stdin(monkeypatch, csv))
    assert data.labels == ["billing", "delivery"]
    assert len(data.examples) == 6
    digest = data_digest(data)
    assert digest == data_digest(read_data(set_stdin(monkeypatch, csv)))
    assert digest != data_digest(read_data(set_stdin(monkeypatch, csv.replace("twice", "once"))))
    conll = set_stdin(monkeypatch, "Rome B-place\nis O\n\nParis B-place\nis O\n")
    assert len(read_data(conll, DataConfig(task="token", format="conll")).examples) == 2


@pytest.mark.parametrize("flag", ["validation_file", "test_file", "extra_train"])
def test_only_the_data_can_be_standard_input(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flag: str
) -> None:
    path = write(tmp_path, "a.csv", CSV)
    with pytest.raises(UsageError, match="only DATA"):
        read_data(path, DataConfig(**{flag: set_stdin(monkeypatch, CSV)}))


def test_train_reads_files_in_the_format_and_encoding_of_its_flags(tmp_path: Path) -> None:
    rows = "".join(f'{{"text": "müde {n}", "label": "{n % 2}"}}\n' for n in range(6))
    path = write(tmp_path, "a.log", rows.encode("windows-1252"))
    with pytest.raises(UsageError) as error:
        read_data(path)
    assert "--format" in error.value.fix
    data = read_data(path, DataConfig(format="jsonl", encoding="windows-1252"))
    assert data.examples[0].text == "müde 0"
    metadata = write(
        tmp_path,
        "b.jsonl",
        "".join(f'{{"text": "a{n}", "label": "{n % 2}", "metadata": {{"shop": "x"}}}}\n' for n in range(6)),
    )
    assert read_data(metadata, DataConfig(metadata_columns=("shop",))).examples[0].metadata == {"shop": "x"}
