"""What a classifier is given and what it gives back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

ModelInput = str | tuple[str, str]
"""What a tokenizer is given for a row: a text, or both texts of a pair."""


@dataclass(frozen=True, slots=True)
class TextInput:
    """One row for the model: a text, a second text for pair tasks, and the metadata a bundle may use."""

    text: str
    text_pair: str | None = None
    metadata: Mapping[str, Any] | None = None

    @property
    def model_input(self) -> ModelInput:
        """What the tokenizer is given."""
        return self.text if self.text_pair is None else (self.text, self.text_pair)


def canonical(row: ModelInput) -> bytes:
    """The bytes that decide whether two inputs are equal: `[text, text_pair, metadata]` as JSON.

    The text is taken as it was sent (no NFC), since that is what the tokenizer sees.
    """
    text, pair = (row, None) if isinstance(row, str) else row
    return orjson.dumps((text, pair, None))


class Prediction(NamedTuple):
    """What the model says of one row, encoded once for all who need it.

    Attributes:
        members: the members of a label event that come from the model, JSON without braces.
        scores: every label's score in the bundle's order, in millionths, as little-endian uint32.
        cached: whether it came from a cache tier rather than from the model.
    """

    members: bytes
    scores: bytes
    cached: bool = False

    def fields(self) -> dict[str, Any]:
        """The members as an object."""
        found: dict[str, Any] = orjson.loads(b"{%b}" % self.members)
        return found
