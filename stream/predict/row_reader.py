"""Reads rows from a data file, each as the value of an event."""

import difflib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stream.errors import UsageError
from stream.predict.json_values import to_json
from stream.tables import (
    ParquetReader,
    Row,
    TableOptions,
    TableReader,
    is_parquet,
    is_text_type,
    no_header_fix,
    task_cells,
)


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of a row's CSV columns or JSON fields."""

    text: str = "text"
    text_pair: str = "text_pair"
    id: str = "id"
    metadata: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InputRow:
    """A row in the shape of a record, so that the decoder of the stream reads it.

    Attributes:
        offset: the row's number, from 1, without a header line.
        value: the row as the JSON of an event; a line that is not JSON stays unchanged.
        own_id: the id from the file; None if the row has none.
        cells: the cells of the row as they are in the file; empty for a line that is not a row.
    """

    offset: int
    value: bytes | None
    own_id: Any = None
    cells: Mapping[str, Any] = field(default_factory=dict)
    timestamp: int = 0
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = field(default=())
    damaged: bool = False


class RowReader:
    """Reads the rows of a file.

    Attributes:
        size: the size of the file in bytes; None for standard input.
        header: the columns of a CSV, TSV, Parquet or text file; None for JSON, whose rows have their own
            fields.
        types: the Arrow type of each column of a Parquet file; None for other formats.
        missing: the metadata columns of the bundle that the header lacks.
    """

    def __init__(self, path: Path, columns: Columns, options: TableOptions = TableOptions()) -> None:
        """Open the file.

        Args:
            path: the file; `-` is standard input.
            columns: the names of its columns or fields.
            options: its format.

        Raises:
            UsageError: the file cannot be read, its format is unknown, or it lacks the text column.
        """
        self._columns = columns
        self.types: Mapping[str, Any] | None = None
        self._table: TableReader | ParquetReader
        if is_parquet(path, options):
            self._table = ParquetReader(path)
            self.types = self._table.types
        else:
            of_rows = replace(options, text_column=columns.text, metadata=columns.metadata)
            self._table = TableReader(path, of_rows)
        self.size = self._table.size
        self.header = self._table.columns
        self.missing: list[str] = []
        # A file without any column holds no rows, which the reader reports.
        if self._table.columns:
            is_text = self._table.format == "text" and options.format is None
            self._check_columns(self._table.columns, is_text=is_text)

    @property
    def position(self) -> int:
        """The number of bytes read so far of the file."""
        return self._table.position

    def rows(self) -> Iterator[InputRow]:
        """Yield all rows in order, and close the file; a blank line is a row only in a text file.

        Raises:
            UsageError: the file holds no rows, or its content does not have its format.
        """
        return map(self._row, self._table.rows())

    def _check_columns(self, present: list[str], *, is_text: bool) -> None:
        column = self._columns.text
        if is_text and column != Columns().text:
            self._table.close()
            raise UsageError(
                f"{self._table.name} has no column {column!r}",
                cause="its first line does not name this column",
                fix="leave --text-column out, or add --format text, to read each line as a text",
            )
        if column not in present:
            self._table.close()
            where = "its columns" if self.types is not None else "the columns in its first line"
            raise UsageError(
                f"{self._table.name} has no column {column!r}",
                cause=f"{where}: {', '.join(present) or 'none'}",
                fix=self._fix(present),
            )
        if self.types is not None:
            self._check_types(self.types)
        self.missing = [name for name in self._columns.metadata if name not in present]

    def _check_types(self, types: Mapping[str, Any]) -> None:
        for name in (self._columns.text, self._columns.text_pair):
            if name in types and not is_text_type(types[name]):
                self._table.close()
                raise UsageError(
                    f"the column {name!r} of {self._table.name} holds no texts",
                    cause=f"its type is {types[name]}",
                    fix="name a column of strings in --text-column or --text-pair-column",
                )

    def _fix(self, present: list[str]) -> str:
        """Return the way to name the column with the texts."""
        flags = no_header_fix(present).partition(" --label-column")[0]
        if flags:
            return f"if the first line is a row, and no header: {flags}; else --text-column NAME"
        similar = [name for name in present if name.strip().lower() == self._columns.text.lower()]
        if len(similar) == 1:
            return f"--text-column {shlex.quote(similar[0])}"
        return "name the column with the texts in --text-column"

    def _row(self, row: Row) -> InputRow:
        columns = self._columns
        if row.cells is None:
            # The decoder finds the same fault, and the row gets the reason that a dead letter would have.
            return InputRow(row.number, row.raw.encode())
        cells = task_cells(row.cells)
        metadata = {name: cells.get(name) for name in columns.metadata}
        text = cells.get(columns.text)
        event = (
            _event(text, cells.get(columns.text_pair), metadata) if text is not None else _without_text(cells)
        )
        own_id = cells.get(columns.id)
        return InputRow(row.number, event, None if own_id == "" else own_id, row.cells)


def check_column(flag: str, name: str, present: Sequence[str], *, fix: str) -> None:
    """Check that a CSV file has a column that a flag names.

    Args:
        flag: the flag, for the message.
        name: the name of the column.
        present: the columns of the file.
        fix: the fix if no column has a similar name.

    Raises:
        UsageError: the file lacks the column.
    """
    if name not in present:
        close = difflib.get_close_matches(name, present, n=1)
        raise UsageError(
            f"{flag} {name}: the input has no column {name!r}",
            cause=f"its columns are: {', '.join(present)}",
            fix=f"did you mean {close[0]!r}?" if close else fix,
        )


def text_rows(texts: Sequence[str], pairs: Sequence[str] = ()) -> Iterator[InputRow]:
    """Yield a row for each text.

    Args:
        texts: the texts.
        pairs: the second texts, one for each text; empty for none.
    """
    for at, text in enumerate(texts):
        yield InputRow(at + 1, _event(text, pairs[at] if pairs else None))


def _without_text(cells: Mapping[str, Any]) -> bytes:
    """Return an event with the names of a row's columns and no text, for the error of the decoder."""
    return to_json(dict.fromkeys(name for name in cells if name != "text"))


def _event(text: Any, text_pair: Any = None, metadata: Mapping[str, Any] | None = None) -> bytes:
    fields = {"text": text, "text_pair": text_pair, "metadata": metadata or None}
    return to_json({name: value for name, value in fields.items() if value is not None})
