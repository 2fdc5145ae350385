"""Texts to token ids by the Hugging Face tokenizer: cut, or in overlapping windows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stream.bundle import Windows
from stream.classify import TextInput

NOT_INPUTS = ("overflow_to_sample_mapping",)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Windows of rows; without `Windows` each row is one window.

    Attributes:
        columns: the model's token inputs by name, a list of numbers for each window; not padded.
        owners: the row of each window, ascending.
        encodings: what the Rust tokenizer says of each window, offsets and word numbers included.
    """

    columns: dict[str, list[list[int]]]
    owners: list[int]
    encodings: list[Any]

    @property
    def lengths(self) -> list[int]:
        """Tokens of each window."""
        return [len(ids) for ids in self.columns["input_ids"]]

    def window(self, at: int) -> dict[str, list[int]]:
        """The model's inputs of one window."""
        return {name: values[at] for name, values in self.columns.items()}


def encode(
    tokenizer: Any,
    rows: Sequence[TextInput],
    max_length: int,
    windows: Windows | None = None,
) -> Encoded:
    """Tokenise rows.

    Args:
        tokenizer: a fast tokenizer of transformers.
        rows: a row with a second text is a pair.
        max_length: tokens after which a row is cut (of a pair, the longer text first), or the length of its
            windows.
        windows: how rows longer than that are read on.
    """
    if not rows:
        return Encoded({"input_ids": []}, [], [])
    encoded = tokenizer(
        [row.text if row.text_pair is None else (row.text, row.text_pair) for row in rows],
        truncation="longest_first",
        max_length=max_length,
        stride=windows.stride if windows else 0,
        return_overflowing_tokens=windows is not None,
    )
    owners = encoded["overflow_to_sample_mapping"] if windows else list(range(len(rows)))
    kept = _first_windows(owners, windows.most) if windows else range(len(owners))
    return Encoded(
        columns={
            name: [values[at] for at in kept] for name, values in encoded.items() if name not in NOT_INPUTS
        },
        owners=[owners[at] for at in kept],
        encodings=[encoded.encodings[at] for at in kept],
    )


def _first_windows(owners: Sequence[int], most: int) -> list[int]:
    seen: dict[int, int] = {}
    kept = []
    for at, owner in enumerate(owners):
        seen[owner] = seen.get(owner, 0) + 1
        if seen[owner] <= most:
            kept.append(at)
    return kept


def token_counts(tokenizer: Any, rows: Sequence[TextInput]) -> list[int]:
    """Tokens of rows that are not cut."""
    whole = tokenizer(
        [row.text if row.text_pair is None else (row.text, row.text_pair) for row in rows], truncation=False
    )
    return [len(ids) for ids in whole["input_ids"]]
