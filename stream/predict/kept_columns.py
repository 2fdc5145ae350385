"""The columns of the input that `labelstream predict` copies to its output."""

import csv
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from stream.errors import UsageError
from stream.predict.row_reader import check_column

ALL, NONE = "all", "none"
PREFIX = "input_"


class KeptColumns:
    """Copies columns of the input to the output, each under its own name unless the output has that name.

    A column whose name the output uses is written as `input_NAME`; the same column has the same name in all
    rows.
    """

    def __init__(self, chosen: Sequence[str] | None, taken: Collection[str], roles: Collection[str]) -> None:
        """
        Args:
            chosen: the names of the columns; None for all.
            taken: the names that the output uses.
            roles: the columns of the input that the output has under the same name, such as `text`.
        """
        self._chosen = chosen
        self._roles = frozenset(roles)
        self._names: dict[str, str] = {name: name for name in roles}
        self._used = {*taken, *roles}
        self._found: set[str] = set()
        # A renamed column must not take the name of another column that is known.
        self._known = set(chosen or ())

    def header(self, columns: Sequence[str]) -> list[str]:
        """Return the names in the output of the columns of a CSV file.

        Raises:
            UsageError: the file lacks a chosen column.
        """
        self._known |= set(columns)
        for name in self._chosen or ():
            check_column("--columns", name, columns, fix="name columns of the input, or all")
        return self.names(columns if self._chosen is None else self._chosen)

    def names(self, columns: Sequence[str]) -> list[str]:
        """Return the names in the output of columns."""
        return [self._name(name) for name in columns]

    def fields(self, cells: Mapping[str, Any]) -> dict[str, Any]:
        """Return the kept cells of a row by their names in the output.

        The cell of a role is left out if it is empty, as the output leaves it out.
        """
        if self._chosen is None:
            self._known |= cells.keys()
        names = cells if self._chosen is None else [name for name in self._chosen if name in cells]
        self._found.update(names)
        return {
            self._name(name): cells[name]
            for name in names
            if name not in self._roles or cells[name] not in (None, "")
        }

    def notes(self) -> list[str]:
        """Return a note on the columns that are renamed, and one on those that no row has."""
        renamed = [f"{name} as {new}" for name, new in self._names.items() if new != name]
        missing = [name for name in self._chosen or () if name not in self._found]
        return [
            *([f"columns of the input that are renamed: {', '.join(renamed)}"] if renamed else []),
            *([f"no row has the column {', '.join(missing)}"] if missing else []),
        ]

    def _name(self, column: str) -> str:
        name = self._names.get(column)
        if name is None:
            name = column
            while name in self._used or (name != column and name in self._known):
                name = PREFIX + name
            self._names[column] = name
            self._used.add(name)
        return name


def parse_columns(value: str) -> tuple[str, ...] | None:
    """Return the columns that `--columns` names, none for `none`; None for `all`.

    The names are separated by commas; a name that contains one, or is `all` or `none`, is in double quotes.

    Raises:
        UsageError: a name is empty.
    """
    if value in (ALL, NONE):
        return None if value == ALL else ()
    names = next(csv.reader([value], skipinitialspace=True), [])
    if not names or not all(map(str.strip, names)):
        raise UsageError(
            f"--columns {value!r} has an empty name",
            cause="it is a list of columns, separated by commas",
            fix="name columns as A,B, or use --columns all or --columns none",
        )
    return tuple(dict.fromkeys(names))
