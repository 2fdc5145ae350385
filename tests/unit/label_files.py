"""Data files for the tests of labels: a text and a label in each row, in CSV, JSON lines or Parquet."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stream.errors import UsageError
from trainer.config import DataConfig
from trainer.data.examples import Data
from trainer.data.read import read_data


def write_csv(path: Path, labels: Sequence[Any], column: str = "label") -> Path:
    """Write one row per label; the texts differ between rows and files."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", column])
        writer.writerows([f"{path.stem} {row}", label] for row, label in enumerate(labels, 1))
    return path


def write_jsonl(path: Path, labels: Sequence[Any], column: str = "label") -> Path:
    """Write one JSON object per label."""
    rows = ({"text": f"{path.stem} {row}", column: label} for row, label in enumerate(labels, 1))
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def write_ids(
    path: Path, ids: Sequence[Any], names: Sequence[str], column: str = "label", **more: Sequence[Any]
) -> Path:
    """Write Parquet with the library `datasets`: ids, or lists of ids, with the names of the classes."""
    import datasets

    classes = datasets.ClassLabel(names=list(names))
    features = {"text": datasets.Value("string")}
    features[column] = datasets.Sequence(classes) if isinstance(ids[0], list) else classes
    features |= dict.fromkeys(more, classes)
    texts = [f"{path.stem} {row}" for row in range(1, len(ids) + 1)]
    table = {"text": texts, column: list(ids), **more}
    datasets.Dataset.from_dict(table, features=datasets.Features(features)).to_parquet(path)
    return path


def write_names(path: Path, names: Sequence[str]) -> Path:
    """Write a file for `--label-names`."""
    path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return path


def targets(data: Data, split: str | None = None) -> list[Any]:
    """Return the targets of all rows, or of the rows of one split."""
    return [example.target for example in data.examples if split is None or example.split == split]


def notes(data: Data) -> str:
    return "\n".join(data.notes)


def refusal(path: Path, **settings: Any) -> UsageError:
    """Read data that are refused, and return the error.

    Raises:
        AssertionError: the data are accepted.
    """
    try:
        data = read_data(path, DataConfig(**settings))
    except UsageError as exc:
        assert exc.exit_code == 2
        assert exc.fix
        return exc
    raise AssertionError(f"the data are accepted: {data.class_counts} {targets(data)[:5]}")
