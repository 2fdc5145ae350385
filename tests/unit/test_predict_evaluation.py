"""`labelstream predict --evaluate-with`: exact figures, and labels that are refused or mapped."""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import Result

from stream.bundle import Bundle
from stream.errors import UsageError
from stream.predict import run as prediction_run
from stream.predict.evaluation import Evaluation
from stream.predict.gold_labels import GoldLabels, read_names
from stream.predict.metrics import LabelFigures, LabelSetFigures, NumberFigures
from tests.real.kinds import BY_NAME
from tests.unit.predict_command import lines, make_bundles, run

USED = ("single", "abstain", "ordinal", "many", "regression", "token")
metrics = pytest.importorskip("sklearn.metrics")
label = st.sampled_from("abcd")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    return make_bundles(tmp_path_factory.mktemp("kinds"), USED)


def figure(result: Result, name: str) -> float:
    found = re.search(rf"{name} (-?[\d.]+)", result.stderr)
    assert found is not None, result.stderr
    return float(found[1])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(label, label), min_size=1, max_size=40))
def test_figures_of_labels_are_those_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    counted = LabelFigures()
    for gold, predicted in pairs:
        counted.add(gold, predicted)
    golds, predictions = ([pair[side] for pair in pairs] for side in (0, 1))
    with warnings.catch_warnings(action="ignore"):
        expected = metrics.f1_score(golds, predictions, average="macro", zero_division=0)
    assert counted.figures() == pytest.approx(
        {"accuracy": metrics.accuracy_score(golds, predictions), "macro-F1": expected}
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sets(label), st.sets(label)), min_size=1, max_size=40))
def test_figures_of_label_sets_are_those_of_scikit_learn(pairs: list[tuple[set[str], set[str]]]) -> None:
    counted = LabelSetFigures()
    for gold, predicted in pairs:
        counted.add(gold, predicted)
    used = [at for at, name in enumerate("abcd") if any(name in one | other for one, other in pairs)]
    golds, predictions = (
        np.array([[name in pair[side] for name in "abcd"] for pair in pairs], dtype=int) for side in (0, 1)
    )
    expected: dict[str, float] = {"exact match": sum(gold == got for gold, got in pairs) / len(pairs)}
    for average in ("macro", "micro"):
        score = metrics.f1_score(golds, predictions, labels=used, average=average, zero_division=0)
        expected[f"{average}-F1"] = score if used else 0.0
    assert counted.figures() == pytest.approx(expected)


number = st.integers(-50, 50).map(lambda value: value / 4)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(number, number), min_size=1, max_size=40))
def test_figures_of_numbers_are_those_of_scipy(pairs: list[tuple[float, float]]) -> None:
    stats = pytest.importorskip("scipy.stats")
    counted = NumberFigures()
    for gold, predicted in pairs:
        counted.add(gold, predicted)
    golds, predictions = np.array(pairs).T
    varies = len(set(golds.tolist())) > 1 and len(set(predictions.tolist())) > 1
    expected = {
        "MAE": metrics.mean_absolute_error(golds, predictions),
        "RMSE": metrics.root_mean_squared_error(golds, predictions),
        "Pearson": stats.pearsonr(golds, predictions).statistic if varies else 0.0,
        "Spearman": stats.spearmanr(golds, predictions).statistic if varies else 0.0,
    }
    assert counted.figures() == pytest.approx(expected, abs=1e-9)


def test_the_command_prints_figures_beside_unchanged_predictions(
    bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    texts = ("my card", "refund", "a", "parcel rain")
    (first, second, third, fourth) = lines(
        run(bundles["single"], *(word for text in texts for word in ("--text", text))).stdout
    )
    wrong = next(name for name in BY_NAME["single"].labels if name != second["label"])
    gold = [first["label"], wrong, f" {third['label']} ", None]
    source = tmp_path / "in.jsonl"
    rows = [{"text": text, "team": team} for text, team in zip(texts, gold, strict=True)]
    source.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in [*rows, {"text": "", "team": wrong}]))
    result = run(bundles["single"], "--input", source, "--evaluate-with", "team", "--top-k", "1")
    assert [line.get("label") for line in lines(result.stdout)] == [
        *(line["label"] for line in (first, second, third, fourth)),
        None,
    ]
    assert figure(result, "accuracy") == pytest.approx(2 / 3, abs=1e-4)
    assert "on 3 rows; not counted: 1 row without a value, 1 row without a prediction" in result.stderr


def test_every_kind_of_head_is_evaluated(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    texts = ("my card", "refund", "a", "parcel rain")
    words = [word for text in texts for word in ("--text", text)]

    def evaluated(name: str, member: str) -> Result:
        gold = [line.get(member) for line in lines(run(bundles[name], *words).stdout)]
        rows = [{"text": text, "gold": value} for text, value in zip(texts, gold, strict=True)]
        source = tmp_path / f"{name}.jsonl"
        source.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
        return run(bundles[name], "--input", source, "--evaluate-with", "gold")

    assert figure(evaluated("many", "labels"), "exact match") == 1
    assert figure(evaluated("regression", "value"), "MAE") == 0
    ordinal = evaluated("ordinal", "label")
    assert figure(ordinal, "accuracy") == 1
    assert figure(ordinal, "MAE") > 0


def test_a_bundle_that_abstains_is_evaluated_by_its_best_label_and_on_the_answered_rows(
    bundles: dict[str, Bundle],
) -> None:
    evaluation = Evaluation(bundles["abstain"].manifest, "gold")
    best_first = {"billing": 0.5, "refund": 0.3, "delivery": 0.2}
    for row, (gold, answer) in enumerate(
        [("billing", None), ("refund", "billing"), ("billing", "billing")], 1
    ):
        evaluation.add({"gold": gold}, {"label": answer, "scores": best_first}, row)
    (line,) = evaluation.lines()
    assert "accuracy 0.6667, " in line
    assert "answered 0.6667, accuracy of the answered 0.5000 on 3 rows" in line


@pytest.mark.parametrize(
    ("name", "flags", "message", "fix"),
    [
        ("single", ("--evaluate-with", "zzz"), "nothing to evaluate", "--evaluate-with"),
        ("single", ("--evaluate-with", "other"), "no label of the column", "--evaluate-with"),
        ("single", ("--evaluate-with", "number"), "holds the number 0", "--label-names"),
        ("single", ("--evaluate-with", "upper"), "holds 'BILLING'", "as the bundle has them"),
        ("single", ("--evaluate-with", "list"), "holds a list", "one label"),
        ("many", ("--evaluate-with", "flags"), "a list of 0 and 1", "list of names"),
        ("regression", ("--evaluate-with", "text"), "holds 'my card'", "plain numbers"),
        ("token", ("--evaluate-with", "text"), "cannot be used", "labelstream evaluate"),
        ("single", ("--label-names", "x"), "only with --evaluate-with", "--evaluate-with"),
        ("single", ("--evaluate-with", "text", "--explain"), "with --explain", "remove --explain"),
    ],
)
def test_a_column_that_cannot_be_compared_is_refused_and_the_output_kept(
    bundles: dict[str, Bundle], tmp_path: Path, name: str, flags: tuple[str, ...], message: str, fix: str
) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    cells = {"other": "nobody", "number": 0, "upper": "BILLING", "list": ["billing"], "flags": [1, 0, 0, 1]}
    source.write_bytes(orjson.dumps({"text": "my card", **cells}))
    out.write_text("old")
    output = () if "--explain" in flags else ("--output", out)
    with pytest.raises(UsageError, match=message) as refused:
        run(bundles[name], "--input", source, *flags, *output)
    assert fix in refused.value.fix
    assert out.read_text() == "old"


def test_a_column_that_a_csv_file_lacks_is_refused_before_the_model_loads(
    bundles: dict[str, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def load(*_: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(prediction_run, "open_model", load)
    source = tmp_path / "in.csv"
    source.write_text("text,label\nmy card,billing\n")
    with pytest.raises(UsageError, match="no column 'labels'") as refused:
        run(bundles["single"], "--input", source, "--evaluate-with", "labels")
    assert "'label'" in refused.value.fix
    with pytest.raises(UsageError, match="no column 'team'") as refused:
        run(bundles["single"], "--input", source, "--evaluate-with", "team")
    assert refused.value.fix == "name the column with the labels"


@pytest.mark.parametrize("cell", ["", "NULL", "\\N", " nan ", "#N/A", None])
def test_missing_values_are_those_of_training(bundles: dict[str, Bundle], cell: str | None) -> None:
    assert GoldLabels(bundles["single"].manifest, "gold").one(cell, 1) is None
    assert GoldLabels(bundles["many"].manifest, "gold").several(cell, 1) is None
    evaluation = Evaluation(bundles["regression"].manifest, "stars")
    evaluation.add({"stars": 2}, {"value": 1.0}, 1)
    for missing in (cell, "n/a", "-"):
        evaluation.add({"stars": missing}, {"value": 1.0}, 2)
    assert "on 1 row; not counted: 3 rows without a value" in evaluation.lines()[0]


def test_unknown_labels_count_as_wrong_and_are_named(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    (one,) = lines(run(bundles["single"], "--text", "my card").stdout)
    source = tmp_path / "in.csv"
    source.write_text(f"text,gold\nmy card,{one['label']}\nmy card,fraud\nmy card,fraud\n")
    result = run(bundles["single"], "--input", source, "--evaluate-with", "gold")
    assert figure(result, "accuracy") == pytest.approx(1 / 3, abs=1e-4)
    assert "2 labels that the bundle does not have count as wrong: 'fraud'" in result.stderr
    source.write_text(f"text,gold\nmy card,{one['label']}\nmy card,fraud\n")
    result = run(bundles["single"], "--input", source, "--evaluate-with", "gold")
    assert "1 label that the bundle does not have counts as wrong: 'fraud'" in result.stderr


def test_ids_are_mapped_by_the_file_of_names(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    (one,) = lines(run(bundles["single"], "--text", "my card").stdout)
    order = sorted(BY_NAME["single"].labels, reverse=True)
    files = {
        "n.txt": "\n".join(order).encode() + b"\n",
        "n.json": orjson.dumps(order),
        "ids.json": orjson.dumps({str(at): name for at, name in enumerate(order)}),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        source = tmp_path / "in.csv"
        source.write_text(f"text,gold\nmy card,{order.index(one['label'])}\nmy card,-1\n")
        flags = ("--evaluate-with", "gold", "--label-names", tmp_path / name)
        result = run(bundles["single"], "--input", source, *flags)
        assert figure(result, "accuracy") == 1
        assert "on 1 row; not counted: 1 row without a value" in result.stderr
        source.write_text("text,gold\nmy card,3\n")
        with pytest.raises(UsageError, match="the number 3"):
            run(bundles["single"], "--input", source, *flags)
    for wrong, message in (("x\ny\n", "has no label of the bundle"), ("billing\nbilling\n", "twice")):
        (tmp_path / "n.txt").write_text(wrong)
        with pytest.raises(UsageError, match=message):
            read_names(tmp_path / "n.txt", bundles["single"].manifest)


def test_numbers_match_labels_of_the_same_number(bundles: dict[str, Bundle]) -> None:
    manifest = bundles["single"].manifest.model_copy(update={"labels": ["1", "2", "2.5"]})
    labels = GoldLabels(manifest, "stars")
    assert [labels.one(cell, 1) for cell in (1, 2.0, "2.50", " 1 ", "nan", None, 7)] == [
        *("1", "2", "2.5", "1", None, None, "7")
    ]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (["angry", "urgent"], {"angry", "urgent"}),
        ('["angry", "urgent"]', {"angry", "urgent"}),
        ("['angry']", {"angry"}),
        ("angry|urgent", {"angry", "urgent"}),
        ("angry, urgent", {"angry", "urgent"}),
        ("angry;other, label", {"angry", "other, label"}),
        ("angry", {"angry"}),
        ([], set()),
        ("[]", set()),
        ("", None),
        (None, None),
    ],
)
def test_cells_with_several_labels(bundles: dict[str, Bundle], cell: Any, expected: set[str] | None) -> None:
    assert GoldLabels(bundles["many"].manifest, "tags").several(cell, 1) == expected


def test_an_evaluation_without_rows_names_the_column(bundles: dict[str, Bundle]) -> None:
    evaluation = Evaluation(bundles["regression"].manifest, "stars")
    evaluation.add({"stars": ""}, {"value": 1.0}, 1)
    with pytest.raises(UsageError, match="nothing to evaluate") as refused:
        evaluation.lines()
    assert "column 'stars'" in refused.value.cause
