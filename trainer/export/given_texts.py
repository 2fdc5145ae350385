"""Texts to hold an export against: a user's own, or those that come along."""

import csv
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson

from stream.classify.inputs import TextInput
from stream.errors import UsageError
from stream.sample import sample_path
from trainer.export.reference import spread

SAMPLE_TEXTS = 200
FORMS = ".txt with a text a line, .jsonl or .csv with `text`, and for pairs `text_pair`"


def sample_texts(*, pair: bool) -> list[TextInput]:
    """Some texts of the sample; as pairs, each with the next one."""
    with sample_path().open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    rows = [TextInput(a, b if pair else None) for a, b in pairwise(texts)]
    return [rows[at] for at in spread(len(rows), SAMPLE_TEXTS)]


def read_texts(file: Path, *, pair: bool) -> list[TextInput]:
    """The texts of a file: .txt, .jsonl or .csv.

    Raises:
        UsageError: the file cannot be read, has no texts, or a row lacks what the model reads.
    """
    try:
        rows = [row for row in _rows(file) if row["text"]]
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as exc:
        said = f"there is no {exc}" if isinstance(exc, KeyError) else str(exc)
        raise UsageError(f"--texts {file} cannot be read", cause=said, fix=f"give {FORMS}") from None
    if not rows:
        raise UsageError(f"--texts {file} holds no texts", cause="every row is empty", fix=f"give {FORMS}")
    if pair and not all(isinstance(row.get("text_pair"), str) for row in rows):
        raise UsageError(
            f"--texts {file} has no second texts",
            cause="the model reads pairs",
            fix="give a .jsonl or .csv whose rows all have text_pair",
        )
    return [TextInput(row["text"], row.get("text_pair") if pair else None) for row in rows]


def _rows(file: Path) -> list[dict[str, Any]]:
    if file.suffix == ".jsonl":
        return [orjson.loads(line) for line in file.read_bytes().splitlines() if line.strip()]
    if file.suffix == ".csv":
        with file.open(encoding="utf-8-sig", newline="") as opened:
            return [*csv.DictReader(opened)]
    return [{"text": line.strip()} for line in file.read_text(encoding="utf-8").splitlines()]
