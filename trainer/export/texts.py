"""The rows of a file with texts, `--texts` of `labelstream export`."""

import csv
import io
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from stream.errors import UsageError

FORMATS = ".txt with one text per line, or .jsonl or .csv with `text`, and `text_pair` for pairs"

PACKED = {
    b"\x1f\x8b": ("packed with gzip", "gunzip -k"),
    b"\x28\xb5\x2f\xfd": ("packed with Zstandard", "unzstd -k"),
    b"BZh": ("packed with bzip2", "bunzip2 -k"),
    b"\xfd7zXZ": ("packed with xz", "unxz -k"),
    b"PK\x03\x04": ("a ZIP archive or an Office document", "unzip"),
}
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
DELIMITERS = ",;\t"
LINE_END = re.compile(r"\r\n|\n|\r")

Row = tuple[int, dict[str, Any]]
"""The number of a row, from 1, and its members."""


def read_rows(file: Path) -> list[Row]:
    """Return the rows of a file.

    Raises:
        UsageError: the file cannot be read; the error names the row.
    """
    try:
        raw = file.read_bytes()
    except OSError as exc:
        raise unreadable(file, exc.strerror or str(exc), f"pass {FORMATS}") from None
    reader = READERS.get(file.suffix.lower())
    packed = next((kind for mark, kind in PACKED.items() if raw.startswith(mark)), None)
    if packed is not None:
        raise unreadable(file, f"it is {packed[0]}", f"unpack it first: {packed[1]} {shlex.quote(str(file))}")
    if reader is None:
        raise unreadable(file, f"{file.suffix} is not a format of texts", f"pass {FORMATS}")
    return list(reader(file, _decode(file, raw)))


def unreadable(file: Path, cause: str, fix: str) -> UsageError:
    """Return the error for a file of texts that cannot be read."""
    return UsageError(f"--texts {file} cannot be read", cause=cause, fix=fix)


def _decode(file: Path, raw: bytes) -> str:
    """Decode UTF-8, or UTF-16 with a byte order mark."""
    encoding = "utf-16" if raw.startswith(UTF16_MARKS) else "utf-8-sig"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as exc:
        row = len(LINE_END.split(raw[: exc.start].decode("latin-1")))
        quoted = shlex.quote(str(file))
        raise unreadable(
            file,
            f"line {row} has bytes that are not {'UTF-16' if encoding == 'utf-16' else 'UTF-8'}",
            f"convert it to UTF-8, for example: iconv -f WINDOWS-1252 -t UTF-8 {quoted} > NEW",
        ) from None
    # Every second byte of UTF-16 without a mark is often NUL; texts hardly have any.
    if text.count("\0") * 4 > len(text):
        raise unreadable(
            file,
            "a quarter of its characters are NUL: it is a binary file, or UTF-16 without a byte order mark",
            f"convert it to UTF-8: iconv -f UTF-16LE -t UTF-8 {shlex.quote(str(file))} > NEW",
        )
    return text


def _lines(_file: Path, text: str) -> Iterator[Row]:
    for row, line in enumerate(LINE_END.split(text), 1):
        yield row, {"text": line.strip()}


def _json(file: Path, text: str) -> Iterator[Row]:
    """Read an object per line, or one array of objects."""
    if text.lstrip().startswith("["):
        entries = enumerate(_load(file, 1, text), 1)
        yield from ((row, _object(file, row, entry)) for row, entry in entries)
        return
    for row, line in enumerate(LINE_END.split(text), 1):
        if line.strip():
            yield row, _object(file, row, _load(file, row, line))


def _load(file: Path, row: int, text: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError as exc:
        raise unreadable(
            file, f"line {row} is not valid JSON: {exc}", f"correct line {row}: one JSON object per line"
        ) from None


def _object(file: Path, row: int, entry: Any) -> dict[str, Any]:
    if isinstance(entry, dict) and "text" in entry:
        return entry
    cause = (
        f"the object in row {row} has no member text; it has: {', '.join(entry) or 'none'}"
        if isinstance(entry, dict)
        else f"row {row} is not a JSON object"
    )
    raise unreadable(file, cause, 'write each row as {"text": "..."}, with text_pair for pairs')


def _table(file: Path, text: str) -> Iterator[Row]:
    delimiter = _delimiter(file, text)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    try:
        for row in rows:
            if not header:
                header = row
            elif row and len(row) != len(header):
                raise unreadable(
                    file,
                    f"the row that ends in line {rows.line_num} has {len(row)} cells, and the header has "
                    f"{len(header)}",
                    f"quote cells that contain {delimiter!r}",
                )
            elif row:
                yield rows.line_num, dict(zip(header, row, strict=True))
    except csv.Error as exc:
        raise unreadable(
            file, f"line {rows.line_num}: {exc}", f"correct the quotes of line {rows.line_num}"
        ) from None


def _delimiter(file: Path, text: str) -> str:
    """Return the delimiter whose header has a column `text`."""
    first = LINE_END.split(text, maxsplit=1)[0]
    for delimiter in "\t" if file.suffix.lower() == ".tsv" else DELIMITERS:
        if "text" in next(csv.reader([first], delimiter=delimiter), []):
            return delimiter
    if not first.strip():
        return ","
    raise unreadable(
        file, f"it has no column text; its header is: {first[:200]}", "name the column of the texts `text`"
    )


READERS: dict[str, Callable[[Path, str], Iterator[Row]]] = {
    "": _lines,
    ".txt": _lines,
    ".jsonl": _json,
    ".ndjson": _json,
    ".json": _json,
    ".csv": _table,
    ".tsv": _table,
}
"""The reader of each suffix; a pipe such as /dev/stdin has none."""
