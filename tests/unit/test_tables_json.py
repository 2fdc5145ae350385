"""JSON lines and JSON arrays, as `predict` and `train` read them."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from stream.errors import UsageError
from stream.predict.row_reader import Columns, RowReader
from stream.records import DeadLetter, Decoder, Source
from stream.routes import RouteOptions
from tests.unit.table_files import both, refused, train_rows, write
from trainer.data.files import read_table

LINES_AND_ARRAY = ["a.jsonl", "a.json"]


def rows_file(folder: Path, name: str, *rows: str) -> Path:
    """Write rows of JSON text as lines, or as an array for .json."""
    text = f"[{','.join(rows)}]" if name.endswith(".json") else "".join(f"{row}\n" for row in rows)
    return write(folder, name, text)


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("start", ["", "\n  "])
def test_an_array_has_the_rows_of_json_lines(tmp_path: Path, start: str, indent: int | None) -> None:
    rows = [{"text": "a", "label": "x"}, {"text": 'b\n"c"', "label": None}]
    lines = write(tmp_path, "lines.json", start + "\n".join(map(json.dumps, rows)))
    array = write(tmp_path, "array.json", start + json.dumps(rows, indent=indent))
    assert both(lines, "label") == both(array, "label") == rows


def test_columns_are_those_of_all_rows(tmp_path: Path) -> None:
    path = rows_file(tmp_path, "a.jsonl", '{"text": "a"}', '{"label": "x", "text": "b"}')
    assert read_table(path).columns == ["text", "label"]


@pytest.mark.parametrize("name", LINES_AND_ARRAY)
def test_members_of_metadata_are_columns(tmp_path: Path, name: str) -> None:
    path = rows_file(
        tmp_path,
        name,
        '{"text": "a", "metadata": {"shop": "x", "other": 1}}',
        '{"text": "b", "shop": "y"}',
        '{"text": "c", "metadata": {"shop": "z"}, "shop": "z"}',
        '{"text": "d", "metadata": "none"}',
    )
    assert [row["shop"] for row in both(path, "shop")] == ["x", "y", "z", None]
    twice = rows_file(tmp_path, name, '{"text": "a"}', '{"text": "b", "metadata": {"shop": 1}, "shop": 2}')
    assert "2 has 'shop' and, with another value, a member 'shop' of metadata" in refused(twice, "shop").cause


@pytest.mark.parametrize("name", LINES_AND_ARRAY)
@pytest.mark.parametrize(
    ("number", "value"),
    [
        ("1", 1),
        ("1.50", 1.5),
        ("NaN", None),
        ("-Infinity", None),
        ("true", True),
        ("123456789012345678", 123456789012345678),
        ("-12345678901234567890123", "-12345678901234567890123"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_numbers_keep_their_value(tmp_path: Path, name: str, number: str, value: Any) -> None:
    path = rows_file(tmp_path, name, f'{{"text": "a", "label": {number}}}')
    assert both(path, "label") == [{"text": "a", "label": value}]


@pytest.mark.parametrize("name", LINES_AND_ARRAY)
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"text": "b", "label": "x", "label": "y"}', "2 has the key 'label' twice, with different values"),
        ('{"text": "b", "c": [{"d": {"e": 1, "e": 2}}]}', "2 has the key 'e' twice"),
    ],
)
def test_a_key_with_two_values_is_refused(tmp_path: Path, name: str, row: str, message: str) -> None:
    path = rows_file(tmp_path, name, '{"text": "a", "text": "a"}', row)
    assert message in refused(path).cause


ODD_ROWS = {
    '{"text": ': "decode",
    '{"text": "\\ud800"}': "decode",
    '{"text": "a", "label": ["\\udc00x"]}': "decode",
    '{"\\uD800": "a"}': "decode",
    '"a text"': "schema",
    '["a", "b"]': "schema",
    "1": "schema",
    "null": "schema",
    "[" * 100_000: "decode",
    '{"text": ' + "[" * 600 + "]" * 600 + "}": "decode",
}


@pytest.mark.parametrize("row", ODD_ROWS)
def test_a_line_that_is_no_object_is_refused_by_train_and_a_failed_row_of_predict(
    tmp_path: Path, row: str
) -> None:
    path = rows_file(tmp_path, "a.jsonl", '{"text": "a"}', "", row, '{"text": "b"}')
    with pytest.raises(UsageError) as error:
        train_rows(path)
    assert "line 3 " in error.value.cause
    rows = list(RowReader(path, Columns()).rows())
    assert [row.offset for row in rows] == [1, 3, 4]
    decoder = Decoder(RouteOptions(), max_event_bytes=2**20, max_text_chars=1000)
    first, odd, last = decoder.decode_all(Source("row", 0), rows)
    assert isinstance(odd, DeadLetter)
    assert odd.reason == ODD_ROWS[row]
    assert not isinstance(first, DeadLetter)
    assert not isinstance(last, DeadLetter)


@pytest.mark.parametrize("row", ["1", '"a"', "null", "[1]", '{"text": "\\ud800"}'])
def test_an_element_that_is_no_object_is_refused_by_train_and_a_failed_row_of_predict(
    tmp_path: Path, row: str
) -> None:
    path = rows_file(tmp_path, "a.json", '{"text": "a"}', row)
    with pytest.raises(UsageError) as error:
        train_rows(path)
    assert "element 2 " in error.value.cause
    rows = list(RowReader(path, Columns()).rows())
    decoder = Decoder(RouteOptions(), max_event_bytes=2**20, max_text_chars=1000)
    assert isinstance(decoder.decode_all(Source("row", 0), rows)[1], DeadLetter)


def test_the_time_for_an_array_grows_with_its_length(tmp_path: Path) -> None:
    rows = [f'{{"text": "\\ud83d\\ude00 {number}"}}' for number in range(20_000)]
    started = time.process_time()
    assert len(read_table(rows_file(tmp_path, "a.json", *rows)).rows) == len(rows)
    # Work on the whole text for each element takes minutes.
    assert time.process_time() - started < 10


def test_surrogate_pairs_and_escaped_backslashes_are_characters(tmp_path: Path) -> None:
    path = rows_file(tmp_path, "a.jsonl", '{"text": "\\ud83d\\ude00"}', '{"text": "C:\\\\udata"}')
    assert both(path) == [{"text": "\U0001f600"}, {"text": "C:\\udata"}]


def test_an_array_in_a_file_of_json_lines_is_refused_and_the_fix_works(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '[{"text": "a"}, {"text": "b"}]\n')
    assert "--format json" in refused(path).fix
    assert both(path, format="json") == [{"text": "a"}, {"text": "b"}]


@pytest.mark.parametrize("name", LINES_AND_ARRAY)
def test_an_object_on_several_lines_is_refused_and_the_fix_works(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, '{\n  "text": "a"\n}\n{\n  "text": "b"\n}\n')
    error = refused(path)
    assert "line 1 holds only '{'" in error.cause
    command = error.fix.partition(": ")[2]
    assert command == f"jq -c . < {path} > corrected{path.suffix}"


@pytest.mark.parametrize(
    "content", ['[{"text": "a"},', '[{"text": "a"}] x', '{"text": 1', "[NaN", "text\na\n"]
)
def test_a_file_that_is_not_json_is_refused(tmp_path: Path, content: str) -> None:
    assert "is not JSON" in refused(write(tmp_path, "a.json", content)).cause
