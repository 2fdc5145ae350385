"""The place of a row in the files that it comes from, for messages."""

from collections.abc import Sequence

from trainer.data.sources import DataSource


def locate_row(sources: Sequence[DataSource], number: int) -> str:
    """Return the file and its own row, such as "test.csv, row 3", and in a CoNLL file the sentence's line.

    Args:
        sources: all sources.
        number: the row number, which continues over the sources.
    """
    last = 0
    for source in sources:
        index = number - last - 1
        if index < len(source.table.rows):
            lines = source.table.first_lines
            line = f" (the sentence at line {lines[index]})" if lines else ""
            return f"{source.name}, row {index + 1}{line}"
        last += len(source.table.rows)
    raise ValueError(f"there are {last} rows, and no row {number}")
