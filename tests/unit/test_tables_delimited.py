"""Delimiters, quotes, headers and widths of CSV and TSV files, as `predict` and `train` read them."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from stream.errors import UsageError
from tests.unit.table_files import both, predict_rows, refused, train_rows, write


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt", "a"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "quoted", ["Hello", '"Hello, you; and\tme"', '"say ""no"""', '"two\nlines"', ' "x" ']
)
def test_the_delimiter_is_recognised(tmp_path: Path, name: str, delimiter: str, quoted: str) -> None:
    lines = [["id", "text", "label"], ["1", quoted, "ham"], ["2", '5" nails', "spam"]]
    path = write(tmp_path, name, "".join(delimiter.join(line) + "\n" for line in lines))
    text = quoted if quoted.startswith(" ") else quoted.strip('"').replace('""', '"')
    text = text if quoted != '"say ""no"""' else 'say "no"'
    assert both(path, "id", "label") == [
        {"text": text, "id": "1", "label": "ham"},
        {"text": '5" nails', "id": "2", "label": "spam"},
    ]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("text, free;label", "Hello;ham"),
        ("text;label", "Hello, you;ham"),
        ("text;label", "a, b, c;ham"),
        ("text,label", "a; b; c,ham"),
    ],
)
def test_a_delimiter_that_fits_only_the_header_is_not_chosen(tmp_path: Path, header: str, row: str) -> None:
    delimiter = ";" if ";" in header else ","
    text, label = header.split(delimiter)
    path = write(tmp_path, "a.csv", f"{header}\n{row}\n{row}\n")
    expected = dict(zip((text, label), row.split(delimiter), strict=True))
    assert both(path, label, text=text) == [expected, expected]


def test_a_delimiter_that_two_readings_fit_is_refused_and_the_fix_works(tmp_path: Path) -> None:
    error = refused(write(tmp_path, "a.csv", "text,label;note\nHello; you,ham\n"))
    assert "commas and semicolons both fit" in error.cause
    path = write(tmp_path, "a.csv", 'text,"label;note"\nHello; you,ham\n')
    assert both(path, "label;note") == [{"text": "Hello; you", "label;note": "ham"}]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_header_within_the_rows_is_refused(tmp_path: Path, mark: str) -> None:
    path = write(tmp_path, "a.csv", f"text,label\na,b\n{mark}text,label\nc,d\n")
    assert "line 3 repeats the header" in refused(path).cause


def test_a_text_column_that_a_text_file_lacks_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "my card\nrefund\n")
    with pytest.raises(UsageError, match="no column 'body'"):
        predict_rows(path, text="body")
    assert [row["body"] for row in predict_rows(path, text="body", format="text")] == ["my card", "refund"]


def test_the_delimiter_that_excel_reads_is_obeyed(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'sep=;\r\ntext;label\r\n"a\nb";x\r\nHello, you, there;y\r\n')
    assert both(path, "label") == [
        {"text": "a\nb", "label": "x"},
        {"text": "Hello, you, there", "label": "y"},
    ]
    path = write(tmp_path, "b.csv", "sep=;\r\ntext;label\r\na;b;c\r\n")
    assert "line 3 has 3 fields" in refused(path).cause


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("a.csv", "id,text\n1,ok\n2,Hello, please cancel\n", "line 3 has 3 fields, the header has 2 (row 2)"),
        ("a.csv", "id,text\n\n1,ok\n\n2\n", "line 5 has 1 fields, the header has 2 (row 2)"),
        ("a.csv", 'id,text\n1,"a\nb"\n2,c,d\n', "line 4 has 3 fields, the header has 2 (row 2)"),
        ("a.csv", "text\nHello, please cancel\n", "line 2 has 2 fields, the header has 1 (row 1)"),
        ("a.tsv", "id\ttext\n1\ta\tb\n", "line 2 has 3 fields, the header has 2 (row 1)"),
        ("a.txt", "id;text\n1;a;b\n", "line 2 has 3 fields, the header has 2 (row 1)"),
        (
            "a.csv",
            "id,text\n" + "1,a\n" * 999 + "2,a,b\n",
            "line 1001 has 3 fields, the header has 2 (row 1000)",
        ),
        ("a.csv", 'id,text\n1, "a, b"\n', "line 2 has 3 fields, the header has 2 (row 1)"),
        ("a.csv", 'text,label\n"open,a\nb,c\n', "the quote in line 2 is not closed"),
        ("a.csv", 'text,label\na,b\n"x" y,a\n', "line 3: ',' expected after '\"'"),
        ("a.csv", "text,label\na\rb,c\n", "line 2 has a carriage return outside quotes"),
        ("a.csv", "text,label,label\na,b,c\n", "two columns have the same name: 'label'"),
    ],
)
def test_a_row_that_does_not_fit_the_header_is_refused(
    tmp_path: Path, name: str, content: str, cause: str
) -> None:
    assert cause in refused(write(tmp_path, name, content)).cause


def test_the_fix_for_escaped_quotes_works(tmp_path: Path) -> None:
    path = write(tmp_path, "a b.csv", 'text,label\n"say \\"no\\", please",ham\n')
    subprocess.run(refused(path).fix.partition(": ")[2], shell=True, cwd=tmp_path, check=True)
    corrected = both(tmp_path / "corrected.csv", "label")
    assert corrected == [{"text": 'say "no", please', "label": "ham"}]


def test_quotes_are_text_with_quoting_none(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", 'text\tlabel\n"open\tham\nsay ""no""\tspam\n')
    assert "--quoting none" in refused(path).fix
    assert both(path, quoting="none") == [{"text": '"open'}, {"text": 'say ""no""'}]


def test_columns_without_header_are_numbered(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "ham,Hello\nspam,Buy\n")
    assert both(path, "1", text="2", header=False) == [{"2": "Hello", "1": "ham"}, {"2": "Buy", "1": "spam"}]
    ragged = write(tmp_path, "b.csv", "ham,Hello\nspam,Buy,now\n")
    with pytest.raises(UsageError, match="cannot be read as CSV") as error:
        train_rows(ragged, text="2", header=False)
    assert "line 2 has 3 fields, the first line has 2 (row 2)" in error.value.cause


def test_columns_without_a_name_are_numbered(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", ",text,label,,\n0,a,x,,\n1,b,y,,\n")
    assert both(path, "column 1", "label", "column 4")[1] == {
        "text": "b", "column 1": "1", "label": "y", "column 4": "",
    }  # fmt: skip


def test_a_single_column_is_read(tmp_path: Path) -> None:
    expected = [{"text": "a"}, {"text": ""}, {"text": "b, c"}]
    assert both(write(tmp_path, "a.csv", 'text\na\n""\n\n"b, c"\n')) == expected
    assert both(write(tmp_path, "a.tsv", 'text\na\n""\nb, c\n')) == expected


def test_lines_of_white_space_are_not_rows_but_rows_of_empty_cells_are(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "  \n,\ntext,label\na,b\n  \n,\nc,d\n\t\n")
    assert both(path, "label") == [
        {"text": "a", "label": "b"},
        {"text": "", "label": ""},
        {"text": "c", "label": "d"},
    ]


@pytest.mark.parametrize("content", ["", "\n", " \n\t\n", "\ufeff", "\ufeff\r\n"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.json", "a.txt", "a.csv.gz", "a.zst", "a"])
def test_a_file_without_content_is_refused(tmp_path: Path, name: str, content: str) -> None:
    error = refused(write(tmp_path, name, "" if name.endswith(("gz", "zst")) else content))
    assert "holds no rows" in error.message


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", "text,label\n"), ("a.tsv", "text\tlabel\n\n\n"), ("a.json", "[]")]
)
def test_a_file_with_only_a_header_is_refused(tmp_path: Path, name: str, content: str) -> None:
    assert "holds no rows" in refused(write(tmp_path, name, content)).message


@pytest.mark.parametrize(
    ("content", "options", "texts"),
    [
        ("my card\n\nHello, you\n", {}, ["my card", "", "Hello, you"]),
        ("\n\nmy card\n", {}, ["", "", "my card"]),
        ('{"text": "a"}\n', {}, ['{"text": "a"}']),
        ("text\tlabel\na\tb\n", {}, ["a"]),
        ("label;text\nb;a\n", {}, ["a"]),
        ("label;text\nb;a\n", {"format": "text"}, ["label;text", "b;a"]),
        ('"quoted"\n', {}, ['"quoted"']),
        ("a,b\n", {"header": False, "text": "2"}, ["b"]),
    ],
)
def test_predict_reads_a_text_file_by_line_unless_its_header_has_the_text_column(
    tmp_path: Path, content: str, options: dict[str, Any], texts: list[str]
) -> None:
    name = options.get("text", "text")
    rows = predict_rows(write(tmp_path, "a.txt", content), **options)
    assert [row[name] for row in rows] == texts
