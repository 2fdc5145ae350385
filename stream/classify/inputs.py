"""What a classifier is given and what it gives back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class TextInput:
    """One row for the model: a text, a second text for pair tasks, and the metadata a bundle may use."""

    text: str
    text_pair: str | None = None
    metadata: Mapping[str, Any] | None = None

    def canonical(self) -> bytes:
        """The bytes that decide whether two inputs are equal.

        The text is taken as it was sent (no NFC), since that is what the tokenizer sees.
        """
        return orjson.dumps(
            [self.text, self.text_pair, self.metadata],
            option=orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS,
        )


@dataclass(frozen=True, slots=True)
class Prediction:
    """Probabilities in the order of the bundle's labels, rounded to 6 digits.

    `cached` says that it came from a cache tier rather than from the model.
    """

    scores: tuple[float, ...]
    cached: bool = False
