"""Quotes that join rows or are part of a text by mistake, as `predict` and `train` read them."""

import subprocess
from pathlib import Path

import pytest

from tests.unit.table_files import both, refused, write


def with_odd_quotes(delimiter: str, first: int, last: int, *, rows: int = 30) -> list[str]:
    """Return the lines of texts and labels; the text of one row begins with a quote, another ends with it."""
    lines = [f"hello {n}{delimiter}{'ab'[n % 2]}" for n in range(rows)]
    lines[first] = f'"{lines[first]}'
    lines[last] = f'by {last} "{delimiter}a'
    return [f"text{delimiter}label", *lines]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(("first", "last"), [(3, 9), (0, 1), (28, 29), (0, 29)])
def test_rows_that_odd_quotes_join_are_refused(tmp_path: Path, delimiter: str, first: int, last: int) -> None:
    lines = with_odd_quotes(delimiter, first, last)
    path = write(tmp_path, "a.csv", "\n".join(lines))
    error = refused(path)
    assert f"the quote in line {first + 2} joins {last - first + 1} lines into one row" in error.cause
    assert "--quoting none" in error.fix
    assert len(both(path, "label", quoting="none")) == 30


@pytest.mark.parametrize(
    ("header", "row", "joined"),
    [
        ("label,text", "a,hello", 'a,"hello\nb,hello 4\nb,by "'),
        ("id,text", "17,hello", '18,"hello\n19,hello 4\n20,by "'),
        ("id,text", "msg-17,hello", 'msg-18,"hello\nmsg-19,hello 4\nmsg-20,by "'),
        ("text,score", "hello,1.5", '"hello,2.25\nhello 4,3.125\n\nby ",4.5'),
        ("id,text,label", "1,hello,b", '2,"hello,a\n3,hello,a\n4,by ",b'),
    ],
)
def test_joined_rows_are_found_by_any_column(tmp_path: Path, header: str, row: str, joined: str) -> None:
    other = row.replace("a,", "b,")
    path = write(tmp_path, "a.csv", "\n".join([header, row, row, other, other, joined, row, row]))
    assert "the quote in line 6 joins" in refused(path).cause


@pytest.mark.parametrize("delimiter", [",", ";"])
@pytest.mark.parametrize(
    "text",
    [
        "Hi{d}\nthanks",
        "Dear Ann{d} it is late\nPlease send it{d} soon\nBob",
        "salt{d} 1\nflour{d} 2\nsugar",
        "first\n\nsecond\nthird",
        "a\nb",
    ],
)
def test_texts_of_several_lines_are_read(tmp_path: Path, delimiter: str, text: str) -> None:
    text = text.format(d=delimiter)
    rows = [(f"row {n}", "ab"[n % 2]) for n in range(12)]
    lines = [f"{first}{delimiter}{label}" for first, label in [("text", "label"), *rows]]
    path = write(tmp_path, "a.csv", "\n".join([*lines, f'"{text}"{delimiter}a', f'"{text}"{delimiter}b', ""]))
    assert both(path, "label")[-2:] == [{"text": text, "label": "a"}, {"text": text, "label": "b"}]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("text", ["hello there", "hello, there; \t you"])
def test_quotes_after_spaces_are_refused_and_the_fix_works(tmp_path: Path, delimiter: str, text: str) -> None:
    lines = [["id", "text", "label"], ["1", "héllo", "ham"], ["2", f'"{text}"', "spam"]]
    path = write(tmp_path, "a b.csv", "".join(f"{delimiter} ".join(line) + "\n" for line in lines))
    error = refused(path, text=" text")
    assert "line 3 has" in error.cause
    command = error.fix[error.fix.index("PYTHONIOENCODING") :]
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    assert both(tmp_path / "corrected.csv", "label") == [
        {"text": "héllo", "label": "ham"},
        {"text": text, "label": "spam"},
    ]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('id,text,label\n1, "a b",x\n2, "c",y\n', 2),
        ('id,text,label\n1, a b,x\n2, "c",y\n3, d,x\n', 3),
        ('id,label,text\n1,x, "a, b"\n', 2),
        ('id,text,label\n1,a,x\n2, "c", y\n', 3),
    ],
)
def test_a_column_of_spaces_and_quotes_is_refused(tmp_path: Path, content: str, line: int) -> None:
    error = refused(write(tmp_path, "a.csv", content))
    assert f"line {line} has" in error.cause
    assert "skipinitialspace" in error.fix


def test_texts_that_begin_with_a_space_and_a_quote_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'id,text,label\n1, "a" b,x\n2,"  ""c""",y\n3, "e",z\n4,d,x\n')
    assert [row["text"] for row in both(path)] == [' "a" b', '  "c"', ' "e"', "d"]
    quoted = write(tmp_path, "b.csv", 'id,text\n1," ""a"""\n2," ""b"""\n')
    assert [row["text"] for row in both(quoted)] == [' "a"', ' "b"']


def test_the_fix_for_escaped_delimiters_works(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'text,label\nx\\, \\"y\\",a\nz,b\n')
    error = refused(path)
    assert "line 2 has 3 fields" in error.cause
    subprocess.run(error.fix.partition(": ")[2], shell=True, cwd=tmp_path, check=True)
    assert both(tmp_path / "corrected.csv", "label") == [
        {"text": 'x, "y"', "label": "a"},
        {"text": "z", "label": "b"},
    ]


def test_lines_above_the_header_are_refused_and_the_fix_works(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "# exported 2024\ntext,label\nx,a\n")
    error = refused(path, text="# exported 2024")
    assert "line 2 has 2 fields, the header has 1" in error.cause
    command = error.fix[error.fix.index("tail") :]
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    assert both(tmp_path / "corrected.csv", "label") == [{"text": "x", "label": "a"}]
