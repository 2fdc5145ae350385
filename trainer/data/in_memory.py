"""Tables of rows that are in memory: lists, data frames and data sets."""

from collections.abc import Mapping, Sequence
from typing import Any

from stream.errors import UsageError
from trainer.data.files import Table
from trainer.data.sources import dataset_tables

NAME = "data"


def tables_of(data: Any) -> dict[str, Table]:
    """Return the rows of a value in memory, one table per split.

    Args:
        data: a sequence of mappings, a mapping of columns, a data frame of pandas or Polars, a table of
            pyarrow, a `Dataset` or `DatasetDict` of the library datasets, or a mapping of splits to these.

    Raises:
        UsageError: the value is none of these, or it has no rows.
    """
    tables = _tables(data)
    for name, table in tables.items():
        if not table.rows:
            raise UsageError(
                f"the data are empty ({name})", cause="there is nothing to train on", fix="pass rows"
            )
    return tables


def _tables(data: Any) -> dict[str, Table]:
    if hasattr(data, "features") and hasattr(data, "column_names"):
        return dataset_tables(data, NAME)
    if isinstance(data, Mapping):
        if data and all(hasattr(split, "features") for split in data.values()):
            return dataset_tables(data, NAME)
        if not all(isinstance(column, list | tuple) and not _is_rows(column) for column in data.values()):
            return {str(split): _table(rows) for split, rows in data.items()}
    return {NAME: _table(data)}


def _table(data: Any) -> Table:
    rows = _rows(data)
    # The order of the columns is that of their first occurrence; rows may lack some of them.
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return Table(
        [str(name) for name in columns], [{str(name): row.get(name) for name in columns} for row in rows]
    )


def _rows(data: Any) -> list[Mapping[Any, Any]]:
    if isinstance(data, Mapping) and all(isinstance(column, list | tuple) for column in data.values()):
        lengths = {len(column) for column in data.values()}
        if len(lengths) == 1:
            return [dict(zip(data, cells, strict=True)) for cells in zip(*data.values(), strict=True)]
    if isinstance(data, Sequence) and _is_rows(data):
        return list(data)
    if hasattr(data, "to_pylist"):
        return list(data.to_pylist())
    if hasattr(data, "to_dicts"):
        return list(data.to_dicts())
    if hasattr(data, "to_dict") and hasattr(data, "columns"):
        missing = data.isna()
        return data.astype(object).mask(missing, None).to_dict("records")  # type: ignore[no-any-return]
    raise UsageError(
        f"data of the type {type(data).__name__} cannot be read",
        cause="it is neither a file nor a table of rows",
        fix="pass a path, a list of dicts, a data frame, or a Dataset of the library datasets",
    )


def _is_rows(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(row, Mapping) for row in value)
