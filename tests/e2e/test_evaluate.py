"""`labelstream evaluate` on a tiny bundle, in real processes."""

import asyncio
import contextlib
import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score

from stream.bundle import open_bundle
from stream.classify import TextInput
from tests.e2e.test_train_tiny import labelstream
from tests.real.tiny_bundle import LABELS, TEXTS, make_tiny_bundle
from trainer.evaluation.bundle_model import open_bundle_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    room = tmp_path_factory.mktemp("room")
    make_tiny_bundle(room / "bundles")
    with (room / "tickets.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "body", "label", "note"))
        for n in range(36):
            writer.writerow(
                (n, f"{TEXTS[n % 12]} <script> é {n}", LABELS[n % 12 // 2], "a\r\nb" if n else "")
            )
        writer.writerow((36, " ", "bug", ""))
        writer.writerow((37, "something new", "unknown", ""))
    return room


def test_the_results_equal_those_of_predict_and_an_unmet_figure_has_its_own_exit_code(room: Path) -> None:
    done = labelstream(
        *("evaluate", "tiny", "tickets.csv", "--text-column", "body", "--compare", "tiny@1"),
        *("--min", "accuracy=0.99", "--min", "f1[bug]=0"),
        cwd=room,
    )
    assert done.returncode == 8, done.stderr
    assert "accuracy" in done.stderr
    assert "f1[bug]" not in done.stderr
    for text in ("36 of 38 rows", "1 rows without text", "'unknown'", "is named labelstream_label"):
        assert text in done.stdout
    folder = room / "results" / "tiny" / "1"
    table = pd.read_csv(folder / "predictions.csv", keep_default_na=False)
    assert table["note"].tolist() == ["", *["a\r\nb"] * 35]
    predicted = labelstream(
        *("predict", "tiny", "--input", "tickets.csv", "--text-column", "body", "--output", "out.jsonl"),
        cwd=room,
    )
    assert predicted.returncode == 0, predicted.stderr
    lines = [json.loads(line) for line in (room / "out.jsonl").read_text().splitlines()][:36]
    assert table["labelstream_label"].tolist() == [line["label"] for line in lines]
    assert table["score"].tolist() == pytest.approx([line["score"] for line in lines], abs=2e-6)
    found = json.loads((folder / "metrics.json").read_text())
    gold, answers = table["gold"], table["labelstream_label"]
    assert found["metrics"]["accuracy"] == pytest.approx(accuracy_score(gold, answers))
    assert found["metrics"]["macro_f1"] == pytest.approx(f1_score(gold, answers, average="macro"))
    assert found["data"]["left_out"] == {"no_text": 1, "no_label": 0, "unknown_label": 1}
    assert [outcome["met"] for outcome in found["requirements"]] == [False, True]
    assert found["comparison"]["mcnemar"]["p_value"] == 1.0
    errors = pd.read_csv(folder / "errors.csv")
    assert len(errors) == (gold != answers).sum()
    assert errors["confidence"].is_monotonic_decreasing
    for name in ("classification_report.txt", "flips.csv", "report.html", "confusion.csv"):
        assert (folder / name).is_file()


def test_wrong_names_are_refused_before_the_model_is_loaded(room: Path) -> None:
    for flags, message in (
        (("--min", "macrof1=0.9"), "did you mean macro_f1?"),
        (("--split", "test"), "leave --split out"),
        (("--label-column", "labl"), "--label-column label"),
    ):
        done = labelstream("evaluate", "tiny", "tickets.csv", "--text-column", "body", *flags, cwd=room)
        assert done.returncode == 2
        assert message in done.stderr
    assert "torch" not in done.stdout


async def test_rows_are_answered_in_a_notebook_whose_event_loop_runs(room: Path) -> None:
    bundle = open_bundle("tiny", room / "bundles")
    with contextlib.closing(open_bundle_model(bundle, "fp32", "cpu")) as model:
        rows = [TextInput(text) for text in TEXTS]
        seen: list[int] = []
        here = model.answer(rows, seen.append)
        elsewhere = await asyncio.to_thread(model.answer, rows)
        assert sum(seen) == len(rows)
        assert np.array_equal(np.array(here.logits), np.array(elsewhere.logits))

        def interrupt(_: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            model.answer(rows, interrupt)
