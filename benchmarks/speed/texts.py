"""Real texts: banking77 and women's clothing reviews from a data folder, or else the packaged sample."""

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
    """Return the texts of each set by name, in a fixed random order.

    Raises:
        NotRun: the data folder contains none of the sets.
    """
    if data is None:
        sets = {"sample": _read([sample_path()], "text")}
    else:
        sets = {name: _read(_files(data, patterns), column) for name, (patterns, column) in SETS.items()}
        sets = {name: texts for name, texts in sets.items() if texts}
    if not sets:
        raise NotRun(f"{data} has neither {' nor '.join(SETS)}")
    for texts in sets.values():
        random.Random(7).shuffle(texts)
    return sets


def unique_texts(texts: list[str], count: int) -> list[str]:
    """Return `count` texts: the set repeated, with a unique number at the end of each text."""
    return [f"{texts[number % len(texts)]} {number}" for number in range(count)]


def random_texts(bundle: Path, count: int, mean_tokens: int) -> list[str]:
    """Return texts of random one-token words whose lengths are gamma-distributed about the mean.

    The mean includes the two special tokens.
    """
    vocabulary = orjson.loads((bundle / "tokenizer.json").read_bytes())["model"]["vocab"]
    words = [word for word in vocabulary if word.isascii() and word.isalpha() and len(word) > 2]
    random_source = random.Random(7)
    lengths = [max(1, round(random_source.gammavariate(2, (mean_tokens - 2) / 2))) for _ in range(count)]
    return [" ".join(random_source.choices(words, k=length)) for length in lengths]


def write_texts(file: Path, texts: list[str]) -> Path:
    """Write one JSON string per line, for another process."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"".join(orjson.dumps(text) + b"\n" for text in texts))
    return file


def read_texts(file: Path) -> list[str]:
    """Read a file that `write_texts` wrote."""
    return [orjson.loads(line) for line in file.read_bytes().splitlines()]


def _files(data: Path, patterns: tuple[str, ...]) -> list[Path]:
    return [file for p in patterns for file in sorted([*data.glob(p), *data.glob(f"{p}.gz")])]


def _read(files: list[Path], column: str) -> list[str]:
    texts = []
    for file in files:
        # newline="" is necessary because fields contain line breaks.
        open_file = gzip.open if file.suffix == ".gz" else open
        with open_file(file, "rt", encoding="utf-8", newline="") as lines:
            texts += [row[column].strip() for row in csv.DictReader(lines) if row[column].strip()]
    return texts
