"""Faults of quotes in CSV and TSV that the `csv` module reads without an error."""

import re
from collections.abc import Sequence

from stream.tables.malformed import MalformedError

MAX_VALUES = 1000
"""The number of distinct values above which a column is not compared."""

MAX_VALUE_CHARS = 64
MIN_ROWS_PER_VALUE = 2
CERTAIN_LINES = {"\t": 3, "|": 3}
"""By delimiter, the number of lines from which a field that could be rows is certainly not a text."""

ANY_CERTAIN_LINES = 10

MAX_UNSEEN_SHARE = 0.2
"""The share of values that other rows do not have, such as rare labels, among the joined rows."""

DIGITS = re.compile(r"\d+")


class JoinedRows:
    """Finds rows that an odd pair of quotes joins into a field of several lines.

    A text may have several lines, and each of them may contain the delimiter. A field is refused if each of
    its lines has the fields of a row, and one of these columns has values that other rows repeat; or if
    there are too many of these lines for a text.
    """

    def __init__(self, delimiter: str, width: int) -> None:
        """
        Args:
            delimiter: the delimiter of the fields.
            width: the number of columns.
        """
        self._delimiter = delimiter
        self._width = width
        self._certain = CERTAIN_LINES.get(delimiter, ANY_CERTAIN_LINES)
        self._seen: dict[int, set[str]] = {at: set() for at in range(width)} if width > 1 else {}
        self._rows = 0
        self._suspects: list[tuple[int, list[list[str]]]] = []

    def add(self, fields: Sequence[str], lines: Sequence[str], last: int) -> None:
        """Add a row.

        Args:
            fields: the fields of the row.
            lines: the lines of the file that the row was read from.
            last: the number of the last of them.

        Raises:
            MalformedError: the row certainly holds other rows.
        """
        if len(lines) > 1 and self._width > 1:
            rows = [line.rstrip("\r\n").split(self._delimiter) for line in lines if line.strip()]
            if len(rows) > 1 and all(len(row) == self._width for row in rows):
                start = last - len(lines) + 1
                if len(rows) >= self._certain:
                    raise self._joined(start, len(rows))
                self._suspects.append((start, rows))
                return
        self._rows += 1
        for at in list(self._seen):
            value, values = fields[at], self._seen[at]
            if value in values:
                continue
            values.add(_key(value))
            if len(values) > MAX_VALUES or len(value) > MAX_VALUE_CHARS:
                # A column of texts, or of ids without a pattern.
                del self._seen[at]

    def check(self) -> None:
        """Check the rows of several lines when all rows are known.

        Raises:
            MalformedError: a row holds other rows.
        """
        repeated = {
            at: values for at, values in self._seen.items() if len(values) * MIN_ROWS_PER_VALUE <= self._rows
        }
        for start, rows in self._suspects:
            for at, values in repeated.items():
                column = [_key(row[at].strip('" ')) for row in rows]
                unseen = sum(value not in values for value in column)
                if all(column) and unseen <= MAX_UNSEEN_SHARE * len(column):
                    raise self._joined(start, len(rows))

    def _joined(self, start: int, lines: int) -> MalformedError:
        return MalformedError(
            f"the quote in line {start} joins {lines} lines into one row, and each of them has "
            f"{self._width} fields, as a row has",
            "remove the quote; or use --quoting none, which reads quotes as text; if the lines are one text, "
            "write the file as JSON lines",
        )


class SpacedQuotes:
    """Finds quotes that follow a delimiter and a space, and would be read as part of the text.

    A text may begin with a space and a quote. The space is a habit of the file if all fields of a row or of a
    column begin with one.
    """

    def __init__(self, delimiter: str, width: int) -> None:
        """
        Args:
            delimiter: the delimiter of the fields.
            width: the number of columns.
        """
        self._delimiter = delimiter
        self._columns = set(range(1, width))
        self._lines: dict[int, int] = {}

    def add(self, fields: Sequence[str], line: str, number: int) -> None:
        """Add a row.

        Args:
            fields: the fields of the row.
            line: the last line of the row.
            number: the number of the line.

        Raises:
            MalformedError: all fields of the row but the first begin with a space, and one with a quote then.
        """
        if self._columns:
            self._columns = {at for at in self._columns if fields[at][:1] in ("", " ")}
        if ' "' not in line:
            return
        # In the line, a field that is quoted properly has a quote before its white space.
        quoted = [
            at
            for at, field in enumerate(fields)
            if at and field[:1] == " " and _is_quoted(field) and f"{self._delimiter}{field}" in line
        ]
        for at in quoted:
            self._lines.setdefault(at, number)
        if quoted and all(field[:1] == " " for field in fields[1:]):
            raise self._error(number)

    def check(self) -> None:
        """Check the columns when all rows are known.

        Raises:
            MalformedError: all fields of a column begin with a space, and one with a quote then.
        """
        for at in self._columns & self._lines.keys():
            raise self._error(self._lines[at])

    def _error(self, number: int) -> MalformedError:
        return spaced_quotes(
            f"line {number} has a space before a quote, so that the quote is part of the text",
            self._delimiter,
            "if quotes are text, use --quoting none; else ",
        )


def _is_quoted(field: str) -> bool:
    trimmed = field.strip()
    return len(trimmed) > 1 and trimmed[0] == trimmed[-1] == '"'


def spaced_quotes(cause: str, delimiter: str, other: str = "") -> MalformedError:
    """Return the error for quotes after a delimiter and a space.

    Args:
        cause: the fault.
        delimiter: the delimiter of the fields.
        other: another fix, which precedes that of removing the spaces.
    """
    fix = f"{other}remove the spaces after the delimiters"
    return MalformedError(cause, fix, rewrite_command(delimiter, "skipinitialspace=True"))


def rewrite_command(delimiter: str, dialect: str) -> str:
    """Return the command that reads CSV in a dialect and writes it as this package reads it.

    Args:
        delimiter: the delimiter of the fields.
        dialect: the keyword arguments of `csv.reader`.
    """
    code = (
        "import csv, sys; "
        f"csv.writer(sys.stdout, delimiter={delimiter!r}, lineterminator=chr(10))"
        f".writerows(csv.reader(sys.stdin, delimiter={delimiter!r}, {dialect}))"
    )
    # Latin-1 passes the bytes of all encodings that extend ASCII.
    return f'PYTHONIOENCODING=latin-1 python -c "{code}"'


def _key(value: str) -> str:
    """Return a value in which all numbers are equal, such as those of ids; texts are not modified."""
    return value if " " in value else DIGITS.sub("0", value)
