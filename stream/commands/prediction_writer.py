"""Writes the predictions of rows as JSON lines, CSV or TSV, to a file or to standard output."""

import csv
import gzip
import io
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import cramjam
import orjson

from stream.errors import UsageError
from stream.output_files import STANDARD_STREAM, OutputFile, named_errors

DELIMITERS = {".csv": ",", ".tsv": "\t"}
GZIP, ZSTD = ".gz", ".zst"
# A reader would take the name at its word and fail on JSON lines.
OTHER_FORMATS = (
    *(".7z", ".arrow", ".avro", ".br", ".bz2", ".feather", ".lz4", ".orc", ".parquet", ".tar", ".tgz"),
    *(".xls", ".xlsx", ".xml", ".xz", ".zip", ".zstd"),
)
ZSTD_BLOCK_BYTES = 2**20
STANDARD_OUTPUT = Path("standard output")
OTHER_FILE = "name another file in --output"


class ByteFile(Protocol):
    """Receives bytes."""

    def write(self, data: bytes, /) -> object: ...


class PredictionWriter(Protocol):
    """Writes the fields of one row after the other."""

    def write(self, fields: Mapping[str, Any]) -> None: ...


def check_format(path: Path | None) -> None:
    """Check that the suffix of an output file names a format that `open_writer` writes.

    Raises:
        UsageError: the suffix names another format.
    """
    if path is not None and (suffix := _suffixes(path)[0]) in OTHER_FORMATS:
        raise UsageError(
            f"cannot write {path}",
            cause=f"{suffix} files are not supported",
            fix=f"name a .jsonl, .csv or .tsv file in --output; a further {GZIP} or {ZSTD} compresses it",
        )


@dataclass(frozen=True, slots=True)
class Header:
    """The columns of a CSV or TSV file.

    Attributes:
        own: the columns of the predictions.
        kept: the columns that are copied from the input; None if only all rows together show them.
    """

    own: tuple[str, ...]
    kept: Sequence[str] | None = ()

    def columns(self, kept: Sequence[str]) -> list[str]:
        """Return all columns: those of the predictions, then the copied ones, each once."""
        return list(dict.fromkeys((*self.own, *kept)))


@contextmanager
def open_writer(path: Path | None, header: Header) -> Iterator[PredictionWriter]:
    """Open a writer: CSV or TSV for a file with that suffix, JSON lines for any other.

    A further suffix .gz or .zst compresses the file. The file appears at the end of the block; an error or an
    interruption leaves the old file unchanged. Rows on standard output appear as they are written.

    Args:
        path: the file; None or `-` for standard output.
        header: the columns of a CSV or TSV file.

    Raises:
        UsageError: the file cannot be written.
    """
    if path is None or path == STANDARD_STREAM:
        standard = _StandardOutput()
        try:
            yield JsonLinesWriter(standard)
        finally:
            standard.flush()
        return
    suffix, compression = _suffixes(path)
    delimiter = DELIMITERS.get(suffix)
    with OutputFile(path, fix=OTHER_FILE) as output, _compressed(output, compression) as file:
        if delimiter is None:
            yield JsonLinesWriter(file)
        elif header.kept is not None:
            yield CsvWriter(file, header.columns(header.kept), delimiter)
        else:
            with _SpooledCsvWriter(file, header, delimiter) as spooled:
                yield spooled


def _suffixes(path: Path) -> tuple[str, str]:
    """Return the suffix of the format and that of the compression, each empty if there is none."""
    suffix = path.suffix.lower()
    return (path.with_suffix("").suffix.lower(), suffix) if suffix in (GZIP, ZSTD) else (suffix, "")


class _StandardOutput:
    def write(self, data: bytes) -> None:
        """Write bytes."""
        with named_errors(STANDARD_OUTPUT):
            sys.stdout.buffer.write(data)

    def flush(self) -> None:
        """Write buffered bytes."""
        with named_errors(STANDARD_OUTPUT):
            sys.stdout.buffer.flush()


@contextmanager
def _compressed(file: OutputFile, compression: str) -> Iterator[ByteFile]:
    if compression == GZIP:
        # Without a name and a time, equal predictions give equal files.
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
            yield packed
    elif compression == ZSTD:
        zstd = _ZstdFile(file)
        yield zstd
        zstd.finish()
    else:
        yield file


class _ZstdFile:
    def __init__(self, file: ByteFile) -> None:
        self._file = file
        self._compressor = cramjam.zstd.Compressor()
        self._pending = 0

    def write(self, data: bytes) -> None:
        """Compress bytes; the compressed bytes are written once for each block."""
        self._compressor.compress(data)
        self._pending += len(data)
        if self._pending >= ZSTD_BLOCK_BYTES:
            self._file.write(bytes(self._compressor.flush()))
            self._pending = 0

    def finish(self) -> None:
        """Write the rest."""
        self._file.write(bytes(self._compressor.finish()))


class JsonLinesWriter:
    """Writes one JSON object per line."""

    def __init__(self, file: ByteFile) -> None:
        self._file = file

    def write(self, fields: Mapping[str, Any]) -> None:
        """Write a row."""
        self._file.write(orjson.dumps(fields) + b"\n")


class CsvWriter:
    """Writes one row per line, with lists and objects as JSON in their cell."""

    def __init__(self, file: ByteFile, names: Sequence[str], delimiter: str) -> None:
        self._file = file
        self._names = names
        self._delimiter = delimiter
        self._write_line(names)

    def write(self, fields: Mapping[str, Any]) -> None:
        """Write a row."""
        self._write_line([_cell(fields.get(name)) for name in self._names])

    def _write_line(self, cells: Sequence[str]) -> None:
        line = io.StringIO()
        csv.writer(line, delimiter=self._delimiter, lineterminator="\n").writerow(cells)
        self._file.write(line.getvalue().encode("utf-8", "replace"))


class _SpooledCsvWriter:
    """Writes a CSV file whose columns are those of all rows, which are kept in a temporary file."""

    def __init__(self, file: ByteFile, header: Header, delimiter: str) -> None:
        self._file = file
        self._header = header
        self._delimiter = delimiter
        self._kept: dict[str, None] = {}
        self._rows = tempfile.TemporaryFile()  # noqa: SIM115 - closed at the end of the block

    def __enter__(self) -> Self:
        return self

    def write(self, fields: Mapping[str, Any]) -> None:
        """Keep a row."""
        self._kept.update(dict.fromkeys(fields))
        self._rows.write(orjson.dumps(fields) + b"\n")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._rows:
            if kind is None:
                writer = CsvWriter(self._file, self._header.columns(list(self._kept)), self._delimiter)
                self._rows.seek(0)
                for line in self._rows:
                    writer.write(orjson.loads(line))


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()
