"""Rows in a temporary file, for outputs whose columns only all rows together show."""

import tempfile
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import orjson

from stream.predict.json_values import to_json
from stream.predict.output_header import PredictionWriter


class SpooledRows:
    """Keeps rows in a temporary file, and their columns in memory.

    Attributes:
        columns: the names of the fields of all rows, in the order of their first occurrence.
    """

    def __init__(self) -> None:
        self._columns: dict[str, None] = {}
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed at the end of the block

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def columns(self) -> list[str]:
        return list(self._columns)

    def write(self, fields: Mapping[str, Any]) -> None:
        """Keep a row."""
        self._columns.update(dict.fromkeys(fields))
        self._file.write(to_json(fields) + b"\n")

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield all rows."""
        self._file.seek(0)
        yield from map(orjson.loads, self._file)

    def copy_to(self, writer: PredictionWriter) -> None:
        """Write all rows to a writer."""
        for fields in self.rows():
            writer.write(fields)
