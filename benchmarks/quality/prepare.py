"""Input files for `labelstream train`: splits of sets without published ones, and small samples."""

import csv
import gzip
import io
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import orjson

from benchmarks.quality.sets import CLOTHES
from trainer.data.sources import split_from_name

T = TypeVar("T")
Row = dict[str, str]

TEST_EVERY = 5
IMBALANCE_EVERY = 6
QUICK_ROWS = {"train": 900, "validation": 150, "test": 150}


class NoDataError(Exception):
    """The data folder lacks a set, or its files are not as expected."""


def by_row_number(rows: Iterable[tuple[int, T]], every: int = TEST_EVERY) -> dict[str, list[T]]:
    """Split rows: numbers divisible by `every` form the test part, all others the training part.

    Args:
        rows: the rows with their numbers, from 0; the numbers may have gaps.
        every: the divisor.
    """
    parts: dict[str, list[T]] = {"train": [], "test": []}
    for number, row in rows:
        parts["test" if number % every == 0 else "train"].append(row)
    return parts


def thin(units: Sequence[T], limit: int) -> list[T]:
    """Keep at most `limit` units, evenly spaced, so that sorted data keep as many labels as possible."""
    return list(units[:: max(1, -(-len(units) // limit))])


def sms_spam(data: Path) -> dict[str, list[Row]]:
    """Read messages and their labels; quotation marks are part of the text."""
    lines = _text(data / "sms_spam", "SMSSpamCollection*").split("\n")
    rows = [line.rstrip("\r").split("\t", 1) for line in lines if line]
    # Some mirrors add a header to the published file.
    rows = rows[rows[0] == ["Label", "SMS"] :]
    return by_row_number(
        (number, {"text": text, "label": label}) for number, (label, text) in enumerate(rows)
    )


def womens_clothing(data: Path) -> dict[str, list[Row]]:
    """Read reviews with a text: title and review, the recommendation, and the metadata."""
    rows = csv.DictReader(io.StringIO(_text(data / "womens_clothing", "*.csv*"), newline=""))
    reviews: list[tuple[int, Row]] = []
    for number, row in enumerate(rows):
        if row["Review Text"].strip():
            text = f"{row['Title']} {row['Review Text']}".strip()
            metadata = {name: row[name] for name in CLOTHES}
            reviews.append((number, {"text": text, "recommended": row["Recommended IND"], **metadata}))
    return by_row_number(reviews)


def imbalance(data: Path) -> dict[str, list[Row]]:
    """Read the rows of goemotions with exactly one label; every sixth of them in the training part."""
    folder = data / "goemotions"
    names = _text(folder, "labels.txt").split("\n")
    parts: dict[str, list[Row]] = {}
    for part, pattern in (("train", "train.tsv*"), ("validation", "dev.tsv*"), ("test", "test.tsv*")):
        cells = [line.split("\t") for line in _text(folder, pattern).split("\n") if line]
        rows = [{"text": text, "label": names[int(ids)]} for text, ids, _ in cells if "," not in ids]
        parts[part] = rows[::IMBALANCE_EVERY] if part == "train" else rows
    return parts


PREPARED: Mapping[str, Callable[[Path], dict[str, list[Row]]]] = {
    "sms_spam": sms_spam,
    "womens_clothing": womens_clothing,
    "imbalance": imbalance,
    "imbalance_short": imbalance,
}
"""Readers of the sets that need prepared files; the others are read directly."""


def prepare(name: str, source: str, data: Path, work: Path, *, quick: bool) -> str:
    """Prepare the files of a set in the work folder; the data folder is only read.

    Args:
        name: the name of the set.
        source: the path of its data, with DATA or WORK for the folder.
        data: the folder of all data sets.
        work: the output folder.
        quick: whether to keep only a few rows.

    Returns:
        The source argument of `labelstream train`, with DATA or WORK for the folder.

    Raises:
        NoDataError: the set is not in the data folder.
    """
    source_folder = Path(source.replace("DATA", str(data), 1))
    if name in PREPARED:
        parts = PREPARED[name](data)
        if quick:
            parts = {part: thin(rows, QUICK_ROWS[part]) for part, rows in parts.items()}
        _write(work / name, parts)
        return f"WORK/{name}"
    if not source_folder.is_dir():
        raise NoDataError(f"the folder {source_folder} does not exist")
    if not quick:
        return source
    _recreate(work / name)
    for file in sorted(source_folder.iterdir()):
        if part := split_from_name(file.name.removesuffix(".gz").rpartition(".")[0]):
            target = work / name / file.name.removesuffix(".gz")
            target.write_text("".join(_sample(_read(file), QUICK_ROWS[part])), encoding="utf-8", newline="")
    return f"WORK/{name}"


def read_rows(file: Path) -> list[Row]:
    """Read the rows of a prepared file."""
    return [orjson.loads(line) for line in file.read_bytes().splitlines()]


def _sample(text: str, limit: int) -> Iterator[str]:
    """Yield a sample of a file: sentences between blank lines, or else lines, always with the first line."""
    if "\n\n" in text:
        yield from (f"{sentence}\n\n" for sentence in thin(text.split("\n\n"), limit))
        return
    head, *lines = text.splitlines(keepends=True)
    yield from (head, *thin(lines, limit))


def _write(folder: Path, parts: Mapping[str, list[Row]]) -> None:
    _recreate(folder)
    for part, rows in parts.items():
        (folder / f"{part}.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))


def _recreate(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _text(folder: Path, pattern: str) -> str:
    files = sorted(folder.glob(pattern))
    if len(files) != 1:
        raise NoDataError(f"{folder} has {len(files) or 'no'} files {pattern}; exactly one is required")
    return _read(files[0])


def _read(file: Path) -> str:
    content = file.read_bytes()
    return (gzip.decompress(content) if file.suffix == ".gz" else content).decode("utf-8-sig")
