"""What a classifier is given and what it gives back."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import orjson

from stream.bundle import Manifest
from stream.bundle.manifest import NumericColumn
from stream.classify.metadata import as_category, as_number

Cell = float | str | None
"""A metadata value as the bundle reads it: a number, a name, or nothing."""


class WithMetadata(NamedTuple):
    """What a bundle that reads metadata is given for a row: the columns that it uses, in its own order."""

    text: str
    text_pair: str | None
    metadata: tuple[tuple[str, Cell], ...]


ModelInput = str | tuple[str, str] | WithMetadata
"""What a tokenizer is given for a row: a text, both texts of a pair, or those with their metadata.

Hashable, and equal exactly when the model cannot tell two rows apart.
"""


class TextRow(Protocol):
    """A row as its source has it: an event, a line of a file."""

    @property
    def text(self) -> str: ...
    @property
    def text_pair(self) -> str | None: ...
    @property
    def metadata(self) -> Mapping[str, Any] | None: ...


@dataclass(frozen=True, slots=True)
class TextInput:
    """One row for the model: a text, a second text for pair tasks, and the metadata a bundle may use."""

    text: str
    text_pair: str | None = None
    metadata: Mapping[str, Any] | None = None


class InputReader:
    """Takes from a row what one bundle reads, and nothing else."""

    def __init__(self, manifest: Manifest) -> None:
        self._pair = manifest.takes_pair
        self._columns = [
            (column.name, as_number if isinstance(column, NumericColumn) else as_category)
            for column in manifest.metadata or ()
        ]

    @property
    def plain(self) -> bool:
        """Whether the bundle reads a text and no more, so that `row.text` is all there is to it."""
        return not self._pair and not self._columns

    def read(self, rows: Iterable[TextRow]) -> list[ModelInput]:
        """The inputs of rows, in order; a second text that the bundle does not read is left out."""
        if self.plain:
            return [row.text for row in rows]
        if not self._columns:
            return [row.text if row.text_pair is None else (row.text, row.text_pair) for row in rows]
        return [
            WithMetadata(row.text, row.text_pair if self._pair else None, self._cells(row.metadata or {}))
            for row in rows
        ]

    def _cells(self, metadata: Mapping[str, Any]) -> tuple[tuple[str, Cell], ...]:
        return tuple((name, read(metadata.get(name))) for name, read in self._columns)


def texts_of(row: ModelInput) -> str | tuple[str, str]:
    """What the tokenizer reads of an input."""
    if isinstance(row, WithMetadata):
        return row.text if row.text_pair is None else (row.text, row.text_pair)
    return row


def canonical(row: ModelInput) -> bytes:
    """The bytes that decide whether two inputs are equal: `[text, text_pair, metadata]` as JSON.

    The text is taken as it was sent (no NFC), since that is what the tokenizer sees.
    """
    if isinstance(row, str):
        return orjson.dumps((row, None, None))
    if isinstance(row, WithMetadata):
        return orjson.dumps((row.text, row.text_pair, dict(row.metadata)))
    text, pair = row
    return orjson.dumps((text, pair, None))


class Prediction(NamedTuple):
    """What the model says of one row, encoded once for all who need it.

    Attributes:
        members: the members of a label event that come from the model, JSON without braces.
        scores: the compact form that a cache keeps; for labels every label's score in the bundle's order,
            in millionths, as little-endian uint32. The head that wrote it can read it.
        cached: whether it came from a cache tier rather than from the model.
    """

    members: bytes
    scores: bytes
    cached: bool = False

    def fields(self) -> dict[str, Any]:
        """The members as an object."""
        found: dict[str, Any] = orjson.loads(b"{%b}" % self.members)
        return found
