"""The cells of all rows of the input, as an evaluation copies them to its tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from trainer.data.annotated_text import AnnotatedText
from trainer.data.sources import DataSource

JSON = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


@dataclass(frozen=True, slots=True)
class InputRows:
    """The cells of the rows of all sources.

    Attributes:
        columns: the names of all columns, in the order of the files; empty for CoNLL, which has none.
        cells: the cells of each row by column name.
    """

    columns: Sequence[str] = ()
    cells: Sequence[Mapping[str, Any]] = ()

    def of_rows(self, numbers: Sequence[int]) -> dict[str, list[str]]:
        """Return the cells of some rows as texts, by column.

        Args:
            numbers: the numbers of the rows, from 1.
        """
        return {
            name: [cell_text(self.cells[number - 1].get(name)) for number in numbers] for name in self.columns
        }


def input_rows(loaded: Sequence[DataSource], converted: Sequence[DataSource]) -> InputRows:
    """Return the rows as they were loaded, or as converted if annotations have another number of rows.

    Args:
        loaded: the sources before the conversion of annotations.
        converted: the same sources after it.
    """
    lengths = [[len(source.table.rows) for source in sources] for sources in (loaded, converted)]
    sources = loaded if lengths[0] == lengths[1] else converted
    if any(source.table.first_lines for source in sources):
        return InputRows()
    columns = dict.fromkeys(name for source in sources for name in source.table.columns)
    return InputRows(list(columns), [row for source in sources for row in source.table.rows])


def cell_text(cell: Any) -> str:
    """Return a cell as text: lists and objects as JSON, a missing value as an empty text."""
    if isinstance(cell, str):
        return cell
    if cell is None or cell != cell:
        return ""
    if isinstance(cell, AnnotatedText):
        return cell.text
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, list | tuple | dict):
        return orjson.dumps(cell, default=str, option=JSON).decode()
    return str(cell)
