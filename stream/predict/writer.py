"""Writes the predictions of rows as JSON lines, CSV, TSV or Parquet, to a file or to standard output."""

import csv
import gzip
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cramjam
import orjson

from stream.errors import UsageError
from stream.output_files import STANDARD_STREAM, OutputFile, named_errors
from stream.predict.json_values import to_json
from stream.predict.output_header import ByteFile, Header, PredictionWriter
from stream.predict.parquet_output import check_pyarrow, open_parquet
from stream.predict.spooled_rows import SpooledRows

DELIMITERS = {".csv": ",", ".tsv": "\t"}
PARQUET_SUFFIXES = (".parquet", ".pq")
GZIP, ZSTD = ".gz", ".zst"
# A reader would take the name at its word and fail on JSON lines.
OTHER_FORMATS = (
    *(".7z", ".arrow", ".avro", ".br", ".bz2", ".feather", ".lz4", ".orc", ".tar", ".tgz"),
    *(".xls", ".xlsx", ".xml", ".xz", ".zip", ".zstd"),
)
ZSTD_BLOCK_BYTES = 2**20
STANDARD_OUTPUT = Path("standard output")
OTHER_FILE = "name another file in --output"


def check_format(path: Path | None) -> None:
    """Check that the suffix of an output file names a format that `open_writer` writes.

    Raises:
        UsageError: the suffix names another format.
    """
    if path is None:
        return
    suffix, compression = _suffixes(path)
    if suffix in OTHER_FORMATS:
        raise UsageError(
            f"cannot write {path}",
            cause=f"{suffix} files are not supported",
            fix="name a .jsonl, .csv, .tsv or .parquet file in --output; a further "
            f"{GZIP} or {ZSTD} compresses the first three",
        )
    if suffix in PARQUET_SUFFIXES:
        check_pyarrow()
        if compression:
            raise UsageError(
                f"cannot write {path}",
                cause="Parquet compresses its columns itself",
                fix=f"leave the suffix {compression} out",
            )


def is_parquet_output(path: Path) -> bool:
    """Return True if the suffix of an output file is that of Parquet."""
    return path.suffix.lower() in PARQUET_SUFFIXES


@contextmanager
def open_writer(path: Path | None, header: Header) -> Iterator[PredictionWriter]:
    """Open a writer: CSV, TSV or Parquet for a file with that suffix, JSON lines for any other.

    A further suffix .gz or .zst compresses the text formats. The file appears at the end of the block; an
    error or an interruption leaves the old file unchanged. Rows on standard output appear as they are
    written.

    Args:
        path: the file; None or `-` for standard output.
        header: the columns of a CSV, TSV or Parquet file.

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
        if suffix in PARQUET_SUFFIXES:
            with open_parquet(file, header) as parquet:
                yield parquet
        elif delimiter is None:
            yield JsonLinesWriter(file)
        elif header.kept is not None:
            yield CsvWriter(file, header.columns(header.kept), delimiter)
        else:
            with SpooledRows() as spooled:
                yield spooled
                spooled.copy_to(CsvWriter(file, header.columns(spooled.columns), delimiter))


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
        self._file.write(to_json(fields) + b"\n")


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


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    encoded = to_json(value)
    # Dates and decimals, for example, are texts in JSON, and a cell needs no quotes.
    return str(orjson.loads(encoded)) if encoded[:1] == b'"' else encoded.decode()
