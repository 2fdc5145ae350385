"""Every example in docs/data.md can be read as documented."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from trainer.config import DataConfig
from trainer.data.read import read_data

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```(csv|jsonl|conll) (.+?)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
REPETITIONS = 3


def test_the_page_has_an_example_of_every_task() -> None:
    tasks = {info.split()[0] for _, info, _ in EXAMPLES}
    assert tasks == {"single-label", "multi-label", "regression", "pair", "token"}


@pytest.mark.parametrize(("suffix", "info", "text"), EXAMPLES)
def test_an_example_can_be_read(tmp_path: Path, suffix: str, info: str, text: str) -> None:
    task, *flags = shlex.split(info)
    options: dict[str, Any] = {"task": task}
    if flags:
        assert flags[0] == "--label-columns"
        options["label_columns"] = flags[1].split(",")
    path = tmp_path / f"data.{suffix}"
    header, body = text.split("\n", 1) if suffix == "csv" else ("", text)
    path.write_text("\n".join(filter(None, [header, *["\n" * (suffix == "conll") + body] * REPETITIONS])))
    data = read_data(path, DataConfig(**options))
    assert len(data.examples) == 2 * REPETITIONS
    assert not data.no_text
    assert not data.no_label
