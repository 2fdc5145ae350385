"""`labelstream predict`: files and standard input with the flags for their format."""

import gzip
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer
from typer.testing import CliRunner

from stream.bundle import Bundle
from stream.commands.predict import predict
from stream.errors import UsageError
from tests.real.kinds import BY_NAME, make_bundle_of


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle_of(BY_NAME["single"], tmp_path_factory.mktemp("store"))


def run(bundle: Bundle, *arguments: object, stdin: bytes = b"") -> list[dict[str, Any]]:
    app = typer.Typer()
    app.command()(predict)
    words = [str(bundle.path), "--device", "cpu", *map(str, arguments)]
    result = CliRunner().invoke(app, words, input=stdin, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return [orjson.loads(line) for line in result.stdout.splitlines()]


def test_predict_reads_standard_input(bundle: Bundle) -> None:
    expected = run(bundle, "--text", "my card", "--text", "refund")
    for stdin in (
        b"my card\nrefund\n",
        b'{"text": "my card"}\n{"text": "refund"}',
        b"text;n\nmy card;1\nrefund;2\n",
    ):
        options = ("--input", "-", "--columns", "none")
        assert run(bundle, *options, stdin=stdin) == expected
        assert run(bundle, *options, stdin=gzip.compress(stdin)) == expected
    (raw,) = run(bundle, "--input", "-", "--format", "text", stdin=b'{"text": "my card"}')
    assert raw["text"] == '{"text": "my card"}'


def test_the_flags_of_predict_describe_the_file(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "a.export"
    path.write_bytes('1\t"müde\n2\tcard\n'.encode("windows-1252"))
    flags = ("--format", "tsv", "--encoding", "windows-1252", "--quoting", "none", "--no-header")
    rows = run(bundle, "--input", path, *flags, "--text-column", "2", "--id-column", "1")
    assert [(row["id"], row["text"]) for row in rows] == [("1", '"müde'), ("2", "card")]


@pytest.mark.parametrize(
    ("flag", "value"), [("--format", "xml"), ("--encoding", "utf-9"), ("--quoting", "single")]
)
def test_unknown_values_of_these_flags_are_refused(bundle: Bundle, flag: str, value: str) -> None:
    with pytest.raises(UsageError, match=flag) as error:
        run(bundle, "--input", "-", flag, value, stdin=b"text\na\n")
    assert error.value.fix


def test_a_ragged_row_is_refused_instead_of_cut(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,text\n1,ok\n2,Hello, please cancel\n")
    with pytest.raises(UsageError, match=re.escape(str(path))) as error:
        run(bundle, "--input", path)
    assert "row 2" in error.value.cause


def test_invalid_bytes_are_refused_instead_of_replaced(bundle: Bundle, tmp_path: Path) -> None:
    for name, content in (("a.txt", b"na\xefve\n"), ("a.jsonl", b'{"text": "na\xefve"}\n')):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UsageError, match="not UTF-8") as error:
            run(bundle, "--input", tmp_path / name)
        assert "0xef" in error.value.cause


def test_a_file_without_rows_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    for name in ("a.csv", "a.jsonl", "a.txt"):
        (tmp_path / name).write_text("text\n" if name == "a.csv" else "\n")
        with pytest.raises(UsageError, match="holds no rows"):
            run(bundle, "--input", tmp_path / name)
