"""Every example in docs/data.md can be read as documented, and the conversion in docs/training.md works."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trainer.config import DataConfig
from trainer.data.read import read_data

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "data.md").read_text(encoding="utf-8")
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


def test_the_conversion_of_brat_gives_the_spans_of_every_line(tmp_path: Path) -> None:
    page = (DOCS / "training.md").read_text(encoding="utf-8")
    found = re.search(r"^```python brat_to_jsonl.py\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert found is not None
    text = "\U0001f600 Anna lives\r\nin New York.\n\nBob and\nCarl left right ear\n"
    spans = [("New York", "place"), ("Anna", "person"), ("and\nCarl", "group")]
    notes = [f"T{n}\t{k} {text.index(s)} {text.index(s) + len(s)}\t{s}\n" for n, (s, k) in enumerate(spans)]
    (tmp_path / "one.txt").write_bytes(text.encode())
    (tmp_path / "one.ann").write_text("".join([*notes, "R1\tin Arg1:T1 Arg2:T0\n"]), encoding="utf-8")
    (tmp_path / "two.txt").write_text("left and right ear\nEve\n")
    (tmp_path / "two.ann").write_text("T1\tbody 0 4;15 18\tleft ear\nT2\tperson 19 22\tEve\n")
    command = [sys.executable, "-c", found[1], str(tmp_path)]
    output = subprocess.run(command, capture_output=True, check=True).stdout
    (tmp_path / "data.jsonl").write_bytes(output)
    data = read_data(tmp_path / "data.jsonl", DataConfig(task="token", group_column="document"))
    words = [
        (example.group, example.text[start:end], tag)
        for example in data.examples
        for (start, end), tag in zip(example.word_spans, example.labels, strict=True)
        if tag != "O"
    ]
    assert words == [
        ("one", "Anna", "B-person"),
        ("one", "New", "B-place"),
        ("one", "York", "I-place"),
        ("two", "Eve", "B-person"),
    ]
    assert data.no_label == [3, 4, 5]
