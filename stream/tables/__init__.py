"""Data files of `predict` and `train`: bytes to text, text to rows.

Both commands read CSV, TSV, JSON lines, JSON arrays and text lines with this package, so a file has the same
rows in both. `predict` reads Parquet in batches with this package; `train` reads whole Parquet files.
"""

from stream.tables.annotated import as_object, task_cells
from stream.tables.empty import EmptyTableError
from stream.tables.foreign import READ, refuse_suffix
from stream.tables.header import no_header_fix
from stream.tables.label_names import read_label_names
from stream.tables.nulls import AMBIGUOUS_NULL_TEXTS, NULL_TEXTS, NUMBER_NULL_TEXTS
from stream.tables.options import (
    FORMATS,
    STANDARD_INPUT,
    SUFFIX_FORMATS,
    Format,
    Quoting,
    TableOptions,
)
from stream.tables.packing import unpacked_name
from stream.tables.parquet import ParquetReader, is_parquet, is_text_type
from stream.tables.reader import TableReader
from stream.tables.row import Row
from stream.tables.text import read_text

__all__ = [
    "AMBIGUOUS_NULL_TEXTS",
    "FORMATS",
    "NULL_TEXTS",
    "NUMBER_NULL_TEXTS",
    "READ",
    "STANDARD_INPUT",
    "SUFFIX_FORMATS",
    "EmptyTableError",
    "Format",
    "ParquetReader",
    "Quoting",
    "Row",
    "TableOptions",
    "TableReader",
    "as_object",
    "is_parquet",
    "is_text_type",
    "no_header_fix",
    "read_label_names",
    "read_text",
    "refuse_suffix",
    "task_cells",
    "unpacked_name",
]
