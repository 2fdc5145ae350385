"""Tables with one word per row, which hold no sentences."""

import csv
from pathlib import Path

import pytest

from tests.unit.label_files import refusal, targets
from trainer.config import DataConfig
from trainer.data.read import read_data

WORDS = [("Anna", "B-PER"), ("van", "I-PER"), ("Dam", "I-PER"), ("lives", "O"), ("here", "O")]
SENTENCE = ("New York is big", "B-LOC I-LOC O O")


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("word", "tag"), *rows])
    return path


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (WORDS, "every row holds a single word; data.csv, row 1 holds 'Anna'"),
        ([(word, tag.lower()) for word, tag in WORDS], "every row holds a single word"),
        ([(word, tag[:1]) for word, tag in WORDS], "every row holds a single word"),
        ([*WORDS, SENTENCE], "5 of 6 rows hold a single word"),
        ([*WORDS * 12, SENTENCE], "60 of 61 rows hold a single word"),
        ([(f"w{n}", "NN") for n in range(60)] + [("New York", "NN NN")], "60 of 61 rows"),
    ],
)
def test_a_table_with_one_word_per_row_is_refused(
    tmp_path: Path, rows: list[tuple[str, str]], message: str
) -> None:
    error = refusal(write(tmp_path / "data.csv", rows), task="token")
    assert message in error.message
    assert ".conll" in error.fix


@pytest.mark.parametrize(
    "rows",
    [
        [("Anna", "B-PER"), ("hello", "O"), ("Paris", "B-LOC"), SENTENCE],
        [("Anna", "I-PER"), ("Ben", "O"), SENTENCE],
        [*WORDS, SENTENCE, SENTENCE, SENTENCE],
    ],
)
def test_a_few_sentences_of_one_word_are_accepted(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    data = read_data(write(tmp_path / "data.csv", rows), DataConfig(task="token"))
    assert len(targets(data)) == len(rows)
