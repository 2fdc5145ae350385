"""The columns of the output of `labelstream predict`, and the interface of its writers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


class ByteFile(Protocol):
    """Receives bytes."""

    def write(self, data: bytes, /) -> object: ...


class PredictionWriter(Protocol):
    """Writes the fields of one row after the other."""

    def write(self, fields: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True, slots=True)
class Header:
    """The columns of a CSV, TSV or Parquet file.

    Attributes:
        own: the columns of the predictions.
        kept: the columns that are copied from the input; None if only all rows together show them.
        types: the Arrow types of the copied columns and of the id; None if only the rows show them.
    """

    own: tuple[str, ...]
    kept: Sequence[str] | None = ()
    types: Mapping[str, Any] | None = field(default_factory=dict)

    def columns(self, kept: Sequence[str]) -> list[str]:
        """Return all columns: those of the predictions, then the copied ones, each once."""
        return list(dict.fromkeys((*self.own, *kept)))
