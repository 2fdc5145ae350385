"""Texts that may stand for a missing value: they are learnt, and the notes count them."""

import json
from pathlib import Path

import pytest

from tests.unit.label_files import notes
from trainer.config import DataConfig
from trainer.data.read import read_data


@pytest.mark.parametrize(
    "text", ["NA", "nan", "None", "NULL", "<NA>", "#NAME?", " n/a ", "\u200b", "\ufeff\u200b"]
)
def test_texts_that_may_be_missing_values_are_counted(tmp_path: Path, text: str) -> None:
    path = tmp_path / "data.jsonl"
    rows = [{"text": f"t{n}", "label": "ab"[n % 2]} for n in range(6)]
    path.write_text("\n".join(map(json.dumps, [*rows, *[{"text": text, "label": "a"}] * 2])))
    data = read_data(path)
    assert len(data.examples) == 8
    assert f"texts that may be missing values, and are learnt as texts: {text.strip()!r} (2)" in notes(data)
    path.write_text("\n".join(map(json.dumps, rows)))
    assert "may be missing values" not in notes(read_data(path))


def test_the_second_text_of_a_pair_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("text,text_pair,label\n" + "x,NA,a\ny,z,b\n" * 3)
    assert "'NA' (3)" in notes(read_data(path, DataConfig(task="pair")))
