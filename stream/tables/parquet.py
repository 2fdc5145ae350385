"""Rows of a Parquet file, read in batches of its row groups."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from stream.errors import UsageError, missing_module
from stream.tables.empty import EmptyTableError
from stream.tables.foreign import PARQUET, refuse_suffix
from stream.tables.options import STANDARD_INPUT, Format, TableOptions
from stream.tables.packing import packer_of, unpacked_name
from stream.tables.row import Row

if TYPE_CHECKING:
    import pyarrow

BATCH_ROWS = 1_024
SUFFIXES = PARQUET.suffixes


def is_parquet(path: Path, options: TableOptions) -> bool:
    """Return True if a file is to be read as Parquet, by its format or its suffix."""
    if options.format is not None:
        return options.format == "parquet"
    return path != STANDARD_INPUT and path.suffix.lower() in SUFFIXES


class ParquetReader:
    """Reads the rows of a Parquet file; at most the row group that is being read is in memory.

    The cells are Python values: dates, times and decimals stay what they are, and nanoseconds are cut to
    microseconds.

    Attributes:
        name: the name of the file in messages.
        size: the size of the file in bytes; None for standard input.
        format: the format of the file.
        columns: the names of the columns.
        types: the Arrow type of each column, as `rows` yields its values.
    """

    format: Format = "parquet"

    def __init__(self, path: Path) -> None:
        """Open the file and read its schema.

        Args:
            path: the file; `-` is standard input, which is copied to a temporary file first.

        Raises:
            UsageError: the file cannot be read or is not Parquet, or pyarrow is not installed.
        """
        try:
            import pyarrow
            import pyarrow.parquet
        except ModuleNotFoundError as exc:
            raise missing_module("Parquet files need pyarrow", exc, "parquet") from None
        self.name = "standard input" if path == STANDARD_INPUT else str(path)
        if packer_of(path) is not None:
            refuse_suffix(path, unpacked_name(path).suffix.lower())
        self._file, self.size = self._open(path)
        try:
            self._parquet = pyarrow.parquet.ParquetFile(self._file)
        except (pyarrow.ArrowException, OSError) as exc:
            self._file.close()
            raise UsageError(
                f"{self.name} cannot be read as Parquet",
                cause=_first_line(exc),
                fix="write the file again; other formats have another suffix, or --format",
            ) from None
        schema = self._parquet.schema_arrow
        self.columns: list[str] = list(schema.names)
        self._schema = pyarrow.schema([(field.name, plain_type(field.type)) for field in schema])
        self.types: dict[str, Any] = {field.name: field.type for field in self._schema}
        self._check_names()
        self._rows_read = 0

    @property
    def position(self) -> int:
        """The number of bytes that the rows read so far take of the file, estimated."""
        rows = self._parquet.metadata.num_rows
        return (self.size or 0) * self._rows_read // rows if rows else 0

    def rows(self) -> Iterator[Row]:
        """Yield all rows in order, and close the file.

        Raises:
            UsageError: the file holds no rows, or is damaged.
        """
        with self._file:
            if self._parquet.metadata.num_rows == 0:
                raise EmptyTableError(self.name, "it contains only a schema")
            yield from self._all_rows()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self, path: Path) -> tuple[IO[bytes], int | None]:
        if path == STANDARD_INPUT:
            # The schema and the positions of the row groups are at the end of a file.
            copy = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `rows` or `close`
            shutil.copyfileobj(sys.stdin.buffer, copy)
            copy.seek(0)
            return copy, None
        try:
            return path.open("rb"), path.stat().st_size
        except OSError as exc:
            raise UsageError(
                f"cannot read {path}", cause=exc.strerror or str(exc), fix="name an existing file"
            ) from None

    def _check_names(self) -> None:
        repeated = next((name for name in self.columns if self.columns.count(name) > 1), None)
        if repeated is not None:
            self.close()
            raise UsageError(
                f"{self.name} has two columns named {repeated!r}",
                cause="either could be meant",
                fix="rename one of them",
            )

    def _all_rows(self) -> Iterator[Row]:
        import pyarrow

        try:
            for batch in self._parquet.iter_batches(BATCH_ROWS):
                for cells in _cells(batch, self._schema):
                    self._rows_read += 1
                    yield Row(self._rows_read, cells)
        except (pyarrow.ArrowException, OSError, ValueError) as exc:
            raise UsageError(
                f"{self.name} cannot be read as Parquet",
                cause=f"after row {self._rows_read}: {_first_line(exc)}",
                fix="write the file again",
            ) from None


def _cells(batch: "pyarrow.RecordBatch", schema: "pyarrow.Schema") -> Iterator[dict[str, Any]]:
    columns: Sequence[list[Any]] = [
        (column if column.type == field.type else column.cast(field.type, safe=False)).to_pylist()
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    names = schema.names
    for values in zip(*columns, strict=True):
        yield dict(zip(names, values, strict=True))


def plain_type(given: Any) -> Any:
    """Return the Arrow type in which the values of a type are read.

    Dictionaries become their values. Python's times have no nanoseconds.
    """
    from pyarrow import duration, time64, timestamp, types

    if types.is_dictionary(given):
        return plain_type(given.value_type)
    if types.is_timestamp(given) and given.unit == "ns":
        return timestamp("us", given.tz)
    if types.is_duration(given) and given.unit == "ns":
        return duration("us")
    if types.is_time64(given) and given.unit == "ns":
        return time64("us")
    return given


def is_text_type(given: Any) -> bool:
    """Return True if a column of this type holds texts, or only nulls."""
    from pyarrow import types

    return bool(
        types.is_string(given)
        or types.is_large_string(given)
        or types.is_string_view(given)
        or types.is_null(given)
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
