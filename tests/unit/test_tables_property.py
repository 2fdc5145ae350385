"""Any rows, written in any supported encoding, format and compression, are read back by both commands."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.table_files import COMPRESS, both

# The zero character has a test of its own: many of them make a short file look like UTF-16.
cells = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12
) | st.sampled_from(
    [
        "Hello, you",
        'say "no"',
        "a;b\tc",
        "two\r\nlines",
        "\u2028",
        "\\n",
        "a\rb",
        "# text",
        "sep=;",
        "[x]",
        "'",
    ]
)
rows_of_cells = st.lists(st.tuples(cells, cells), min_size=1, max_size=6)
compressions = st.sampled_from(list(COMPRESS))
encodings = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-32-be", "gb18030"])


def encode(text: str, encoding: str) -> tuple[bytes, str | None]:
    """Return the encoded text, and the value of `--encoding` that it needs."""
    has_mark = encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32")
    return text.encode(encoding), None if has_mark else encoding


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


@settings(max_examples=150)
@given(
    rows_of_cells,
    encodings,
    compressions,
    st.sampled_from([".csv", ".tsv", ".txt", ""]),
    st.sampled_from(",;\t"),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_delimited_files_round_trip(
    folder: Path,
    drawn: list[tuple[str, str]],
    encoding: str,
    compression: str,
    suffix: str,
    delimiter: str,
    quoting: int,
) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, quoting=quoting)  # type: ignore[arg-type]
    writer.writerows([("text", "label"), *drawn])
    data, flag = encode(file.getvalue(), encoding)
    path = folder / f"a{suffix}{compression}"
    path.write_bytes(COMPRESS[compression](data))
    assert both(path, "label", encoding=flag) == [{"text": text, "label": label} for text, label in drawn]


@settings(max_examples=150)
@given(
    rows_of_cells,
    encodings,
    compressions,
    st.sampled_from([".jsonl", ".ndjson", ".json", ""]),
    st.sampled_from(["lines", "array", "indented array"]),
    st.sampled_from(["\n", "\r\n", "\n\n"]),
    st.booleans(),
)
def test_json_files_round_trip(
    folder: Path,
    drawn: list[tuple[str, str]],
    encoding: str,
    compression: str,
    suffix: str,
    layout: str,
    end: str,
    ascii_only: bool,
) -> None:
    rows = [{"text": text, "label": label} for text, label in drawn]
    if layout == "lines":
        text = end.join(json.dumps(row, ensure_ascii=ascii_only) for row in rows)
    else:
        indent = 1 if layout == "indented array" else None
        text = json.dumps(rows, ensure_ascii=ascii_only, indent=indent).replace("\n", end)
    if layout != "lines" and suffix in (".jsonl", ".ndjson"):
        suffix = ".json"
    data, flag = encode(text, encoding)
    path = folder / f"a{suffix}{compression}"
    path.write_bytes(COMPRESS[compression](data))
    assert both(path, "label", encoding=flag) == rows
