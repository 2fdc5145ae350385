"""Reads a data file as `predict` and as `train` do, and requires that both give the same rows."""

import bz2
import gzip
import io
import lzma
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cramjam
import orjson
import pytest

from stream.errors import UsageError
from stream.predict.row_reader import Columns, RowReader
from stream.tables import TableOptions
from trainer.data.files import ParseOptions, read_table

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: bytes(cramjam.zstd.compress(data)),
}


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def predict_rows(path: Path, *others: str, text: str = "text", **options: Any) -> list[dict[str, Any]]:
    """Return the cells of each row that `predict` reads: the text, and the other columns as metadata."""
    reader = RowReader(path, Columns(text=text, metadata=others), TableOptions(**options))
    events = [orjson.loads(row.value or b"") for row in reader.rows()]
    return [{text: event["text"], **event.get("metadata", {})} for event in events]


def train_rows(path: Path, *others: str, text: str = "text", **options: Any) -> list[dict[str, Any]]:
    """Return the same cells as `train` reads them."""
    table = read_table(path, ParseOptions(**options, metadata=others))
    return [{name: row.get(name) for name in (text, *others)} for row in table.rows]


def both(path: Path, *others: str, text: str = "text", **options: Any) -> list[dict[str, Any]]:
    """Return the rows of a file, which `predict` and `train` read alike."""
    rows = train_rows(path, *others, text=text, **options)
    assert predict_rows(path, *others, text=text, **options) == rows
    return rows


def refused(path: Path, *others: str, **options: Any) -> UsageError:
    """Return the error with which `predict` and `train` refuse a file."""
    errors = []
    for read in (predict_rows, train_rows):
        with pytest.raises(UsageError) as error:
            read(path, *others, **options)
        errors.append(error.value)
    first, second = errors
    assert (first.message, first.cause, first.fix) == (second.message, second.cause, second.fix)
    assert first.fix
    assert str(path) in first.message
    return first


def set_stdin(monkeypatch: pytest.MonkeyPatch, content: str | bytes) -> Path:
    """Make content the standard input, and return the path that names it."""
    data = content if isinstance(content, bytes) else content.encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    return Path("-")
