"""A row of a data file."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a data file.

    Attributes:
        number: the number of the row, from 1 without a header; in JSON lines, of the line.
        cells: the cells by column name; None if the row is not a JSON object.
        raw: the JSON text of a row without cells.
        problem: the reason why the row has no cells.
    """

    number: int
    cells: dict[str, Any] | None
    raw: str = ""
    problem: str = ""
