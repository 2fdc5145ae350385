"""Rows of CSV and TSV text."""

import csv
import itertools
import re
from collections.abc import Iterator
from typing import Any

from stream.tables.malformed import MalformedError
from stream.tables.options import Quoting
from stream.tables.quotes import JoinedRows, SpacedQuotes, rewrite_command, spaced_quotes

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_LINES = 50
MAX_FIELD_CHARS = 2**31 - 1
DELIMITER_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
# The first line by which a CSV file tells Excel its delimiter.
EXCEL_DELIMITER = re.compile(r'"?sep=(.)"?[\r\n]*')


class DelimitedRows:
    """The rows of a CSV or TSV text.

    Attributes:
        columns: the names of the columns.
        delimiter: the delimiter of the fields.
    """

    def __init__(self, lines: Iterator[str], *, tab: bool, quoting: Quoting, header: bool) -> None:
        """Read the header, if there is one.

        Args:
            lines: the lines of the text with their ends.
            tab: whether tabs separate the fields, unless another delimiter fits and the header has no tab.
            quoting: whether quotes enclose fields or are text.
            header: whether the first line names the columns.

        Raises:
            MalformedError: two columns have the same name, or the header is not valid.
        """
        csv.field_size_limit(MAX_FIELD_CHARS)
        self._quoting = quoting
        self.columns: list[str] = []
        sample = list(itertools.islice(lines, SAMPLE_LINES))
        declared = EXCEL_DELIMITER.fullmatch(sample[0]) if sample else None
        self._line_offset = 1 if declared else 0
        if declared:
            sample = sample[1:]
        self.delimiter = declared[1] if declared else guess_delimiter(sample, quoting, tab=tab)
        self._sample = sample
        self._lines = _LastLine(itertools.chain(sample, lines))
        self._reader = csv.reader(self._lines, strict=True, **_dialect(self.delimiter, quoting))
        self._header = header
        # White space above the header, such as a line of empty cells, does not name columns.
        self._first = next((row for row in self._fields() if not header or any(map(str.strip, row))), [])
        self.columns = (
            _column_names(self._first) if header else [str(at) for at in range(1, len(self._first) + 1)]
        )

    def __iter__(self) -> Iterator[dict[str, str]]:
        """Yield the fields of each row by column name.

        Raises:
            MalformedError: a row has not as many fields as the header, or its quotes are not valid.
        """
        columns = self.columns
        first = [] if self._header or not self._first else [self._first]
        rows = 0
        quoted = self._quoting == "minimal"
        joined = JoinedRows(self.delimiter, len(columns))
        spaced = SpacedQuotes(self.delimiter, len(columns))
        for fields in itertools.chain(first, self._fields()):
            if len(fields) == len(columns):
                if self._header and len(columns) > 1 and _is_header(fields, self._first):
                    raise MalformedError(
                        f"line {self._line} repeats the header",
                        "remove the line, as of a second file; or use --no-header if the first line is a row",
                    )
                rows += 1
                if quoted:
                    spaced.add(fields, self._lines.last, self._line)
                    joined.add(fields, self._lines.record, self._line)
                yield dict(zip(columns, fields, strict=True))
            elif len(fields) > 1 or fields[0].strip():
                raise self._ragged(rows + 1, len(fields))
        joined.check()
        spaced.check()

    @property
    def _line(self) -> int:
        """The number of the last line read."""
        return self._reader.line_num + self._line_offset

    def _fields(self) -> Iterator[list[str]]:
        """Yield the fields of each line that is not empty."""
        while True:
            start = self._line + 1
            self._lines.record.clear()
            try:
                fields = next(self._reader)
            except StopIteration:
                return
            except csv.Error as exc:
                raise self._invalid(start, exc) from None
            if fields:
                yield fields

    def _ragged(self, row: int, width: int) -> MalformedError:
        reference = "the header" if self._header else "the first line"
        cause = f"line {self._line} has {width} fields, {reference} has {len(self.columns)} (row {row})"
        name = DELIMITER_NAMES.get(self.delimiter, repr(self.delimiter))
        if len(self.columns) == 1 and self._header:
            fix = (
                f"enclose texts that contain {name} in double quotes; or, if line {self._line} is the "
                "header, remove the lines above it"
            )
            return MalformedError(cause, fix, f"tail -n +{self._line}")
        if self._header and self._lacks_a_name():
            fix = "give the first column a name, or write the table in R with row.names = FALSE"
            mark = "\\t" if self.delimiter == "\t" else self.delimiter
            return MalformedError(cause, fix, f"sed '1s/^/row{mark}/'")
        if self._quoting == "none":
            fix = f"correct the line: with --quoting none, texts cannot contain {name} or line breaks"
        else:
            fix = f"correct the line: enclose texts that contain {name} or line breaks in double quotes"
        return self._escaped_quotes(cause, width) or MalformedError(cause, fix)

    def _lacks_a_name(self) -> bool:
        """Return whether all of the first rows have one field more than the header, as R writes them."""
        _, *widths = _widths(self._sample, self.delimiter, self._quoting) or [0]
        return len(widths) > 1 and set(widths) == {len(self.columns) + 1}

    def _invalid(self, start: int, error: csv.Error) -> MalformedError:
        message = str(error)
        if "unexpected end of data" in message:
            return MalformedError(
                f"the quote in line {start} is not closed",
                "close the quote, or use --quoting none, which reads quotes as text",
            )
        if "new-line character" in message:
            return MalformedError(
                f"line {start} has a carriage return outside quotes",
                "enclose texts that contain line breaks in double quotes",
            )
        fix = (
            'write quotes within quoted fields twice (""), or use --quoting none, which reads quotes as text'
        )
        cause = f"line {start}: {message}"
        return self._escaped_quotes(cause) or MalformedError(cause, fix)

    def _escaped_quotes(self, cause: str, width: int = 0) -> MalformedError | None:
        r"""Return the error for a line with quotes after a space, or with backslashes before quotes, or None.

        Args:
            cause: the fault.
            width: the number of fields of the line, if it is a row.
        """
        line = self._lines.last
        if self._quoting == "none":
            return None
        if width > len(self.columns) and f'{self.delimiter} "' in line:
            return spaced_quotes(cause, self.delimiter)
        fix = "write quotes within quoted fields twice, not with a backslash"
        if f"\\{self.delimiter}" in line:
            escaped = next(csv.reader([line], delimiter=self.delimiter, escapechar="\\"), [])
            if len(escaped) == len(self.columns):
                fix = "write fields with delimiters in double quotes, not with backslashes"
                return MalformedError(cause, fix, rewrite_command(self.delimiter, "escapechar=chr(92)"))
        return MalformedError(cause, fix, r"""sed 's/\\"/""/g'""") if '\\"' in line else None


class _LastLine:
    """An iterator of lines that keeps the last one, and those of the row that is read."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.last = ""
        self.record: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.last = next(self._lines)
        self.record.append(self.last)
        return self.last


def header_fields(sample: list[str], quoting: Quoting) -> list[str]:
    """Return the fields of the first line, split at the delimiter that fits the first rows."""
    delimiter = guess_delimiter(sample, quoting, tab=True)
    try:
        return next(csv.reader(sample, **_dialect(delimiter, quoting)), [])
    except csv.Error:
        return []


def guess_delimiter(sample: list[str], quoting: Quoting, *, tab: bool) -> str:
    """Return the delimiter for which the first rows are as wide as the header.

    Args:
        sample: the first lines.
        quoting: whether quotes enclose fields.
        tab: whether tabs take precedence over other delimiters.

    Raises:
        MalformedError: several delimiters fit.
    """
    candidates = {}
    for delimiter in DELIMITERS:
        widths = _widths(sample, delimiter, quoting)
        if widths and widths[0] > 1:
            candidates[delimiter] = widths
    if not candidates or (tab and "\t" in candidates):
        return "\t" if tab else ","
    fitting = [delimiter for delimiter, widths in candidates.items() if len(set(widths)) == 1]
    if len(fitting) > 1:
        names = " and ".join(DELIMITER_NAMES[delimiter] for delimiter in fitting)
        raise MalformedError(
            f"the delimiter is ambiguous: {names} both fit the header and the first rows",
            "enclose names of columns that contain one of them in double quotes",
        )
    return max(fitting or candidates, key=lambda delimiter: candidates[delimiter][0])


def _widths(sample: list[str], delimiter: str, quoting: Quoting) -> list[int]:
    """Return the number of fields of each row in a sample; a row that the sample cuts is left out."""
    widths: list[int] = []
    try:
        # Without `strict`, a quoted field that the sample cuts is not an error.
        for fields in csv.reader(sample, **_dialect(delimiter, quoting)):
            if not widths and quoting == "minimal" and any('"' in name for name in fields):
                # The delimiter splits a quoted name.
                return []
            if any(map(str.strip, fields)):
                widths.append(len(fields))
    except csv.Error:
        # The header alone decides; the rows are checked while they are read.
        return widths[:1]
    return widths[:-1] if len(sample) == SAMPLE_LINES and len(widths) > 1 else widths


def _is_header(fields: list[str], header: list[str]) -> bool:
    # Files that are joined keep the byte-order mark of the second one.
    return fields[1:] == header[1:] and fields[0].lstrip("\ufeff") == header[0]


def _dialect(delimiter: str, quoting: Quoting) -> dict[str, Any]:
    style = csv.QUOTE_NONE if quoting == "none" else csv.QUOTE_MINIMAL
    return {"delimiter": delimiter, "quoting": style}


def _column_names(header: list[str]) -> list[str]:
    """Return the names of the columns; a column without a name is called by its number.

    Raises:
        MalformedError: two columns have the same name.
    """
    names = [name if name.strip() else f"column {at}" for at, name in enumerate(header, 1)]
    repeated = next((name for at, name in enumerate(names) if name in names[:at]), None)
    if repeated is not None:
        raise MalformedError(
            f"two columns have the same name: {repeated!r}; the columns are: {', '.join(names)}",
            "give each column its own name in the first line; or use --no-header if that line is a row",
        )
    return names
