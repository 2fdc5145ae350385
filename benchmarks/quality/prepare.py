"""Files that `labelstream train` reads, where a set has no parts of its own; and few rows, for a try."""

import csv
import gzip
import io
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import orjson

from benchmarks.quality.sets import CLOTHES
from trainer.data.sources import split_of

T = TypeVar("T")
Row = dict[str, str]

TEST_EVERY = 5
IMBALANCE_EVERY = 6
QUICK_ROWS = {"train": 900, "validation": 150, "test": 150}


class NoDataError(Exception):
    """The folder lacks a set, or what is there looks different."""


def by_row_number(rows: Iterable[tuple[int, T]], every: int = TEST_EVERY) -> dict[str, list[T]]:
    """Rows whose number `every` divides are the test part, all others the training part.

    Args:
        rows: each with its number, from 0; numbers may be missing.
        every: of so many rows one is a test row.
    """
    parts: dict[str, list[T]] = {"train": [], "test": []}
    for number, row in rows:
        parts["test" if number % every == 0 else "train"].append(row)
    return parts


def thinned(units: Sequence[T], most: int) -> list[T]:
    """At most so many of them, evenly spread: sorted data keep all their labels as long as possible."""
    return list(units[:: max(1, -(-len(units) // most))])


def sms_spam(data: Path) -> dict[str, list[Row]]:
    """Messages and their labels; quotes are text."""
    lines = _text(data / "sms_spam", "SMSSpamCollection*").split("\n")
    rows = [line.rstrip("\r").split("\t", 1) for line in lines if line]
    # Some mirrors add a header to the published file.
    rows = rows[rows[0] == ["Label", "SMS"] :]
    return by_row_number((at, {"text": text, "label": label}) for at, (label, text) in enumerate(rows))


def womens_clothing(data: Path) -> dict[str, list[Row]]:
    """Reviews with a text: title and review, whether the piece is recommended, and the metadata."""
    rows = csv.DictReader(io.StringIO(_text(data / "womens_clothing", "*.csv*"), newline=""))
    kept: list[tuple[int, Row]] = []
    for at, row in enumerate(rows):
        if row["Review Text"].strip():
            text = f"{row['Title']} {row['Review Text']}".strip()
            metadata = {name: row[name] for name in CLOTHES}
            kept.append((at, {"text": text, "recommended": row["Recommended IND"], **metadata}))
    return by_row_number(kept)


def imbalance(data: Path) -> dict[str, list[Row]]:
    """The rows of goemotions that have one label, by name; of the training part every sixth of them."""
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
"""Sets whose files are made; the others are read where they lie."""


def prepare(name: str, source: str, data: Path, work: Path, *, quick: bool) -> str:
    """Make the files of a set in the work folder; the data folder is only read.

    Args:
        name: of the set.
        source: where its data lie, with DATA or WORK for the folder.
        data: the folder of all data.
        work: the folder for what is made.
        quick: few rows.

    Returns:
        What `labelstream train` is to be given, with DATA or WORK for the folder.

    Raises:
        NoDataError: the set is not in the data folder.
    """
    lies = Path(source.replace("DATA", str(data), 1))
    if name in PREPARED:
        parts = PREPARED[name](data)
        if quick:
            parts = {part: thinned(rows, QUICK_ROWS[part]) for part, rows in parts.items()}
        _write(work / name, parts)
        return f"WORK/{name}"
    if not lies.is_dir():
        raise NoDataError(f"there is no folder {lies}")
    if not quick:
        return source
    _fresh(work / name)
    for file in sorted(lies.iterdir()):
        if part := split_of(file.name.removesuffix(".gz").rpartition(".")[0]):
            to = work / name / file.name.removesuffix(".gz")
            to.write_text("".join(_few(_read(file), QUICK_ROWS[part])), encoding="utf-8", newline="")
    return f"WORK/{name}"


def read_rows(file: Path) -> list[Row]:
    """The rows of a file that was made here."""
    return [orjson.loads(line) for line in file.read_bytes().splitlines()]


def _few(text: str, most: int) -> Iterator[str]:
    """Few units of a file: sentences between blank lines, else lines, the first of which stays."""
    if "\n\n" in text:
        yield from (f"{sentence}\n\n" for sentence in thinned(text.split("\n\n"), most))
        return
    head, *lines = text.splitlines(keepends=True)
    yield from (head, *thinned(lines, most))


def _write(folder: Path, parts: Mapping[str, list[Row]]) -> None:
    _fresh(folder)
    for part, rows in parts.items():
        (folder / f"{part}.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))


def _fresh(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _text(folder: Path, pattern: str) -> str:
    files = sorted(folder.glob(pattern))
    if len(files) != 1:
        raise NoDataError(f"{folder} has {len(files) or 'no'} file {pattern}, and one is needed")
    return _read(files[0])


def _read(file: Path) -> str:
    given = file.read_bytes()
    return (gzip.decompress(given) if file.suffix == ".gz" else given).decode("utf-8-sig")
