"""Files whose rows have another shape than the name of the file says: each fix gives the rows."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stream.errors import UsageError
from tests.real.components import unavailable
from tests.unit.table_files import both, predict_rows, refused, train_rows, write

ROWS = [{"text": "a b", "label": "x"}, {"text": "it's", "label": "y"}]
NESTED: dict[str, Any] = {
    "split": {"columns": ["text", "label"], "index": [0, 1], "data": [list(row.values()) for row in ROWS]},
    "columns": {name: {str(at): row[name] for at, row in enumerate(ROWS)} for name in ("text", "label")},
    "list": {name: [row[name] for row in ROWS] for name in ("text", "label")},
    "index": {str(at): row for at, row in enumerate(ROWS)},
    "table": {"schema": {"fields": [{"name": "text"}], "pandas_version": "1.4.0"}, "data": ROWS},
    "data": {"version": 2, "data": ROWS},
    "splits": {"train": ROWS, "test": ROWS[:1]},
    "named": {"it's": ROWS},
}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
@pytest.mark.parametrize("shape", NESTED)
def test_rows_within_an_object_are_refused_and_the_fix_works(
    tmp_path: Path, shape: str, name: str, indent: int | None
) -> None:
    path = write(tmp_path, name, json.dumps(NESTED[shape], indent=indent))
    error = refused(path)
    assert "a single object" in error.cause
    if shutil.which("jq") is None:
        unavailable("jq is missing, and the fix is a command of it. Fix: apt-get install jq")
    subprocess.run(error.fix.partition(": ")[2], shell=True, cwd=tmp_path, check=True)
    assert both(tmp_path / f"corrected{path.suffix}", "label") == ROWS


@pytest.mark.parametrize(
    "row",
    [
        {"text": "a", "spans": [{"start": 0, "end": 1, "label": "x"}]},
        {"text": "a", "metadata": {"label": "x"}},
        {"text": "a", "label": ["x"]},
        {"data": {"text": "a"}, "annotations": [{"result": []}]},
    ],
)
def test_a_single_row_is_read(tmp_path: Path, row: dict[str, Any]) -> None:
    assert predict_rows(write(tmp_path, "a.json", json.dumps(row))) == [{"text": "a"}]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
@pytest.mark.parametrize("content", ["\n".join(map(json.dumps, ROWS)), json.dumps(ROWS, indent=1)])
def test_json_with_the_suffix_of_csv_is_refused_and_the_fix_works(
    tmp_path: Path, name: str, content: str
) -> None:
    path = write(tmp_path, name, content)
    flag, _, kind = refused(path).fix.partition(",")[0].removeprefix("add ").partition(" ")
    assert flag == "--format"
    assert both(path, "label", format=kind) == ROWS


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_row_names_of_r_are_refused_and_the_fix_works(tmp_path: Path, delimiter: str) -> None:
    lines = [["text", "label"], ["1", '"a b"', "x"], ["2", '"it\'s"', "y"]]
    path = write(tmp_path, "a.csv", "".join(delimiter.join(line) + "\n" for line in lines))
    error = refused(path)
    assert "line 2 has 3 fields, the header has 2" in error.cause
    assert "row.names = FALSE" in error.fix
    subprocess.run(error.fix.partition(": ")[2], shell=True, cwd=tmp_path, check=True)
    assert both(tmp_path / "corrected.csv", "label") == ROWS


def test_a_header_with_odd_quotes_is_refused(tmp_path: Path) -> None:
    assert "line 1: ',' expected" in refused(write(tmp_path, "a.csv", '"text" "label"\n"a" "x"\n')).cause


@pytest.mark.parametrize(
    ("header", "fix"),
    [
        ("id,Text", "--text-column Text"),
        ("id, text", "--text-column ' text'"),
        ("7,I was charged twice", "if the first line is a row, and no header: --no-header --text-column 2;"),
    ],
)
def test_predict_names_the_column_in_the_words_of_a_shell(tmp_path: Path, header: str, fix: str) -> None:
    with pytest.raises(UsageError) as error:
        predict_rows(write(tmp_path, "a.csv", f"{header}\n1,x\n"))
    assert error.value.fix.startswith(fix)


def test_the_words_and_tags_of_a_single_row_are_read(tmp_path: Path) -> None:
    row = {"tokens": ["Anna", "lives"], "tags": ["B-person", "O"]}
    assert train_rows(write(tmp_path, "a.json", json.dumps(row)), "tags", text="tokens") == [row]
