"""Rows of a data file of any format, read one after the other."""

import contextlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from stream.errors import UsageError
from stream.tables.decoding import DecodedText
from stream.tables.delimited import SAMPLE_LINES, DelimitedRows, header_fields
from stream.tables.empty import EmptyTableError
from stream.tables.foreign import READ, refuse_content, refuse_suffix
from stream.tables.json_rows import JsonRows
from stream.tables.lines import split_lines, without_end
from stream.tables.malformed import MalformedError
from stream.tables.nested_rows import check_nested
from stream.tables.options import STANDARD_INPUT, SUFFIX_FORMATS, Format, TableOptions
from stream.tables.packing import ByteSource, unpacked_name
from stream.tables.row import Row

JSON_OBJECT = re.compile(r'\s*\{\s*["}]')
JSON_ARRAY = re.compile(r"\s*\[\s*\{")
FORMAT_NAMES: dict[Format, str] = {
    "csv": "CSV",
    "tsv": "TSV",
    "jsonl": "JSON lines",
    "json": "JSON",
    "text": "text",
    "parquet": "Parquet",
}


class TableReader:
    """Reads the rows of a data file.

    Attributes:
        name: the name of the file in messages.
        size: the size of the file in bytes; None for standard input.
        format: the format of the file.
        columns: the names of the columns of a CSV or TSV file, or of a text file; None for JSON.
    """

    def __init__(self, path: Path, options: TableOptions = TableOptions()) -> None:
        """Open the file and read its header.

        Args:
            path: the file; `-` is standard input.
            options: the format, as far as name and content do not determine it.

        Raises:
            UsageError: the file cannot be read, its format is unknown, or its header is not valid.
        """
        self._options = options
        known = options.format or _format_of_suffix(path)
        self._source = ByteSource(path)
        self.name, self.size = self._source.name, self._source.size
        self.columns: list[str] | None = None
        self._delimited: DelimitedRows | None = None
        try:
            if known != "text":
                refuse_content(path, self.name, self._source.head)
            kind = FORMAT_NAMES[known] if known else "text"
            lines = split_lines(DecodedText(self._source, options.encoding, kind).chunks())
            self._sample = list(itertools.islice(lines, SAMPLE_LINES))
            self._lines = itertools.chain(self._sample, lines)
            self.format: Format = known or self._format_of_content(path)
            if self.format in ("csv", "tsv"):
                self._refuse_json()
                self._open_delimited()
            elif self.format == "text":
                self.columns = [options.text_column or "text"]
        except BaseException:
            self.close()
            raise

    @property
    def position(self) -> int:
        """The number of bytes read so far of the file."""
        return self._source.position

    def rows(self) -> Iterator[Row]:
        """Yield all rows in order, and close the file.

        Blank lines are rows in a text file, and skipped in the other formats.

        Raises:
            UsageError: the file holds no rows, or its content does not have its format; the error names the
                line.
        """
        is_empty = True
        with self._source:
            try:
                for row in self._rows():
                    is_empty = False
                    yield row
            except MalformedError as exc:
                raise self._error(exc) from None
        if is_empty:
            content = (
                "only a header" if self.columns and self._options.header and self._delimited else "nothing"
            )
            raise EmptyTableError(self.name, f"it contains {content}, apart from blank lines")

    def close(self) -> None:
        """Close the file."""
        self._source.__exit__(None, None, None)

    def _rows(self) -> Iterator[Row]:
        if self._delimited is not None:
            return (Row(number, cells) for number, cells in enumerate(self._delimited, 1))
        if self.columns is not None:
            return _text_rows(self._lines, self.columns[0])
        rows = JsonRows(self._options.metadata)
        # A .json file is often one array that spans the whole file instead of one object per line.
        if self.format == "json" and "".join(self._sample).lstrip().startswith("["):
            return rows.from_array("".join(self._lines))
        lines = _only_object(rows.from_lines(self._whole_lines()))
        return _json_lines(lines) if self.format == "json" else lines

    def _whole_lines(self) -> Iterable[str]:
        """Return the lines of JSON objects.

        Raises:
            MalformedError: the lines together are a single object that holds the rows of a table.
        """
        if next((line.strip() for line in self._sample if line.strip()), "") != "{":
            return self._lines
        lines = list(self._lines)
        with contextlib.suppress(json.JSONDecodeError, RecursionError):
            check_nested(json.loads("".join(lines)))
        return lines

    def _format_of_content(self, path: Path) -> Format:
        """Return the format of a .txt file, of a file without suffix, or of standard input."""
        text_column, start = self._options.text_column, "".join(self._sample)
        if unpacked_name(path).suffix.lower() != ".txt":
            if JSON_OBJECT.match(start):
                return "jsonl"
            if JSON_ARRAY.match(start):
                return "json"
        if text_column is None or not self._options.header:
            return "tsv"
        lines = [line for line in self._sample if line.strip()]
        try:
            is_table = lines and text_column in header_fields(lines, self._options.quoting)
        except MalformedError:
            is_table = False
        return "tsv" if is_table else "text"

    def _refuse_json(self) -> None:
        """Refuse a file with JSON and the suffix of CSV or TSV."""
        start = "".join(self._sample)
        found = "jsonl" if JSON_OBJECT.match(start) else "json" if JSON_ARRAY.match(start) else None
        if found is not None and self._options.format is None:
            raise UsageError(
                f"{self.name} cannot be read as {FORMAT_NAMES[self.format]}",
                cause="it begins like JSON",
                fix=f"add --format {found}, or correct the suffix",
            )

    def _open_delimited(self) -> None:
        options = self._options
        try:
            self._delimited = DelimitedRows(
                self._lines, tab=self.format == "tsv", quoting=options.quoting, header=options.header
            )
        except MalformedError as exc:
            raise self._error(exc) from None
        self.columns = self._delimited.columns

    def _error(self, error: MalformedError) -> UsageError:
        message = f"{self.name} cannot be read as {FORMAT_NAMES[self.format]}"
        if not error.command:
            return UsageError(message, cause=str(error), fix=error.fix)
        target = f"corrected{unpacked_name(self._source.path).suffix}"
        fix = f"{error.fix}: {self._source.as_input_of(error.command)} > {target}"
        return UsageError(message, cause=str(error), fix=fix)


def _format_of_suffix(path: Path) -> Format | None:
    """Return the format that the suffix names, or None if the content decides.

    Raises:
        UsageError: the suffix is that of another format, or unknown.
    """
    suffix = "" if path == STANDARD_INPUT else unpacked_name(path).suffix.lower()
    if suffix in ("", ".txt"):
        return None
    refuse_suffix(path, suffix)
    found = SUFFIX_FORMATS.get(suffix)
    if found is None:
        raise UsageError(
            f"cannot read {path}",
            cause=f"its suffix is {suffix!r}; supported: {READ}",
            fix="name its format with --format, or convert it to CSV or JSON lines",
        )
    return found


def _text_rows(lines: Iterable[str], column: str) -> Iterator[Row]:
    """Yield a row for each line; blank lines at the beginning only if a text follows."""
    blank: list[Row] = []
    is_blank = True
    for number, line in enumerate(lines, 1):
        row = Row(number, {column: without_end(line)})
        if is_blank and not line.strip():
            blank.append(row)
            continue
        is_blank = False
        yield from blank
        blank = []
        yield row


def _only_object(rows: Iterator[Row]) -> Iterator[Row]:
    """Yield the rows.

    Raises:
        MalformedError: there is only one, and it holds the rows of a table.
    """
    first = list(itertools.islice(rows, 2))
    if len(first) == 1:
        check_nested(first[0].cells)
    yield from first
    yield from rows


def _json_lines(rows: Iterator[Row]) -> Iterator[Row]:
    """Yield the rows of a .json file that is not an array.

    Raises:
        MalformedError: the first line is not a JSON object: the file is something else.
    """
    for at, row in enumerate(rows):
        if at == 0 and row.cells is None:
            raise MalformedError(row.problem, "write one array of objects, or one object on each line")
        yield row
