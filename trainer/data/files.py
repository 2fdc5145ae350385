"""Data files as text, compressed or not, and what reading one gives."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from trainer.config import Quoting

OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


@dataclass(frozen=True, slots=True)
class Layout:
    """What the ending of a file does not say.

    Attributes:
        header: whether the first line of a CSV or TSV file names the columns; if not, they are "1", "2", ….
        quoting: `minimal`: a field in quotes may hold delimiters and line breaks; `none`: quotes are text.
        tokens: whether a file of an unknown ending, or .tsv and .txt, holds a word and its tag per line.
    """

    header: bool = True
    quoting: Quoting = "minimal"
    tokens: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows by column name; row numbers start at 1 and do not count a header.

    Attributes:
        columns: the columns' names in the file's order.
        rows: cells by column.
        names: what the integers of a column stand for, where the file itself says so.
        usual: text and label column that the format itself suggests.
    """

    columns: list[str]
    rows: list[dict[str, Any]]
    names: dict[str, list[str]] = field(default_factory=dict)
    usual: tuple[str, str] | None = None


def suffix_of(path: Path) -> str:
    """What kind of file it is: its ending in small letters, without that of a compression."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix in OPENERS else suffix


def stem_of(path: Path) -> str:
    """Its name without those endings."""
    inner = Path(path.stem) if path.suffix.lower() in OPENERS else path
    return inner.stem


def open_text(path: Path) -> TextIO:
    """Open a file as UTF-8 text with its line ends as they stand.

    A byte-order mark, as Excel writes it, is taken off: it would become part of the first column's name.
    """
    opener = OPENERS.get(path.suffix.lower(), open)
    file: TextIO = opener(path, "rt", encoding="utf-8-sig", newline="")
    return file
