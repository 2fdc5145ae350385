"""Each example of docs/data.md is read as the page says."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from trainer.config import DataConfig
from trainer.data.read import read_data

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```(csv|jsonl|conll) (.+?)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
LEAST_ROWS = 3


def test_the_page_has_an_example_of_every_task() -> None:
    found = {told.split()[0] for _, told, _ in EXAMPLES}
    assert found == {"single-label", "multi-label", "regression", "pair", "token"}


@pytest.mark.parametrize(("ending", "told", "text"), EXAMPLES)
def test_an_example_is_read(tmp_path: Path, ending: str, told: str, text: str) -> None:
    task, *flags = shlex.split(told)
    wanted: dict[str, Any] = {"task": task}
    if flags:
        assert flags[0] == "--label-columns"
        wanted["label_columns"] = flags[1].split(",")
    path = tmp_path / f"data.{ending}"
    header, body = text.split("\n", 1) if ending == "csv" else ("", text)
    path.write_text("\n".join(filter(None, [header, *["\n" * (ending == "conll") + body] * LEAST_ROWS])))
    data = read_data(path, DataConfig(**wanted))
    assert len(data.examples) == 2 * LEAST_ROWS
    assert not data.no_text
    assert not data.no_label
