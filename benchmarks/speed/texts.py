"""Real texts: banking77 and women's clothing reviews where there is a folder of them, else the sample."""

import csv
import gzip
import random
from pathlib import Path

import orjson

from benchmarks.speed.context import NotRun
from stream.sample import sample_path

SETS = {
    "banking77": (("banking77/test.csv", "banking77/train.csv"), "text"),
    "womens_clothing": (("womens_clothing/*.csv",), "Review Text"),
}


def text_sets(data: Path | None) -> dict[str, list[str]]:
    """Texts by the set's name, in a shuffled order that is always the same.

    Raises:
        NotRun: a folder was given that has none of them.
    """
    if data is None:
        found = {"sample": _read([sample_path()], "text")}
    else:
        found = {name: _read(_files(data, patterns), column) for name, (patterns, column) in SETS.items()}
        found = {name: texts for name, texts in found.items() if texts}
    if not found:
        raise NotRun(f"{data} has neither {' nor '.join(SETS)}")
    for texts in found.values():
        random.Random(7).shuffle(texts)
    return found


def unique_texts(texts: list[str], count: int) -> list[str]:
    """So many texts: the set over and over, each text with a number of its own at its end."""
    return [f"{texts[number % len(texts)]} {number}" for number in range(count)]


def random_texts(bundle: Path, count: int, mean_tokens: int) -> list[str]:
    """Random words of one token each, in numbers about a mean that counts the two special tokens."""
    vocabulary = orjson.loads((bundle / "tokenizer.json").read_bytes())["model"]["vocab"]
    words = [word for word in vocabulary if word.isascii() and word.isalpha() and len(word) > 2]
    chance = random.Random(7)
    lengths = [max(1, round(chance.gammavariate(2, (mean_tokens - 2) / 2))) for _ in range(count)]
    return [" ".join(chance.choices(words, k=length)) for length in lengths]


def write_texts(file: Path, texts: list[str]) -> Path:
    """Write a JSON string a line, for another process."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"".join(orjson.dumps(text) + b"\n" for text in texts))
    return file


def read_texts(file: Path) -> list[str]:
    """Read what `write_texts` wrote."""
    return [orjson.loads(line) for line in file.read_bytes().splitlines()]


def _files(data: Path, patterns: tuple[str, ...]) -> list[Path]:
    return [file for p in patterns for file in sorted([*data.glob(p), *data.glob(f"{p}.gz")])]


def _read(files: list[Path], column: str) -> list[str]:
    texts = []
    for file in files:
        # newline="": fields hold line breaks.
        opened = gzip.open if file.suffix == ".gz" else open
        with opened(file, "rt", encoding="utf-8", newline="") as lines:
            texts += [row[column].strip() for row in csv.DictReader(lines) if row[column].strip()]
    return texts
