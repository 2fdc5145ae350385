"""`labelstream predict`: the columns of the input in the output, and the shapes of the scores."""

import csv
import io
from pathlib import Path

import orjson
import pytest

from stream.bundle import Bundle
from stream.errors import UsageError
from tests.real.kinds import BY_NAME
from tests.unit.predict_command import lines, make_bundles, run

USED = ("single", "abstain", "ordinal", "many", "regression", "pair", "token")
LABELS = BY_NAME["single"].labels


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    return make_bundles(tmp_path_factory.mktemp("kinds"), USED)


def table(path: Path, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_text()), delimiter=delimiter))


CSV = 'id,text,ticket,"odd, <b>name</b> é"\n7,my card,T-1,x\n8, ,T-2,"a, b"\n'


def test_all_columns_follow_the_prediction(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(CSV)
    plain, _ = lines(run(bundles["single"], "--text", "my card", "--text", "b").stdout)
    one, two = lines(run(bundles["single"], "--input", source).stdout)
    assert list(one) == ["row", "id", "text", "label", "score", "scores", "ticket", "odd, <b>name</b> é"]
    assert {name: one[name] for name in ("label", "score", "scores")} == {
        name: plain[name] for name in ("label", "score", "scores")
    }
    # A row that fails keeps its columns, and the text that the decoder refused.
    assert two["error"].startswith("empty")
    assert (two["id"], two["text"], two["ticket"], two["odd, <b>name</b> é"]) == ("8", " ", "T-2", "a, b")
    run(bundles["single"], "--input", source, "--output", out)
    header, first, second = table(out)
    assert header == ["row", "id", "text", "label", "score", "scores", "error", *list(one)[-2:]]
    assert first[:4] == ["1", "7", "my card", one["label"]]
    assert first[-2:] == ["T-1", "x"]
    assert second[-2:] == ["T-2", "a, b"]


def test_chosen_columns_and_none(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.tsv"
    source.write_text(CSV)
    bare, _ = lines(run(bundles["single"], "--input", source, "--columns", "none").stdout)
    assert list(bare) == ["row", "id", "text", "label", "score", "scores"]
    run(bundles["single"], "--input", source, "--columns", '"odd, <b>name</b> é",text', "--output", out)
    header, first, _ = table(out, "\t")
    assert header == ["row", "id", "text", "label", "score", "scores", "error", "odd, <b>name</b> é"]
    assert (first[2], first[-1]) == ("my card", "x")
    with pytest.raises(UsageError, match="no column 'tickets'") as refused:
        run(bundles["single"], "--input", source, "--columns", "tickets")
    assert "'ticket'" in refused.value.fix
    with pytest.raises(UsageError, match="empty name"):
        run(bundles["single"], "--input", source, "--columns", "a,,b")


def test_columns_with_the_names_of_the_output_are_renamed_alike_in_all_rows(
    bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    source = tmp_path / "in.csv"
    source.write_text("text,label,input_label,error,scores\nmy card,gold,other,e,s\n")
    result = run(bundles["single"], "--input", source)
    (one,) = lines(result.stdout)
    assert one["label"] in LABELS
    assert (one["input_input_label"], one["input_label"]) == ("gold", "other")
    assert (one["input_error"], one["input_scores"]) == ("e", "s")
    assert "label as input_input_label, error as input_error, scores as input_scores" in result.stderr
    again = tmp_path / "again.jsonl"
    again.write_text('{"text":"a","label":"gold"}\n{"text":"b","input_label":"other","label":"g2"}\n')
    first, second = lines(run(bundles["single"], "--input", again).stdout)
    assert first["input_label"] == "gold"
    assert second["input_label"] == "g2"
    assert second["input_input_label"] == "other"


def test_the_text_is_kept_under_its_own_name_too(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"message":"my card","text":"unrelated","text_pair":"second"}\n')
    result = run(bundles["single"], "--input", source, "--text-column", "message")
    (one,) = lines(result.stdout)
    assert (one["text"], one["message"], one["input_text"]) == ("my card", "my card", "unrelated")
    assert one["text_pair"] == "second"
    other = ("--text-column", "message", "--text-pair-column", "text")
    (pair,) = lines(run(bundles["pair"], "--input", source, *other).stdout)
    assert (pair["text"], pair["text_pair"]) == ("my card", "unrelated")
    assert (pair["input_text"], pair["input_text_pair"]) == ("unrelated", "second")


def test_a_csv_output_of_json_rows_has_the_fields_of_all_rows(
    bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    rows = [{"text": "a", "n": 1}, *[{"text": "b"}] * 600, {"text": "c", "tags": ["x", {"y": None}]}]
    source, out = tmp_path / "in.jsonl", tmp_path / "out.csv"
    source.write_bytes(b"not json\n" + b"".join(orjson.dumps(row) + b"\n" for row in rows))
    run(bundles["single"], "--input", source, "--output", out)
    header, broken, first, *_, last = table(out)
    assert header[-3:] == ["error", "n", "tags"]
    assert broken[header.index("error")].startswith("decode")
    assert (first[-2], last[-1]) == ("1", '["x",{"y":null}]')
    assert len(table(out)) == 604
    chosen = run(bundles["single"], "--input", source, "--output", out, "--columns", "n,zzz")
    assert table(out)[0][-3:] == ["error", "n", "zzz"]
    assert "no row has the column zzz" in chosen.stderr


@pytest.mark.parametrize("name", ["single", "abstain", "ordinal", "many"])
def test_wide_scores_have_every_label_in_the_order_of_the_bundle(
    bundles: dict[str, Bundle], name: str, tmp_path: Path
) -> None:
    texts = [word for text in ("my card", "refund", "a") for word in ("--text", text)]
    plain = lines(run(bundles[name], *texts).stdout)
    # The shape shows every label, whatever the number of labels in `scores`.
    for line, wide in zip(
        plain, lines(run(bundles[name], *texts, "--scores", "wide", "--top-k", "1").stdout), strict=True
    ):
        names = [f"score_{label}" for label in BY_NAME[name].labels]
        assert [key for key in wide if key.startswith("score_")] == names
        assert {key.removeprefix("score_"): wide[key] for key in names} == line["scores"]
        assert {k: v for k, v in wide.items() if k not in names} == {
            k: v for k, v in line.items() if k != "scores"
        }
    out = tmp_path / "out.csv"
    run(bundles[name], "--text", "my card", "--scores", "wide", "--output", out)
    header, cells = table(out)
    assert "scores" not in header
    assert [float(cells[header.index(key)]) for key in names] == [
        plain[0]["scores"][label] for label in BY_NAME[name].labels
    ]


@pytest.mark.parametrize("name", ["single", "abstain", "ordinal", "many"])
def test_long_scores_have_a_line_for_each_label(
    bundles: dict[str, Bundle], name: str, tmp_path: Path
) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("id,text,n\n1,my card,5\n2,,6\n")
    plain = lines(run(bundles[name], "--input", source).stdout)[0]
    *found, failed = lines(run(bundles[name], "--input", source, "--scores", "long").stdout)
    assert [(line["label"], line["score"]) for line in found] == list(plain["scores"].items())
    assert [line["rank"] for line in found] == [*range(1, len(found) + 1)]
    predicted = plain["labels"] if name == "many" else [plain["label"]] if plain.get("label") else []
    assert [line["label"] for line in found if line["predicted"]] == predicted
    assert {(line["row"], line["id"], line["n"]) for line in found} == {(1, "1", "5")}
    assert all(line.get("value") == plain.get("value") for line in found)
    assert (failed["row"], failed["n"], failed["error"][:5]) == (2, "6", "empty")
    run(bundles[name], "--input", source, "--scores", "long", "--top-k", "2", "--output", out)
    header, *rows = table(out)
    assert header[:7] == ["row", "id", "text", "label", "score", "rank", "predicted"]
    # Two labels, or more if the bundle predicts more; then the row that failed.
    assert [row[0] for row in rows] == ["1"] * max(2, len(predicted)) + ["2"]


def test_no_scores(bundles: dict[str, Bundle]) -> None:
    for name in ("single", "many", "regression", "token"):
        (plain,) = lines(run(bundles[name], "--text", "my card").stdout)
        (without,) = lines(run(bundles[name], "--text", "my card", "--scores", "none").stdout)
        assert without == {key: value for key, value in plain.items() if key != "scores"}


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("regression", "wide", "needs a score for each label"),
        ("token", "long", "needs a score for each label"),
        ("single", "tall", "tall is not valid"),
    ],
)
def test_a_shape_that_the_bundle_lacks_is_refused(
    bundles: dict[str, Bundle], name: str, shape: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        run(bundles[name], "--text", "a", "--scores", shape)
    assert refused.value.fix
