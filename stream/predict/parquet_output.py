"""Writes the predictions of rows as Parquet, with a type for each column."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stream.errors import UsageError, missing_module
from stream.predict.column_types import own_types, types_of_rows
from stream.predict.json_values import to_json
from stream.predict.output_header import ByteFile, Header, PredictionWriter
from stream.predict.spooled_rows import SpooledRows

if TYPE_CHECKING:
    import pyarrow

ROW_GROUP_ROWS = 16_384
ROW_GROUP_CHARS = 32 * 2**20


def check_pyarrow() -> None:
    """Check that pyarrow is installed.

    Raises:
        UsageError: it is missing.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ModuleNotFoundError as exc:
        raise missing_module("Parquet files need pyarrow", exc, "parquet") from None


@contextmanager
def open_parquet(file: ByteFile, header: Header) -> Iterator[PredictionWriter]:
    """Open a writer of Parquet, which is complete at the end of the block.

    Args:
        file: the file.
        header: the columns; without their types, the rows are kept until the end, and their values determine
            the types.
    """
    if header.types is not None and header.kept is not None:
        schema = output_schema(header, header.kept, header.types)
        with ParquetWriter(file, schema) as writer:
            yield writer
        return
    with SpooledRows() as spooled:
        yield spooled
        schema = output_schema(header, spooled.columns, types_of_rows(spooled.rows()))
        with ParquetWriter(file, schema) as writer:
            spooled.copy_to(writer)


def output_schema(header: Header, kept: Sequence[str], types: Mapping[str, Any]) -> "pyarrow.Schema":
    """Return the Arrow schema of an output.

    Args:
        header: the columns of the predictions.
        kept: the columns of the input.
        types: the types of the id and of the columns of the input; a column without one holds texts.
    """
    import pyarrow

    own = own_types(header.own)
    return pyarrow.schema(
        [(name, own.get(name) or types.get(name) or pyarrow.string()) for name in header.columns(kept)]
    )


class ParquetWriter:
    """Writes rows in row groups."""

    def __init__(self, file: ByteFile, schema: "pyarrow.Schema") -> None:
        self._file = _Sink(file)
        self._schema = schema
        self._rows: list[Mapping[str, Any]] = []
        self._chars = 0

    def __enter__(self) -> "ParquetWriter":
        import pyarrow.parquet

        self._writer = pyarrow.parquet.ParquetWriter(self._file, self._schema, compression="zstd")
        return self

    def write(self, fields: Mapping[str, Any]) -> None:
        """Write a row; fields that are not in the schema are left out.

        Raises:
            UsageError: a value does not have the type of its column.
        """
        self._rows.append(fields)
        self._chars += sum([len(value) for value in fields.values() if isinstance(value, str)])
        if len(self._rows) >= ROW_GROUP_ROWS or self._chars >= ROW_GROUP_CHARS:
            self._flush()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._rows:
            self._flush()
        # The footer of an unfinished file is written to a temporary file, which is removed.
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow

        columns = [_array(self._rows, field) for field in self._schema]
        self._writer.write_table(pyarrow.Table.from_arrays(columns, schema=self._schema))
        self._rows = []
        self._chars = 0


class _Sink:
    """The methods of a file that pyarrow needs."""

    closed = False

    def __init__(self, file: ByteFile) -> None:
        self._file = file
        self._size = 0

    def write(self, data: Any) -> int:
        self._file.write(bytes(data))
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None: ...

    def close(self) -> None: ...


def _array(rows: list[Mapping[str, Any]], field: "pyarrow.Field") -> "pyarrow.Array":
    import pyarrow

    values = [row.get(field.name) for row in rows]
    if pyarrow.types.is_string(field.type):
        values = [value if isinstance(value, str | None) else to_json(value).decode() for value in values]
    elif pyarrow.types.is_map(field.type):
        values = [[*value.items()] if isinstance(value, dict) else value for value in values]
    try:
        return pyarrow.array(values, field.type)
    except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as exc:
        raise UsageError(
            f"the column {field.name!r} cannot be written as Parquet",
            cause=f"its type is {field.type}: {str(exc).splitlines()[0]}",
            fix="leave the column out with --columns, or write .jsonl",
        ) from None
