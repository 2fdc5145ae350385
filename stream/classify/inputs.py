"""The inputs of the classifier and its predictions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import orjson

from stream.bundle import Manifest, NumericColumn
from stream.classify.metadata import as_category, as_number
from stream.errors import Poison

MetadataValue = float | str | None
"""A metadata value as the bundle reads it: a number, a category, or None if it is missing."""


class WithMetadata(NamedTuple):
    """The input of a bundle that reads metadata; `metadata` holds the columns in the bundle's order."""

    text: str
    text_pair: str | None
    metadata: tuple[tuple[str, MetadataValue], ...]


ModelInput = str | tuple[str, str] | WithMetadata
"""The input of one row: a text, the two texts of a pair, or texts with metadata.

Inputs are hashable, and equal if and only if the model cannot distinguish the rows.
"""


class TextRow(Protocol):
    """A row of any source, such as an event or a line of a file."""

    @property
    def text(self) -> str: ...
    @property
    def text_pair(self) -> str | None: ...
    @property
    def metadata(self) -> Mapping[str, Any] | None: ...


@dataclass(frozen=True, slots=True)
class TextInput:
    """A row for the model: a text, the second text of a pair, and metadata that the bundle may read."""

    text: str
    text_pair: str | None = None
    metadata: Mapping[str, Any] | None = None


class InputReader:
    """Extracts the inputs of one bundle from rows, and omits what the bundle does not read."""

    def __init__(self, manifest: Manifest) -> None:
        self._pair = manifest.takes_pair
        self._columns = [
            (column.name, as_number if isinstance(column, NumericColumn) else as_category)
            for column in manifest.metadata or ()
        ]

    @property
    def text_only(self) -> bool:
        """True if the bundle reads `row.text` and nothing else."""
        return not self._pair and not self._columns

    def read(self, rows: Iterable[TextRow]) -> list[ModelInput]:
        """Return the input of each row, in order; it omits a second text that the bundle does not read."""
        if self.text_only:
            return [row.text for row in rows]
        if not self._columns:
            return [row.text if row.text_pair is None else (row.text, row.text_pair) for row in rows]
        return [
            WithMetadata(row.text, row.text_pair if self._pair else None, self._values(row.metadata or {}))
            for row in rows
        ]

    def _values(self, metadata: Mapping[str, Any]) -> tuple[tuple[str, MetadataValue], ...]:
        return tuple((name, parse(metadata.get(name))) for name, parse in self._columns)


def texts_of(given: ModelInput) -> str | tuple[str, str]:
    """Return the text or the pair of texts of an input, which the tokenizer reads."""
    if isinstance(given, WithMetadata):
        return given.text if given.text_pair is None else (given.text, given.text_pair)
    return given


def canonical_json(given: ModelInput) -> bytes:
    """Return `[text, text_pair, metadata]` as JSON, which is equal for equal inputs and only for them.

    The text is not normalized (no NFC), because the tokenizer does not see a normalized text either.
    """
    if isinstance(given, str):
        return orjson.dumps((given, None, None))
    if isinstance(given, WithMetadata):
        return orjson.dumps((given.text, given.text_pair, dict(given.metadata)))
    text, pair = given
    return orjson.dumps((text, pair, None))


class Prediction(NamedTuple):
    """The model's prediction for one row, in encoded form.

    Attributes:
        members: the members of the label event that come from the model, as JSON without braces.
        stored: the compact form for caches, which the head that wrote it can read; for labels the score of
            each label in the bundle's order, in millionths, as little-endian uint32.
        cached: True if the prediction comes from a cache tier, False if it comes from the model.
    """

    members: bytes
    stored: bytes
    cached: bool = False

    def fields(self) -> dict[str, Any]:
        """Return the decoded members."""
        decoded: dict[str, Any] = orjson.loads(b"{%b}" % self.members)
        return decoded


RowResult = Prediction | Poison
"""The result of one row: a prediction, or `Poison` if the row makes the model fail."""
