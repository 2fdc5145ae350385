"""Encodings and line ends of data files, as `predict` and `train` read them."""

import codecs
import subprocess
from pathlib import Path

import pytest

from stream.errors import UsageError
from stream.tables.lines import split_lines
from tests.unit.table_files import COMPRESS, both, refused, train_rows, write
from trainer.data.files import ParseOptions, read_table

CELLS = [{"text": "größer 大 \U0001f600", "label": "ä"}, {"text": "plain", "label": "b"}]
TEXTS = {
    "a.csv": "text,label\ngrößer 大 \U0001f600,ä\nplain,b\n",
    "a.tsv": "text\tlabel\ngrößer 大 \U0001f600\tä\nplain\tb\n",
    "a.txt": "text\tlabel\ngrößer 大 \U0001f600\tä\nplain\tb\n",
    "a.jsonl": '{"text": "größer 大 \U0001f600", "label": "ä"}\n{"text": "plain", "label": "b"}\n',
    "a.json": '[{"text": "größer 大 \U0001f600", "label": "ä"}, {"text": "plain", "label": "b"}]',
}
MARKED = ["utf-8-sig", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]


def encoded(text: str, encoding: str) -> bytes:
    """Encode a text, with a byte-order mark if the encoding has none of its own."""
    return text.encode(encoding) if encoding == "utf-8-sig" else f"\ufeff{text}".encode(encoding)


@pytest.mark.parametrize("suffix", ["", ".zst"])
@pytest.mark.parametrize("encoding", ["utf-8", *MARKED])
@pytest.mark.parametrize("name", TEXTS)
def test_a_byte_order_mark_determines_the_encoding(
    tmp_path: Path, name: str, encoding: str, suffix: str
) -> None:
    data = TEXTS[name].encode() if encoding == "utf-8" else encoded(TEXTS[name], encoding)
    path = write(tmp_path, name + suffix, COMPRESS[suffix](data))
    assert both(path, "label") == CELLS


@pytest.mark.parametrize("encoding", MARKED)
def test_conll_files_and_label_names_may_have_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    from stream.tables import read_label_names

    path = write(tmp_path, "a.conll", encoded("Köln B-place\nist O\n", encoding))
    assert read_table(path).rows == [{"1": ["Köln", "ist"], "2": ["B-place", "O"]}]
    assert read_label_names(write(tmp_path, "names.txt", encoded("ä\nb\n", encoding))) == ["ä", "b"]


@pytest.mark.parametrize("encoding", MARKED[1:])
@pytest.mark.parametrize("name", TEXTS)
def test_wide_encodings_without_byte_order_mark_are_named_and_can_be_chosen(
    tmp_path: Path, name: str, encoding: str
) -> None:
    path = write(tmp_path, name, TEXTS[name].encode(encoding))
    error = refused(path)
    assert encoding.upper() in error.cause
    assert error.fix == f"add --encoding {encoding}"
    assert both(path, "label", encoding=encoding) == CELLS
    assert both(path, "label", encoding=encoding[:6]) == CELLS


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_wide_encodings_with_few_zero_bytes_are_named(tmp_path: Path, encoding: str) -> None:
    text = "我的信用卡被扣了两次款，请尽快退还给我，谢谢。" * 8
    path = write(tmp_path, "a.csv", f"text,label\n{text},a\n{text},b\n".encode(encoding))
    error = refused(path)
    assert f"{encoding.upper()} without a byte-order mark" in error.cause
    assert error.fix == f"add --encoding {encoding}"
    assert both(path, encoding=encoding) == [{"text": text}] * 2


def test_zero_characters_do_not_make_a_file_utf_16(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "text,label\na\0b,x\n\0\0,y\n")
    assert both(path, "label") == [{"text": "a\0b", "label": "x"}, {"text": "\0\0", "label": "y"}]
    many = write(tmp_path, "b.tsv", "text\n" + "a\0" * 10 + "b\n")
    assert both(many) == [{"text": "a\0" * 10 + "b"}]


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_a_western_european_file_is_refused_with_its_encoding(tmp_path: Path, suffix: str) -> None:
    data = COMPRESS[suffix]("text,label\nok,a\nmüde €,b\n".encode("windows-1252"))
    path = write(tmp_path, f"a.csv{suffix}", data)
    error = refused(path)
    assert "line 3, byte 17: 0xfc" in error.cause
    assert error.fix.endswith("--encoding windows-1252")
    assert both(path, encoding="windows-1252")[1] == {"text": "müde €"}


def test_the_position_is_right_beyond_the_first_chunk(tmp_path: Path) -> None:
    lines = "text,label\r\n" + f"größe{'x' * 60},a\r\n" * 6000
    data = lines.encode()
    path = write(tmp_path, "a.csv", data + b"\xff,b\r\n")
    assert f"line 6002, byte {len(data)}: 0xff" in refused(path).cause
    cut = write(tmp_path, "cut.csv", data + "ö".encode()[:1])
    assert f"line 6002, byte {len(data)}: 0xc3" in refused(cut).cause


def test_windows_1252_is_not_proposed_for_bytes_that_it_does_not_have(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "text,label\n表,a\n".encode("shift_jis") + b"\x81\x8d,b\n")
    assert "windows-1252" not in refused(path).fix
    assert "shift_jis" in refused(path).fix
    path = write(tmp_path, "b.csv", "text,label\n表,a\n".encode("shift_jis"))
    assert both(path, encoding="shift_jis") == [{"text": "表"}]


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_a_damaged_utf_8_file_is_not_taken_for_another_encoding(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, f"a b.csv{suffix}", COMPRESS[suffix]("text\nmüde\n".encode() + b"x\xff\n"))
    error = refused(path)
    assert "line 3, byte 12: 0xff" in error.cause
    assert "--encoding" not in error.fix
    # `iconv -c` ends with 1 if it has dropped bytes.
    subprocess.run(error.fix.partition(": ")[2], shell=True, cwd=tmp_path, check=False)
    assert train_rows(tmp_path / "utf8.txt") == [{"text": "müde"}, {"text": "x"}]


def test_an_encoding_that_contradicts_the_byte_order_mark_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", codecs.BOM_UTF8 + b"text\na\n")
    assert "byte-order mark of UTF-8" in refused(path, encoding="windows-1252").cause
    assert both(path, encoding="utf-8") == [{"text": "a"}]


@pytest.mark.parametrize("name", ["none", "base64", "idna", ""])
def test_an_unknown_encoding_is_refused_before_the_file_is_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="--encoding"):
        read_table(write(tmp_path, "a.csv", "text\na\n"), ParseOptions(encoding=name))


@pytest.mark.parametrize("encoding", ["iso2022_jp", "iso2022_kr"])
def test_escape_sequences_of_an_encoding_are_named(tmp_path: Path, encoding: str) -> None:
    text = "日本語" if encoding == "iso2022_jp" else "한국어"
    path = write(tmp_path, "a.csv", f"text,label\n{text},a\n".encode(encoding))
    assert refused(path).fix == f"add --encoding {encoding}"
    assert both(path, encoding=encoding) == [{"text": text}]
    colours = write(tmp_path, "b.csv", "text,label\n\x1b[31mred\x1b(B\x1b[m,a\n")
    assert both(colours) == [{"text": "\x1b[31mred\x1b(B\x1b[m"}]


def test_a_label_names_file_in_another_encoding_has_a_fix_without_the_flag(tmp_path: Path) -> None:
    from stream.tables import read_label_names

    path = write(tmp_path, "names.txt", "müde\nwach\n".encode("latin-1"))
    with pytest.raises(UsageError, match="not UTF-8") as error:
        read_label_names(path)
    command = error.value.fix.partition(", ")[2]
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    assert read_label_names(tmp_path / "utf8.txt") == ["müde", "wach"]


@pytest.mark.parametrize("separator", ["\x85", "\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x1e"])
@pytest.mark.parametrize("name", TEXTS)
def test_other_separators_do_not_end_a_line(tmp_path: Path, name: str, separator: str) -> None:
    # JSON allows control characters only as escapes.
    escaped = separator if separator >= " " or ".json" not in name else f"\\u{ord(separator):04x}"
    path = write(tmp_path, name, TEXTS[name].replace("plain", f"plain{escaped}text"))
    assert both(path)[1] == {"text": f"plain{separator}text"}


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("name", TEXTS)
def test_line_ends_and_blank_lines_do_not_change_the_rows(
    tmp_path: Path, name: str, blank: int, last: bool, end: str
) -> None:
    text = TEXTS[name].replace("\n", end * (blank + 1))
    path = write(tmp_path, name, end * blank + (text if last else text.rstrip()))
    assert both(path, "label") == CELLS


def test_a_carriage_return_within_a_json_line_or_a_text_does_not_end_it(tmp_path: Path) -> None:
    from tests.unit.table_files import predict_rows

    json_lines = write(tmp_path, "a.jsonl", '{"text":\r"a"}\r\n{"text": "b"}\n')
    assert both(json_lines) == [{"text": "a"}, {"text": "b"}]
    texts = write(tmp_path, "a.txt", "10%\r20%\ndone")
    assert predict_rows(texts) == [{"text": "10%\r20%"}, {"text": "done"}]


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        (["a\r", "\nb\n", "c"], ["a\r\n", "b\n", "c"]),
        (["a\r", "b"], ["a\r", "b"]),
        (["a\rb", "\rc\r"], ["a\r", "b\r", "c\r"]),
        (["a\nb\r", "c\n\n"], ["a\n", "b\rc\n", "\n"]),
        (["a", "b", "\n"], ["ab\n"]),
        (["a", "\r"], ["a\r"]),
        ([], []),
    ],
)
def test_the_chunks_of_a_text_do_not_change_its_lines(chunks: list[str], lines: list[str]) -> None:
    assert list(split_lines(chunks)) == lines


def test_a_line_end_that_two_chunks_share_ends_one_line(tmp_path: Path) -> None:
    from stream.tables.packing import CHUNK_BYTES

    head = "text,label\r\n"
    body = "x" * (CHUNK_BYTES - len(head) - 3)
    path = write(tmp_path, "a.csv", f"{head}{body},a\r\nlast,b\r\n")
    assert both(path, "label") == [{"text": body, "label": "a"}, {"text": "last", "label": "b"}]
    single = write(tmp_path, "b.jsonl", b'{"text": "' + b"x" * (CHUNK_BYTES - 13) + b'"}\r\r{"text": "y"}')
    assert [len(row["text"]) for row in both(single)] == [CHUNK_BYTES - 13, 1]


@pytest.mark.parametrize("encoding", ["rot13", "zip", "hex", "unicode_escape", "raw_unicode_escape", "idna"])
def test_codecs_that_are_no_encodings_of_files_are_refused(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(UsageError, match=r"--encoding .* is unknown"):
        train_rows(write(tmp_path, "a.csv", "text\na\n"), encoding=encoding)
