"""`labelstream predict` with Parquet in and out."""

import datetime
import decimal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream.bundle import Bundle
from stream.errors import UsageError
from stream.predict import parquet_output
from tests.unit.predict_command import lines, make_bundles, run

TEXTS = ["my card was charged twice", None, "where is my refund", " ", "my card was charged twice"]
DAY = datetime.datetime(2024, 5, 1, 12, 30)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    return make_bundles(tmp_path_factory.mktemp("store"), ("single", "many", "regression", "token", "pair"))


@pytest.fixture
def bundle(bundles: dict[str, Bundle]) -> Bundle:
    return bundles["single"]


def write(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of a Parquet file as its JSON line has it."""
    row = {name: value for name, value in row.items() if value is not None}
    return row | ({"scores": dict(row["scores"])} if "scores" in row else {})


@pytest.mark.parametrize("kind", ["single", "many", "regression", "token", "pair"])
def test_every_kind_of_prediction_has_the_members_of_its_json_line(
    bundles: dict[str, Bundle], kind: str, tmp_path: Path
) -> None:
    source = write(tmp_path / "in.parquet", text=TEXTS, text_pair=TEXTS[::-1], id=[*range(5)])
    output = tmp_path / "out.parquet"
    expected = lines(run(bundles[kind], "--input", source).stdout)
    run(bundles[kind], "--input", source, "--output", output)
    found = [plain(row) for row in pq.read_table(output).to_pylist()]
    assert found == [{name: value for name, value in row.items() if value is not None} for row in expected]
    assert any("error" in row for row in found)


def test_the_columns_have_types(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    source = write(tmp_path / "in.parquet", text=TEXTS)
    types: dict[str, str] = {}
    for kind, shape in (("single", ()), ("many", ()), ("single", ("--scores", "long"))):
        run(bundles[kind], "--input", source, "--output", tmp_path / "out.pq", *shape)
        types |= {field.name: str(field.type) for field in pq.read_schema(tmp_path / "out.pq")}
    expected = {"row": "int64", "id": "string", "text": "string", "label": "string", "error": "string"}
    expected |= {"score": "double", "rank": "int64", "predicted": "bool"}
    assert types == {**types, **expected}
    assert types["scores"].startswith("map<string, double")
    assert types["labels"].startswith("list<")


def test_the_columns_of_a_parquet_input_keep_their_types(bundle: Bundle, tmp_path: Path) -> None:
    columns = {
        "text": pa.array(TEXTS).dictionary_encode(),
        "id": pa.array([1, 2, 3, 4, 5], pa.uint8()),
        "when": pa.array([DAY] * 5, pa.timestamp("ns")),
        "price": pa.array([decimal.Decimal("1.50")] * 5, pa.decimal128(9, 2)),
        "tags": pa.array([["a"], [], None, ["b", "c"], ["a"]]),
        "nested": pa.array([{"x": 1, "y": "z"}] * 5),
        "label": pa.array([0, 1, 0, 1, 0]),
        "bytes": pa.array([b"\xff"] * 5),
    }
    source = write(tmp_path / "in.parquet", **columns)
    run(bundle, "--input", source, "--output", tmp_path / "out.parquet")
    found = pq.read_table(tmp_path / "out.parquet")
    for name in ("id", "price", "tags", "nested", "bytes"):
        assert found[name].to_pylist() == pq.read_table(source)[name].to_pylist()
        assert found.schema.field(name).type == columns[name].type
    assert found["input_label"].to_pylist() == [0, 1, 0, 1, 0]
    assert found["when"].to_pylist() == [DAY] * 5
    row = lines(run(bundle, "--input", source).stdout)[0]
    assert (row["when"], row["price"], row["bytes"]) == ("2024-05-01T12:30:00", "1.50", "/w==")
    run(bundle, "--input", source, "--output", tmp_path / "out.csv")
    assert "2024-05-01T12:30:00,1.50" in (tmp_path / "out.csv").read_text()


def test_the_types_of_json_columns_are_those_of_their_values(bundle: Bundle, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(
        '{"text": "my card", "stars": 5, "share": 1, "mixed": 1, "ok": true}\n'
        '{"text": "refund", "share": 0.5, "mixed": "x", "list": [1]}\n{"text": 7}\nno JSON\n'
    )
    run(bundle, "--input", source, "--output", tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    assert table["stars"].to_pylist() == [5, None, None, None]
    assert table["share"].to_pylist() == [1.0, 0.5, None, None]
    assert table["mixed"].to_pylist() == ["1", "x", None, None]
    assert table["list"].to_pylist() == [None, "[1]", None, None]
    assert table["ok"].to_pylist() == [True, None, None, None]
    assert table["text"].to_pylist() == ["my card", "refund", "7", None]
    assert [bool(error) for error in table["error"].to_pylist()] == [False, False, True, True]


def test_csv_columns_are_texts(bundle: Bundle, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("text,id,stars\nmy card,007,5\n")
    run(bundle, "--input", source, "--output", tmp_path / "out.parquet")
    (row,) = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert (row["id"], row["stars"]) == ("007", "5")


def test_a_large_output_has_several_row_groups(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_output, "ROW_GROUP_CHARS", 2_000)
    source = write(tmp_path / "in.parquet", text=["my card " * 10] * 100)
    run(bundle, "--input", source, "--output", tmp_path / "out.parquet")
    file = pq.ParquetFile(tmp_path / "out.parquet")
    assert file.num_row_groups > 3
    assert file.read()["row"].to_pylist() == [*range(1, 101)]


def test_parquet_on_standard_input(bundle: Bundle, tmp_path: Path) -> None:
    source = write(tmp_path / "in.parquet", text=TEXTS)
    words = [sys.executable, "-m", "stream", "predict", str(bundle.path), "--device", "cpu"]
    words += ["--input", "-", "--format", "parquet"]
    with source.open("rb") as file:
        done = subprocess.run(words, stdin=file, capture_output=True, check=True)
    assert len(done.stdout.splitlines()) == len(TEXTS)


REFUSED = {
    "no column 'text'": {"texts": ["a"]},
    "holds no rows": {"text": pa.array([], pa.string())},
    "holds no texts": {"text": [1, 2]},
}


@pytest.mark.parametrize("message", REFUSED)
def test_a_file_that_cannot_be_labelled_is_refused(bundle: Bundle, tmp_path: Path, message: str) -> None:
    source = write(tmp_path / "in.parquet", **REFUSED[message])
    with pytest.raises(UsageError, match=message):
        run(bundle, "--input", source, "--output", tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


def test_damaged_and_packed_files_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    source = write(tmp_path / "in.parquet", text=TEXTS)
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(source.read_bytes()[:-20])
    with pytest.raises(UsageError, match="cannot be read as Parquet"):
        run(bundle, "--input", cut)
    with pytest.raises(UsageError, match="cannot read") as raised:
        run(bundle, "--input", source.rename(tmp_path / "in.parquet.gz"))
    assert "unpack" in raised.value.fix
    with pytest.raises(UsageError, match="cannot write") as raised:
        run(bundle, "--text", "my card", "--output", tmp_path / "out.parquet.gz")
    assert ".gz" in raised.value.fix


def test_a_missing_library_names_its_extra(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "in.parquet", text=TEXTS)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for arguments in (("--input", source), ("--text", "my card", "--output", tmp_path / "out.parquet")):
        with pytest.raises(UsageError, match="need pyarrow") as raised:
            run(bundle, *arguments)
        assert "parquet" in raised.value.fix
