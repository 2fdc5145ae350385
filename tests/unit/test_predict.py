"""`labelstream predict`: input formats, outputs of every head, and rows that fail."""

import csv
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer
from typer.testing import CliRunner

from stream.bundle import Bundle
from stream.classify import Prediction, make_head
from stream.commands.predict import predict
from stream.errors import UsageError
from stream.verify import read_reference
from tests.real.kinds import BY_NAME, KINDS
from tests.unit.predict_command import lines, make_bundles, run

ROW_MEMBERS = ("row", "id", "text", "text_pair")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    return make_bundles(tmp_path_factory.mktemp("kinds"))


def test_every_text_of_the_command_line_becomes_a_line(bundles: dict[str, Bundle]) -> None:
    result = run(bundles["single"], "--text", "my card", "--text", " ", "--text", "refund")
    one, two, three = lines(result.stdout)
    assert list(one) == ["row", "text", "label", "score", "scores"]
    assert (one["row"], one["text"]) == (1, "my card")
    assert two == {"row": 2, "error": "empty: text contains only white space"}
    assert three["row"] == 3
    assert "2 rows predicted, 1 failed: empty 1 (row 2)" in result.stderr


@pytest.mark.parametrize("name", [kind.name for kind in KINDS if kind.task != "token"])
def test_every_kind_gives_the_predictions_of_its_reference(
    bundles: dict[str, Bundle], name: str, tmp_path: Path
) -> None:
    rows, logits = read_reference(bundles[name])
    file = tmp_path / "in.jsonl"
    members = [{"text": r.text, "text_pair": r.text_pair, "metadata": r.metadata} for r in rows]
    file.write_bytes(b"".join(orjson.dumps({"id": at} | m) + b"\n" for at, m in enumerate(members)))
    printed = lines(run(bundles[name], "--input", file, "--columns", "none").stdout)
    predictions = make_head(bundles[name].manifest).predict(logits, ())
    assert [line["id"] for line in printed] == [*range(len(rows))]
    for line, expected in zip(printed, predictions, strict=True):
        assert isinstance(expected, Prediction)
        shown_members = {key: value for key, value in line.items() if key not in ROW_MEMBERS}
        assert list(shown_members) == list(expected.fields())
        for key, value in expected.fields().items():
            number = key in ("score", "scores", "value")
            assert shown_members[key] == (pytest.approx(value, abs=1e-4) if number else value)


def test_text_id_and_metadata_come_from_the_columns(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_text('message,ticket,amount,channel\n"my card, twice",a,7,email\nrefund,b,,\n,c,1,fax\n')
    result = run(bundles["metadata"], "--input", file, "--text-column", "message", "--id-column", "ticket")
    one, two, three = lines(result.stdout)
    same = tmp_path / "same.jsonl"
    same.write_text(
        '{"text":"my card, twice","metadata":{"amount":7,"channel":"email"}}\n{"text":"refund"}\n'
    )
    other = lines(run(bundles["metadata"], "--input", same).stdout)
    assert [one["scores"], two["scores"]] == [line["scores"] for line in other]
    assert (one["id"], three["id"], three["error"]) == ("a", "c", "empty: text contains only white space")
    assert "2 rows predicted, 1 failed: empty 1 (row 3)" in result.stderr


def test_a_row_without_the_text_names_its_columns(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text('{"message":"my card"}\n{"body":"refund","text":"other"}\n')
    result = run(bundles["single"], "--input", file, "--text-column", "message")
    (_, second) = lines(result.stdout)
    expected = "schema: text is missing: the event has 'body'; --text-column names another member"
    assert second["error"] == expected


def test_missing_metadata_columns_are_reported(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    file = tmp_path / "in.tsv"
    file.write_text("text\tamount\nmy card\t3\n")
    assert "no column channel: treated as missing values" in run(bundles["metadata"], "--input", file).stderr


def test_pairs_come_from_flags_and_columns_and_both_are_needed(
    bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    (flags,) = lines(run(bundles["pair"], "--text", "my card", "--text-pair", "refund").stdout)
    file = tmp_path / "in.csv"
    file.write_text("a,b\nmy card,refund\nmy card,\n")
    names = ("--text-column", "a", "--text-pair-column", "b", "--columns", "none")
    result = run(bundles["pair"], "--input", file, *names)
    one, two = lines(result.stdout)
    assert one == flags
    assert two["error"].startswith("empty: text_pair")
    (missing,) = lines(run(bundles["pair"], "--text", "my card").stdout)
    assert missing["error"].startswith("schema: text_pair is missing")
    with pytest.raises(UsageError, match="1 --text-pair for 2 --text"):
        run(bundles["pair"], "--text", "a", "--text", "b", "--text-pair", "c")


def test_invalid_json_lines_are_reported_by_row(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_bytes(b'{"text": \n[1]\n{"text": 7}\n{"other": 1}\n\n{"text": "my card"}\n')
    result = run(bundles["single"], "--input", file)
    errors = [(line["row"], line.get("error", "").partition(":")[0]) for line in lines(result.stdout)]
    assert errors == [(1, "decode"), (2, "schema"), (3, "schema"), (4, "schema"), (6, "")]
    assert "1 row predicted, 4 failed: schema 3 (row 2, 3, 4); decode 1 (row 1)" in result.stderr


def test_a_text_file_has_one_text_per_line(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    file = tmp_path / "in.txt"
    file.write_text("my card\r\nrefund")
    assert [line["text"] for line in lines(run(bundles["single"], "--input", file).stdout)] == [
        "my card",
        "refund",
    ]


@pytest.mark.parametrize("name", ["single", "ordinal", "many", "pair-regression", "token", "abstain"])
def test_csv_output_equals_the_json_lines(bundles: dict[str, Bundle], name: str, tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.csv"
    rows = [{"text": r.text, "text_pair": r.text_pair} for r in BY_NAME[name].rows]
    source.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in [*rows, {"text": ""}]))
    expected = lines(run(bundles[name], "--input", source).stdout)
    assert run(bundles[name], "--input", source, "--output", out).stdout == ""
    with out.open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert table[-1]["error"].startswith("empty")
    for cells, line in zip(table, expected, strict=True):
        assert {key for key, cell in cells.items() if cell} == {k for k, v in line.items() if v is not None}
        for key, value in line.items():
            cell = cells[key]
            assert value is None or value == (cell if isinstance(value, str) else orjson.loads(cell))


def test_jsonl_output_equals_standard_output(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    expected = run(bundles["single"], "--text", "my card").stdout
    assert run(bundles["single"], "--text", "my card", "--output", out).stdout == ""
    assert out.read_text() == expected


@pytest.mark.parametrize("name", [kind.name for kind in KINDS])
def test_explain_shows_tokens_logits_and_the_result(bundles: dict[str, Bundle], name: str) -> None:
    row, bundle = BY_NAME[name].rows[0], bundles[name]
    arguments = ["--text", row.text, *(["--text-pair", row.text_pair] if row.text_pair else [])]
    shown = run(bundle, *arguments, "--explain").stdout
    plain = run(bundle, *arguments).stdout
    shown_members = orjson.loads(plain)
    members = {key: value for key, value in shown_members.items() if key not in ROW_MEMBERS}
    assert orjson.dumps(members)[1:-1].decode() in shown
    assert row.text in shown
    assert "[CLS]" in shown
    assert "logit" in shown
    if bundle.manifest.task != "token":
        assert all(label in shown for label in bundle.manifest.labels)


def test_explain_names_a_row_without_prediction(bundles: dict[str, Bundle]) -> None:
    assert "row 1: empty:" in run(bundles["single"], "--text", " ", "--explain").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing to predict"),
        (("--text", "a", "--input", "b.csv"), "together"),
        (("--input", "b.xlsx"), "cannot read"),
        (("--input", "missing.csv"), "cannot read"),
        (("--text", "a", "--explain", "--output", "x.csv"), "--explain"),
    ],
)
def test_invalid_arguments_are_errors_with_a_fix(
    bundles: dict[str, Bundle], arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as refusal:
        run(bundles["single"], *arguments)
    assert refusal.value.fix


def test_a_file_without_the_text_column_is_an_error(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_text("id,message\n1,x\n")
    with pytest.raises(UsageError, match="no column 'text'") as refusal:
        run(bundles["single"], "--input", file)
    assert "id, message" in refusal.value.cause
    assert "--text-column" in refusal.value.fix


def test_a_csv_file_that_is_not_utf_8_is_an_error(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_bytes(b"text\nok\n\xff\xfe\n")
    with pytest.raises(UsageError, match="cannot be read as CSV"):
        run(bundles["single"], "--input", file)


def test_exports_of_annotation_tools_are_labelled(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    result = {"from_name": "label", "type": "choices", "value": {"choices": ["a"]}}
    task = {"id": 7, "data": {"text": "my card"}, "annotations": [{"result": [result]}]}
    examples: dict[str, list[Any]] = {
        "label_studio.json": [task, {**task, "data": {"text": "refund"}}],
        "spacy.json": [["my card", {"entities": [[3, 7, "x"]]}], ["refund", {"entities": []}]],
        "prodigy.json": [
            {"text": text, "_input_hash": 1, "answer": "accept"} for text in ("my card", "refund")
        ],
    }
    for name, rows in examples.items():
        for file in (tmp_path / name, (tmp_path / name).with_suffix(".jsonl")):
            written = (
                orjson.dumps(rows)
                if file.suffix == ".json"
                else b"\n".join(orjson.dumps(row) for row in rows)
            )
            file.write_bytes(written)
            predicted = lines(run(bundles["single"], "--input", file).stdout)
            assert [line["text"] for line in predicted] == ["my card", "refund"], file.name
            assert all("label" in line for line in predicted)


@pytest.mark.parametrize(
    ("content", "code"),
    [('{"other": 1}\n{"text": 5}\n', 1), ('{"other": 1}\n{"text": "my card"}\n', 0)],
)
def test_the_exit_code_says_whether_no_row_was_labelled(
    bundles: dict[str, Bundle], tmp_path: Path, content: str, code: int
) -> None:
    file, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    file.write_text(content)
    app = typer.Typer()
    app.command()(predict)
    words = [str(bundles["single"].path), "--device", "cpu", "--input", str(file), "--output", str(output)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == code
    assert "failed: schema" in result.stderr
    assert len(lines(output.read_text())) == 2
