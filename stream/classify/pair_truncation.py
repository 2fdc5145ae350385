"""The truncation of pairs of texts after tokenization.

The tokenizer would also return the tokens that it cuts off, each window of one text with each window of the
other. The work and the memory for that grow with the product of the texts' lengths: two texts of 100,000
characters, each of them valid, would stop a worker for minutes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TruncatedPair:
    """A truncated encoding, with the attributes that are read of the tokenizer's own."""

    ids: list[int]
    type_ids: list[int]
    offsets: list[tuple[int, int]]
    word_ids: list[int | None]
    special_tokens_mask: list[int]
    tokens: list[str]
    sequence_ids: list[int | None]

    def __len__(self) -> int:
        return len(self.ids)


def truncate_pair(encoding: Any, max_length: int) -> Any:
    """Truncate an encoding as the tokenizer does with the strategy `longest_first`, on the right.

    Args:
        encoding: the tokenizer's encoding of one or two texts, each once, without truncation.
        max_length: the maximum number of tokens, more than the special tokens that the encoding has.

    Returns:
        The encoding itself if it is not too long, else a `TruncatedPair`.
    """
    if len(encoding) <= max_length:
        return encoding
    sequences: list[int | None] = encoding.sequence_ids
    counts = sequences.count(0), sequences.count(1)
    left = list(_kept_tokens(*counts, max_length - (len(encoding) - sum(counts))))
    kept: list[int] = []
    for at, sequence in enumerate(sequences):
        if sequence is not None:
            if not left[sequence]:
                continue
            left[sequence] -= 1
        kept.append(at)

    def take(values: Sequence[T]) -> list[T]:
        return [values[at] for at in kept]

    return TruncatedPair(
        take(encoding.ids),
        take(encoding.type_ids),
        take(encoding.offsets),
        take(encoding.word_ids),
        take(encoding.special_tokens_mask),
        take(encoding.tokens),
        take(sequences),
    )


def _kept_tokens(first: int, second: int, room: int) -> tuple[int, int]:
    """Return the tokens that two texts keep of `first` and `second`: the longer one loses its tokens first.

    If both lose tokens and the room is odd, the longer text keeps one more, of equally long ones the second.
    """
    shorter = min(first, second)
    if shorter > room // 2:
        shorter = room // 2
    return (shorter, room - shorter) if first <= second else (room - shorter, shorter)
