"""Advice of refusals: each fix gives the right data."""

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stream.errors import UsageError
from trainer.config import DataConfig
from trainer.data.conll import read_conll
from trainer.data.read import read_data

CONLL = "EU{s}B-ORG\nrejects{s}O\n\nPeter{s}B-PER\n,{s}O\n"


def refusal(path: Path, **config: Any) -> UsageError:
    with pytest.raises(UsageError) as error:
        read_data(path, DataConfig(**config))
    return error.value


def rows(label: str, count: int, text: str) -> str:
    return "".join(f'{{"text": "{text} {n}", "label": {label}}}\n' for n in range(count))


@pytest.mark.parametrize("withheld", ["-1", "-1.0", '"-1"'])
@pytest.mark.parametrize("names", [True, False])
def test_a_test_part_without_labels_is_named(tmp_path: Path, withheld: str, names: bool) -> None:
    labels = ['"ham"', '"spam"'] if names else ["0", "1"]
    train = rows(labels[0], 20, "hello") + rows(labels[1], 20, "bye")
    (tmp_path / "train.jsonl").write_text(train)
    (tmp_path / "test.jsonl").write_text(rows(withheld, 7, "new"))
    error = refusal(tmp_path)
    assert error.message == "the labels of test.jsonl are withheld: all 7 are -1"
    assert error.fix.startswith("leave test.jsonl out, so that its split is cut from the other rows")
    assert len(read_data(tmp_path / "train.jsonl").examples) == 40


def test_a_label_of_minus_one_is_read(tmp_path: Path) -> None:
    train = rows("-1", 20, "bad") + rows("0", 20, "fair") + rows("1", 20, "good")
    (tmp_path / "train.jsonl").write_text(train)
    (tmp_path / "test.jsonl").write_text(rows("-1", 7, "awful"))
    assert list(read_data(tmp_path).labels) == ["-1", "0", "1"]


@pytest.mark.parametrize(
    ("header", "rest"),
    [("I was charged twice", "billing"), ("5", "I was charged twice"), ("Where is my card?", "12")],
)
def test_the_fix_for_a_file_without_header_works(tmp_path: Path, header: str, rest: str) -> None:
    path = tmp_path / "data.csv"
    labels = [rest if " " in header else header, "11"]
    cells = [(f"hello {n}", labels[n % 2]) for n in range(18)]
    others = [",".join(row if " " in header else row[::-1]) for row in cells]
    path.write_text("\n".join([f"{header},{rest}", *others]))
    error = refusal(path)
    flags = re.search(r"--no-header --text-column (\d) --label-column (\d)", error.fix)
    assert flags is not None, error.fix
    text = flags[1]
    assert ([header, rest][int(text) - 1]).count(" ") == 3
    data = read_data(path, DataConfig(no_header=True, text_column=text, label_column=flags[2]))
    assert len(data.examples) == 19
    assert refusal(path, text_column="text", label_column="label").fix.startswith(
        "if the first line is a row"
    )


def test_names_of_columns_are_quoted_for_the_shell(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("It's Review Text,label\na,x\nb,y\n")
    error = refusal(path, text_column="Its Review Text")
    assert shlex.split(error.fix) == ["--text-column", "It's Review Text"]


@pytest.mark.parametrize("separator", [",", ";", "|", "\u00a0", "\u3000"])
@pytest.mark.parametrize("columns", [2, 3])
def test_other_separators_of_conll_are_named_and_the_fix_works(
    tmp_path: Path, separator: str, columns: int
) -> None:
    path = tmp_path / "data.conll"
    middle = separator if columns == 2 else f"{separator}NN{separator}"
    content = CONLL if columns == 2 else CONLL.replace("\n,", "\n.")
    path.write_text(content.format(s=middle), encoding="utf-8")
    error = refusal(path, task="token")
    assert "neither a tab nor a space" in error.cause
    assert read_after(error.fix, path) == [("EU", "B-ORG"), ("rejects", "O"), ("Peter", "B-PER")]


def read_after(fix: str, path: Path) -> list[tuple[str, str]]:
    """Return the first three words and tags of a file that the command of a fix corrects."""
    command = f"{fix.partition(': ')[2]} < {path} > {path.with_name('corrected.conll')}"
    subprocess.run(command, shell=True, check=True)
    lines = path.with_name("corrected.conll").read_text(encoding="utf-8")
    read = read_conll(lines.splitlines(keepends=True), "corrected.conll")
    assert len(read.rows) == 2
    assert read.default_columns is not None
    words, tags = ([cell for row in read.rows for cell in row[name]] for name in read.default_columns)
    return list(zip(words, tags, strict=True))[:3]


@pytest.mark.parametrize("mark", ["<s>", '<doc id="1">', "<text id=1>"])
def test_marks_of_a_corpus_are_refused_and_the_fix_works(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "data.conll"
    path.write_text(f"{mark}\nEU B-ORG\nrejects O\n</s>\n{mark}\nPeter B-PER\n</s>\n")
    error = refusal(path, task="token")
    assert f"line 1 is a mark of the corpus, and not a word: {mark!r}" in error.cause
    assert read_after(error.fix, path) == [("EU", "B-ORG"), ("rejects", "O"), ("Peter", "B-PER")]


def test_numbers_in_json_are_texts(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(json.dumps({"text": n, "label": "ab"[n % 2]}) for n in range(20)))
    assert [example.text for example in read_data(path).examples[:3]] == ["0", "1", "2"]
